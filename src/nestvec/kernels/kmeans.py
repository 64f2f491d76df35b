"""Lloyd's k-means by BLAS."""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Float32, Int64
from nestvec.kernels.blocks import rows_times

_SCORES = 1 << 21  # floats of distances at a time: 8 MB


def nearest(x: Float32[np.ndarray, "n d"], centroids: Float32[np.ndarray, "k d"]) -> Int64[np.ndarray, " n"]:
    """The nearest centroid of each row by Euclidean distance; ties to the smaller number.

    A row's answer does not depend on the rows around it. Cost: ``n k d`` products.
    """
    half = (centroids * centroids).sum(axis=1) / 2
    out = np.empty(len(x), np.int64)
    step = max(_SCORES // len(centroids), 128)
    across = np.ascontiguousarray(centroids.T)
    for lo in range(0, len(x), step):
        np.argmax(rows_times(x[lo : lo + step], across) - half, axis=1, out=out[lo : lo + step])
    return out


def kmeans(
    x: Float32[np.ndarray, "n d"], k: int, *, rounds: int = 15, seed: int = 0, start: np.ndarray | None = None
) -> Float32[np.ndarray, "k d"]:
    """``k`` centroids of the rows of ``x``.

    Starts from ``k`` rows drawn without replacement. A centroid that lost all its rows is put on a row that is
    farthest from its own.

    Args:
        x: ``[n, d]``, ``n >= k``.
        k: how many.
        rounds: of assignment and mean.
        seed: of the draw.
        start: ``[k, d]`` centroids to go on from instead.

    Raises:
        InputError: there are fewer rows than centroids.

    Source: Lloyd 1982.
    """
    if len(x) < k:
        raise InputError(f"{k} centroids must come from at least {k} sample rows, got {len(x)}.")
    rng = np.random.default_rng(seed)
    centroids = x[np.sort(rng.choice(len(x), k, replace=False))].copy() if start is None else start.copy()
    for _ in range(rounds):
        own = nearest(x, centroids)
        count = np.bincount(own, minlength=k)
        order = np.argsort(own, kind="stable")
        first = np.cumsum(count) - count
        full = np.flatnonzero(count)
        centroids[full] = np.add.reduceat(x[order], first[full], axis=0) / count[full, None]
        empty = np.flatnonzero(count == 0)
        if len(empty):
            far = np.argsort(-np.square(x - centroids[own]).sum(axis=1), kind="stable")
            centroids[empty] = x[far[: len(empty)]]
    return centroids
