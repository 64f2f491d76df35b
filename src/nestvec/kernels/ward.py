"""Ward's clustering of a few hundred rows, by chains of nearest neighbours."""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nestvec.core.types import Array, Float32, Float64, Int64
from nestvec.kernels.jit import Kernel

MOST = 1024
"""Rows that are clustered at once: their distances take 8 MB."""


def clusters(x: Float32[np.ndarray, "t d"], k: int) -> Int64[np.ndarray, " t"]:
    """Which of ``k`` clusters each row is in, numbered by their first rows.

    Starts from clusters of one row, and joins the two whose union raises the sum of squared distances to the means
    least, until ``k`` are left. More than :data:`MOST` rows are first clustered in runs of that many, each down to a
    quarter, or to its share of ``k`` if that is more; what is left goes on as clusters of many rows.

    Args:
        x: ``[t, d]``.
        k: from 1 to ``t``.

    Returns:
        ``[t]`` numbers from 0 to ``k - 1``; equal distances are decided by position.

    Cost: ``t**2`` distances; with numba (the extra ``fast``) about 20 nanoseconds each.

    Source: Ward 1963; the chains as in Murtagh 1983.
    """
    own: Int64[np.ndarray, " t"] = np.arange(len(x))
    means, size = x.astype(np.float64), np.ones(len(x))
    while len(means) > MOST and k < len(means):
        inner = _in_runs(means, size, k)
        own = inner[own]
        means, size = _means(means, size, inner)
    if k < len(means):
        own = _cut(means, size, k)[own]
    return own


def _in_runs(means: Array, size: Array, k: int) -> Int64[np.ndarray, " t"]:
    """Clusters of rows in runs of :data:`MOST`: a quarter of them, or exactly ``k`` if that is more."""
    t = len(means)
    keep = max(k, -(-t // 4))
    labels: Int64[np.ndarray, " t"] = np.empty(t, np.int64)
    made = 0
    for lo in range(0, t, MOST):
        hi = min(lo + MOST, t)
        share = max(keep * hi // t - made, 1)  # never more than the run has, as keep < t
        labels[lo:hi] = made + _cut(means[lo:hi], size[lo:hi], share)
        made += share
    return labels


def _means(means: Array, size: Array, labels: Array) -> tuple[Array, Array]:
    """Weighted means and sizes of clusters."""
    k = int(labels.max()) + 1
    total = np.zeros((k, means.shape[1]))
    np.add.at(total, labels, means * size[:, None])
    count = np.bincount(labels, weights=size, minlength=k)
    return total / count[:, None], count


def _cut(means: Array, size: Array, k: int) -> Int64[np.ndarray, " t"]:
    """``k`` clusters of clusters, numbered by their first rows."""
    t = len(means)
    square = np.square(means).sum(axis=1)
    far = np.maximum(square[:, None] + square - 2 * (means @ means.T), 0)
    far *= 2 * size[:, None] * size / (size[:, None] + size)  # the plain squared distance where both are of one row
    np.fill_diagonal(far, np.inf)
    joined: Int64[np.ndarray, "m 2"] = np.empty((max(t - 1, 0), 2), np.int64)
    height: Float64[np.ndarray, " m"] = np.empty(max(t - 1, 0))
    if kernel.compiled is not None:
        kernel.compiled(far, size.copy(), joined, height)
    else:
        start = time.perf_counter()
        _chain_by_numpy(far, size.copy(), joined, height)
        kernel.spend(time.perf_counter() - start)
    return _components(joined[np.argsort(height, kind="stable")[: t - k]], t)


def _components(joined: Int64[np.ndarray, "m 2"], t: int) -> Int64[np.ndarray, " t"]:
    """Which rows hang together, numbered by their first rows."""
    parent = list(range(t))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    for a, b in joined.tolist():
        low, high = sorted((root(a), root(b)))
        parent[high] = low  # so a root is the first row of its cluster
    roots = np.array([root(i) for i in range(t)], np.int64)
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _chain_by_numpy(far: Array, size: Array, joined: Array, height: Array) -> None:
    """The same as :func:`_chain`, to the last bit."""
    t, made, chain = len(far), 0, [0]
    while made < t - 1:
        if not chain:
            chain.append(int(np.flatnonzero(size > 0)[0]))
        a = chain[-1]
        b = int(far[a].argmin())
        if len(chain) > 1 and far[a, chain[-2]] <= far[a, b]:  # of equals, the one that it came from: chains must end
            b = chain[-2]
            del chain[-2:]
            joined[made], height[made] = (a, b), far[a, b]
            made += 1
            both = size[a] + size[b] + size
            row = ((size[a] + size) * far[a] + (size[b] + size) * far[b] - size * far[a, b]) / both
            row[~np.isfinite(row)] = np.inf
            row[a] = np.inf
            far[a], far[:, a] = row, row
            far[b], far[:, b] = np.inf, np.inf
            size[a] += size[b]
            size[b] = 0
        else:
            chain.append(b)


def _chain(far, size, joined, height):  # type: ignore[no-untyped-def]
    """What numba compiles: go to the nearest neighbour until two are each other's, and join them."""
    t = len(far)
    chain = np.empty(t + 1, np.int64)
    chain[0], length, made = 0, 1, 0
    while made < t - 1:
        if length == 0:
            first = 0
            while size[first] == 0:
                first += 1
            chain[0], length = first, 1
        a = chain[length - 1]
        b = 0
        for j in range(1, t):
            if far[a, j] < far[a, b]:
                b = j
        if length < 2 or far[a, chain[length - 2]] > far[a, b]:
            chain[length] = b
            length += 1
            continue
        b = chain[length - 2]
        length -= 2
        joined[made, 0], joined[made, 1], height[made] = a, b, far[a, b]
        made += 1
        apart = far[a, b]
        for j in range(t):
            if size[j] > 0 and j not in (a, b):
                both = size[a] + size[b] + size[j]
                row = ((size[a] + size[j]) * far[a, j] + (size[b] + size[j]) * far[b, j] - size[j] * apart) / both
                far[a, j], far[j, a] = row, row
            far[b, j], far[j, b] = np.inf, np.inf
        far[a, a] = np.inf
        size[a] += size[b]
        size[b] = 0


def _build() -> Callable[..., Any]:
    numba = importlib.import_module("numba")
    compiled: Callable[..., Any] = numba.njit(nogil=True)(inspect.unwrap(_chain))
    return compiled


kernel = Kernel(_build)
"""The chains; ``kernel.compile_now()`` brings numba in at once."""
