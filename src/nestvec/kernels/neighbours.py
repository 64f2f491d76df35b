"""Exact nearest neighbours among rows in memory, in blocks."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Float32, Int64, Matrix
from nestvec.kernels.topk import Best

_QUERIES = 1024  # scored together
_ROWS = 4096  # rows in a block: 16 MB of scores


def unit(x: Matrix) -> Matrix:
    """Rows of length 1; a row of zeros stays one."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1), np.float32)


def nearest(
    queries: Float32[np.ndarray, "q d"], x: Float32[np.ndarray, "n d"], k: int, *, own: Int64[np.ndarray, " q"] | None
) -> tuple[Int64[np.ndarray, "q k"], Float32[np.ndarray, "q k"]]:
    """The ``k`` rows of ``x`` with the largest inner product, for each query.

    Args:
        queries: ``[q, d]`` float32.
        x: ``[n, d]`` float32.
        k: at least 1.
        own: ``[q]`` the position of each query in ``x``, which is left out of its answer; None if they are not there.

    Returns:
        Positions and inner products, best first, equal ones by the smaller position, padded with -1 and ``-inf``.

    Cost: ``q n`` inner products, and 16 MB of scores beside the answer.
    """
    ids = np.full((len(queries), k), -1, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    for first in range(0, len(queries), _QUERIES):
        some = queries[first : first + _QUERIES]
        mine = None if own is None else own[first : first + _QUERIES]
        found, values = _tile(some, x, k, mine)
        ids[first : first + len(some), : found.shape[1]] = found
        scores[first : first + len(some), : found.shape[1]] = values
    return ids, scores


def _tile(queries: Array, x: Array, k: int, own: Array | None) -> tuple[Array, Array]:
    best = Best(len(queries), k, n=len(x))
    columns = np.arange(len(queries))
    for lo in range(0, len(x), _ROWS):
        scores = np.asarray(x[lo : lo + _ROWS], np.float32) @ queries.T
        if own is not None:
            inside = (own >= lo) & (own < lo + len(scores))
            scores[own[inside] - lo, columns[inside]] = -np.inf
        best.offer(scores, lo)
    return best.result()
