"""How alike two models are, seen through their vectors of the same items."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import ShapeError
from nestvec.core.types import Array, ArrayLike, Float64

_BLOCK = 8192  # rows multiplied at a time


def linear_cka(x: ArrayLike, y: ArrayLike) -> float:
    """How alike two geometries are as a whole: linear centred kernel alignment.

    ``|Y^T X|_F^2 / (|X^T X|_F |Y^T Y|_F)`` of centred columns. Rotation and scale change nothing, and the two may
    differ in width. Strong directions decide: two models with a value near 1 may still find different neighbours.

    Args:
        x: ``[n, d]`` float.
        y: ``[n, e]`` float, row ``i`` being the same item.

    Returns:
        0 to 1; NaN if one of the two does not vary.

    Raises:
        ShapeError: the two differ in rows.
        NotFiniteError: a value is NaN or infinite.

    Cost: ``n (d + e)^2`` multiplications, in blocks.

    Source: Kornblith et al. 2019, eq. 3 and sec. 3 (arXiv:1905.00414).
    """
    a, b = as_matrix(x, name="x"), as_matrix(y, name="y")
    if len(a) != len(b):
        raise ShapeError(f"x and y must have one row for each item, got {len(a)} and {len(b)}.")
    if not len(a):
        return float("nan")
    d = a.shape[1]
    centre_a, centre_b = a.mean(axis=0, dtype=np.float64), b.mean(axis=0, dtype=np.float64)
    gram = np.zeros((d + b.shape[1],) * 2)
    for lo in range(0, len(a), _BLOCK):
        both = np.hstack([a[lo : lo + _BLOCK] - centre_a, b[lo : lo + _BLOCK] - centre_b])
        gram += both.T @ both
    below = float(np.linalg.norm(gram[:d, :d]) * np.linalg.norm(gram[d:, d:]))
    return float((gram[:d, d:] ** 2).sum()) / below if below > 0 else float("nan")


def jaccard(first: ArrayLike, second: ArrayLike) -> Float64[np.ndarray, " q"]:
    """The share of neighbours that two models have in common: ``|A and B| / |A or B|`` for each query.

    Args:
        first: ``[q, k]`` ids that one model found, each once in a row; -1 is padding.
        second: ``[q, k']`` what the other found.

    Returns:
        ``[q]`` from 0 to 1; NaN where both found nothing.

    Raises:
        ShapeError: not two matrices with one row a query.

    Source: Caspari et al. 2024 (arXiv:2407.08275).
    """
    a, b = _both(first, second)
    shared = ((a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]).sum(axis=(1, 2))
    union = (a >= 0).sum(axis=1) + (b >= 0).sum(axis=1) - shared
    return _divide(shared.astype(np.float64), union)


def rank_similarity(first: ArrayLike, second: ArrayLike) -> Float64[np.ndarray, " q"]:
    """Whether neighbours that two models share stand at the same ranks, the top counting most.

    ``sum_j 2 / ((1 + |r_j - s_j|) (r_j + s_j)) / sum_{i=1}^{K} 1 / i`` over the ``K`` shared ids, with ranks ``r`` and
    ``s`` from 1. It says nothing about ids that are not shared: read it beside :func:`jaccard`.

    Args:
        first: ``[q, k]`` ids, best first, each once in a row; -1 is padding.
        second: ``[q, k']``.

    Returns:
        ``[q]`` from 0 (nothing shared) to 1 (the shared ids are the top of both, in one order); NaN where both found
        nothing.

    Raises:
        ShapeError: not two matrices with one row a query.

    Source: Klabunde et al. 2023, sec. 3.4 (arXiv:2305.06329), as used by Caspari et al. 2024 (arXiv:2407.08275).
    """
    a, b = _both(first, second)
    same = (a[:, :, None] == b[:, None, :]) & (a >= 0)[:, :, None]
    r = np.arange(1, a.shape[1] + 1)[:, None]
    s = np.arange(1, b.shape[1] + 1)[None, :]
    weight = 2 / ((1 + np.abs(r - s)) * (r + s))
    best = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, max(min(a.shape[1], b.shape[1]), 1) + 1))])
    count = same.sum(axis=(1, 2))
    out = _divide((same * weight).sum(axis=(1, 2)), best[count])
    out[(count == 0) & ((a >= 0).any(axis=1) | (b >= 0).any(axis=1))] = 0.0
    return out


def _both(first: ArrayLike, second: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(first, np.int64), np.asarray(second, np.int64)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ShapeError(f"first and second must be [q, k] with one row a query, got {a.shape} and {b.shape}.")
    return a, b


def _divide(a: Array, b: Array) -> Float64[np.ndarray, " q"]:
    out = np.full(len(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out
