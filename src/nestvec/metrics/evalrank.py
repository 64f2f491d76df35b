"""Whether a paraphrase is found among everything else: a score that goes with how well a model searches."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import ShapeError
from nestvec.core.types import ArrayLike, Float64, Int64, Matrix

_ROWS, _PAIRS = 4096, 1024  # cosines at a time: 32 MB


def pair_ranks(x: ArrayLike, y: ArrayLike, background: ArrayLike) -> Int64[np.ndarray, " n"]:
    """The rank of each pair's second item among a background, seen from the first, by centred cosine.

    All vectors are centred on the mean of the background. The rank of ``y_i`` is how many of the background are closer
    to ``x_i`` than it is, at least 1; usually ``x_i`` itself is one of them. ``mean(1 / rank)`` is EvalRank.

    Args:
        x: ``[n, d]`` float, the first item of each pair.
        y: ``[n, d]`` float, the second.
        background: ``[m, d]`` float, everything else; it may hold the items of the pairs.

    Returns:
        ``[n]`` ranks from 1 to ``m``; equal cosines do not push a rank back.

    Raises:
        ShapeError: the three do not fit together, or the background is empty.
        NotFiniteError: a value is NaN or infinite.

    Cost: ``n m`` inner products, in blocks.

    Source: Wang et al. 2022, sec. 4 (arXiv:2203.02679).
    """
    b = as_matrix(background, name="background", at_least=1)
    first, second = (as_matrix(v, name=name, dim=b.shape[1]) for v, name in ((x, "x"), (y, "y")))
    if len(first) != len(second):
        raise ShapeError(f"x and y must have one row a pair, got {len(first)} and {len(second)}.")
    centre = b.mean(axis=0, dtype=np.float64)
    first, second = _directions(first, centre), _directions(second, centre)
    own = (first * second).sum(axis=1)
    closer = np.zeros(len(first), np.int64)
    for start in range(0, len(b), _ROWS):
        others = _directions(b[start : start + _ROWS], centre)
        for lo in range(0, len(first), _PAIRS):
            mine = slice(lo, lo + _PAIRS)
            # y itself may be in the background, and must not beat itself by the rounding of another product
            closer[mine] += (first[mine] @ others.T > own[mine, None] + 1e-9).sum(axis=1)
    return np.maximum(closer, 1)


def _directions(x: Matrix, centre: Float64[np.ndarray, " d"]) -> Float64[np.ndarray, "n d"]:
    moved = x - centre
    length = np.linalg.norm(moved, axis=1, keepdims=True)
    return np.asarray(moved / np.where(length > 0, length, 1))
