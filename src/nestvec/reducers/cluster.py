"""Fewer vectors for each item: its tokens in clusters, each replaced by its mean."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import ArrayLike, Float32, Int64
from nestvec.kernels import affine, ragged, ward
from nestvec.kernels.kmeans import kmeans, nearest

Method = Literal["ward", "kmeans"]

_NEAR = 1e-3  # how far from 1 the lengths of unit vectors may be, as those that were kept in half precision are


def pool(
    tokens: ArrayLike,
    offsets: ArrayLike,
    *,
    k: int | None = None,
    ratio: float | None = None,
    method: Method = "ward",
    seed: int = 0,
) -> tuple[Float32[np.ndarray, "s d"], Int64[np.ndarray, " n1"]]:
    """At most ``k`` vectors for each item, or a part ``ratio`` of them: means of clusters of its tokens.

    Where all tokens of an item have length 1, so have its vectors: plain means are the shorter the more their tokens
    differ, and eight of them found .57 of the ten best items instead of .67. Otherwise means are kept as they are.

    Args:
        tokens: ``[t, d]`` float.
        offsets: ``[n + 1]``; item ``i`` owns tokens ``offsets[i]`` to ``offsets[i + 1]``.
        k: for each item; one that has no more keeps its tokens as they are. At least 1.
        ratio: instead of ``k``: of ``t_i`` tokens ``ceil(ratio t_i)`` are left. Above 0, at most 1.
        method: ``ward`` joins clusters step by step, ``kmeans`` moves ``k`` centroids and may end with fewer of them.
        seed: of the first centroids of ``kmeans``; ``ward`` needs none.

    Returns:
        ``[s, d]`` float32, the clusters of an item in the order of their first tokens, and ``[n + 1]`` offsets of them.
        What an item gets does not depend on the other items. An item without tokens stays without.

    Raises:
        InputError: neither or both of ``k`` and ``ratio`` are given, one is out of range, or the method is unknown.
        ShapeError, NotFiniteError: the arrays do not fit together, or are not finite.

    Cost: ``ward`` ``t_i**2`` distances an item, ``kmeans`` ``15 t_i k`` of them.

    Source: Clavié et al. 2024, sec. 3 (arXiv:2409.14683), for tokens by Ward's method; Veneroso et al. 2025
    (arXiv:2505.11471), for a fixed number or share of clusters.
    """
    x, where, wanted = _checked(tokens, offsets, k, ratio, method)
    kept = [x[:0]]
    for i, keep in enumerate(wanted):
        mine = x[where[i] : where[i + 1]]
        if keep < len(mine):
            own = _own(mine, keep, method, seed)
            mine = affine.normalised(_means(mine, own)) if _unit(mine) else _means(mine, own)
        kept.append(mine)
    return np.concatenate(kept), np.cumsum([len(some) for some in kept], dtype=np.int64)


def members(
    tokens: ArrayLike,
    offsets: ArrayLike,
    *,
    k: int | None = None,
    ratio: float | None = None,
    method: Method = "ward",
    seed: int = 0,
) -> Int64[np.ndarray, " t"]:
    """Which of the vectors that :func:`pool` gives for its item each token went into: ``[t]``, from 0 in each item.

    Arguments, errors and cost are those of :func:`pool`.
    """
    x, where, wanted = _checked(tokens, offsets, k, ratio, method)
    out: Int64[np.ndarray, " t"] = np.arange(len(x)) - np.repeat(where[:-1], np.diff(where))
    for i, keep in enumerate(wanted):
        mine = slice(where[i], where[i + 1])
        if keep < where[i + 1] - where[i]:
            out[mine] = _own(x[mine], keep, method, seed)
    return out


def _checked(
    tokens: ArrayLike, offsets: ArrayLike, k: int | None, ratio: float | None, method: str
) -> tuple[Float32[np.ndarray, "t d"], Int64[np.ndarray, " n1"], list[int]]:
    """Tokens, offsets, and how many vectors each item may have."""
    x = as_matrix(tokens, name="tokens")
    where = ragged.as_offsets(offsets, end=len(x))
    if method not in get_args(Method):
        raise InputError(f"method must be 'ward' or 'kmeans', got {method!r}.")
    return x, where, _wanted(np.diff(where), k, ratio)


def _own(x: Float32[np.ndarray, "t d"], k: int, method: Method, seed: int) -> Int64[np.ndarray, " t"]:
    return ward.clusters(x, k) if method == "ward" else _by_kmeans(x, k, seed)


def _wanted(size: Int64[np.ndarray, " n"], k: int | None, ratio: float | None) -> list[int]:
    """How many vectors each item may have."""
    if (k is None) == (ratio is None):
        raise InputError(f"give either k or ratio, got k={k} and ratio={ratio}.")
    if k is not None:
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}.")
        return [k] * len(size)
    if ratio is None or not 0 < ratio <= 1:
        raise InputError(f"ratio must be above 0 and at most 1, got {ratio}.")
    return [int(n) for n in np.ceil(size * ratio - 1e-9)]  # three tenths of ten are three, whatever floats say


def _by_kmeans(x: Float32[np.ndarray, "t d"], k: int, seed: int) -> Int64[np.ndarray, " t"]:
    """Clusters numbered by their first rows; fewer than ``k`` where rows are equal."""
    own = nearest(x, kmeans(x, k, seed=seed))
    first = np.unique(own, return_index=True)[1]
    rank = {int(own[i]): place for place, i in enumerate(np.sort(first))}
    return np.array([rank[int(c)] for c in own], np.int64)


def _unit(x: Float32[np.ndarray, "t d"]) -> bool:
    return bool((np.abs(np.linalg.norm(x, axis=1) - 1) < _NEAR).all())


def _means(x: Float32[np.ndarray, "t d"], own: Int64[np.ndarray, " t"]) -> Float32[np.ndarray, "k d"]:
    order = np.argsort(own, kind="stable")
    first = np.flatnonzero(np.diff(own[order], prepend=-1))
    total = np.add.reduceat(x[order], first, axis=0, dtype=np.float64)
    return (total / np.diff(first, append=len(x))[:, None]).astype(np.float32)
