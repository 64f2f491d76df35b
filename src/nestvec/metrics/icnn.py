"""ICNN: whether the nearest neighbours of labelled vectors are of their own class, and closer than the others."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike

_BLOCK = 1 << 22  # distances at a time: 32 MB


def icnn(x: ArrayLike, labels: ArrayLike, *, k: int = 7) -> float:
    """How well classes are kept apart, from the ``k`` nearest neighbours of every vector.

    Each dimension is scaled to [0, 1]. Around each point distances ``r`` of its neighbours are scaled to [0, 1]; then
    ``l = sqrt((sum(r of other classes) + sum(1 - r of its own)) / k)`` and ``g = sqrt(share of its own class)``. The
    score is ``(mean l + mean g) / 2``.

    Args:
        x: ``[n, d]`` float, more than ``k`` rows.
        labels: ``[n]`` a class each.
        k: how many neighbours.

    Returns:
        0 to 1; higher is better.

    Raises:
        ShapeError: not one label a vector, or not more than ``k`` vectors.
        InputError: ``k < 1``.
        NotFiniteError: a value is NaN or infinite.

    Cost: ``n^2`` distances, in blocks.

    Without the variance term of the definition, which its public code leaves out as well.
    """
    values = as_matrix(x, name="x").astype(np.float64)
    names = np.asarray(labels)
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    if names.shape != (len(values),) or len(values) <= k:
        raise ShapeError(f"there must be a label a vector, and more than k={k}, got {len(values)} and {names.shape}.")
    spread = np.ptp(values, axis=0)
    values = (values - values.min(axis=0)) / np.where(spread > 0, spread, 1)
    near, share = np.empty(len(values)), np.empty(len(values))
    step = max(_BLOCK // len(values), 1)
    for lo in range(0, len(values), step):
        rows = np.arange(lo, min(lo + step, len(values)))
        distances, ids = _neighbours(values, rows, k)
        own = names[ids] == names[rows][:, None]
        low, width = distances.min(axis=1, keepdims=True), np.ptp(distances, axis=1)[:, None]
        r = (distances - low) / np.where(width > 0, width, 1)
        near[rows] = np.sqrt(np.where(own, 1 - r, r).sum(axis=1) / k)
        share[rows] = np.sqrt(own.mean(axis=1))
    return float((near.mean() + share.mean()) / 2)


def _neighbours(x: Array, rows: Array, k: int) -> tuple[Array, Array]:
    """Distances and positions of the ``k`` nearest others, nearest first, ties to the smaller position."""
    square = (x**2).sum(axis=1)
    apart = square[rows][:, None] + square - 2 * (x[rows] @ x.T)
    apart[np.arange(len(rows)), rows] = np.inf
    ids = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return np.sqrt(np.maximum(np.take_along_axis(apart, ids, axis=1), 0)), ids
