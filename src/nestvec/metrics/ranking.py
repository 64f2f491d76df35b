"""How good a ranking is, one number a query.

Every metric here has one form, ``metric(ranked, ideal)``: the gains of what was found, in the order found,
and the gains of everything there was to find. :func:`judge` makes the two from ids.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import ArrayLike, Float64

Gains = Float64[np.ndarray, "q _"]
Judgements = Mapping[str, float] | Mapping[str, int]


def judge(found: Sequence[Sequence[str]], judged: Sequence[Judgements], *, k: int) -> tuple[Gains, Gains]:
    """Turn rankings of ids into the two arrays that the metrics read.

    Args:
        found: the ids found for each query, best first; those after the ``k``-th are ignored.
        judged: one ``{id: gain}`` a query. An id that is not named has gain 0, and so has a negative gain.
        k: depth of the ranking, at least 1.

    Returns:
        ``ranked`` ``[q, k]``, 0 where fewer than ``k`` were found; and ``ideal`` ``[q, m]``, the positive gains
        of each query, highest first, padded with 0 to the longest of them and to at least ``k``.

    Raises:
        InputError: ``k < 1``, or an id comes twice in the first ``k`` of a query.
        ShapeError: not one set of judgements a query.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    if len(found) != len(judged):
        raise ShapeError(f"found and judged must have one entry a query, got {len(found)} and {len(judged)}.")
    best = [sorted((gain for gain in gains.values() if gain > 0), reverse=True) for gains in judged]
    ranked = np.zeros((len(found), k))
    ideal = np.zeros((len(found), max((k, *map(len, best)))))
    for i, (ids, gains) in enumerate(zip(found, judged, strict=True)):
        top = list(ids[:k])
        if len(set(top)) < len(top):
            twice = next(name for name in top if top.count(name) > 1)
            raise InputError(f"an id may be found once for a query, got {twice!r} twice for query {i}.")
        ranked[i, : len(top)] = [max(gains.get(name, 0.0), 0.0) for name in top]
        ideal[i, : len(best[i])] = best[i]
    return ranked, ideal


def ndcg(ranked: ArrayLike, ideal: ArrayLike) -> Float64[np.ndarray, " q"]:
    """Normalised discounted cumulative gain at ``k``, gains taken as they are (not ``2**g - 1``).

    ``DCG = sum_i g_i / log2(i + 1)`` over the ranks ``i = 1 … k``, divided by the DCG of the best ranking.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank, at least 0; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains judged for that query, best first, 0 after them. The first ``k`` are read.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item, so that a mean has to decide about it.

    Raises:
        ShapeError: not two matrices with one row a query.
        InputError: a gain is negative, or ``ideal`` is not in falling order.
        NotFiniteError: a gain is NaN or infinite.

    Source: Järvelin and Kekäläinen 2002, TOIS 20(4), with the log2(rank + 1) discount of trec_eval.
    """
    found, best = _gains(ranked, ideal)
    k = found.shape[1]
    discount = 1 / np.log2(np.arange(2, max(k, best.shape[1]) + 2))
    most = best[:, :k] @ discount[: best[:, :k].shape[1]]
    return _divide(found @ discount[:k], most)


def recall(ranked: ArrayLike, ideal: ArrayLike) -> Float64[np.ndarray, " q"]:
    """The part of the relevant items that is among the first ``k``; an item is relevant if its gain is above 0.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains of all relevant items, also where there are more than ``k`` of them.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.3 and 8.4, cut at k.
    """
    found, best = _gains(ranked, ideal)
    return _divide(np.count_nonzero(found, axis=1).astype(np.float64), np.count_nonzero(best, axis=1))


def reciprocal_rank(ranked: ArrayLike, ideal: ArrayLike) -> Float64[np.ndarray, " q"]:
    """One over the rank of the first relevant item, 0 if there is none among the first ``k``. Its mean is the MRR.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains judged for that query, best first.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Voorhees 1999, TREC-8 question answering track, sec. 2.
    """
    found, best = _gains(ranked, ideal)
    ranks = np.arange(1, found.shape[1] + 1)
    first = np.max((found > 0) / ranks, axis=1, initial=0.0)
    return np.where((best > 0).any(axis=1), first, np.nan)


def _gains(ranked: ArrayLike, ideal: ArrayLike) -> tuple[Gains, Gains]:
    """The door of this room: both as float64 matrices, checked once."""
    found, best = np.asarray(ranked, np.float64), np.asarray(ideal, np.float64)
    if found.ndim != 2 or best.ndim != 2 or len(found) != len(best):
        raise ShapeError(f"ranked and ideal must be [q, k] and [q, m], got {found.shape} and {best.shape}.")
    for name, gains in (("ranked", found), ("ideal", best)):
        if not np.isfinite(gains).all():
            raise NotFiniteError(f"{name} must be finite, got NaN or infinity.")
        if (gains < 0).any():
            raise InputError(f"{name} must have no negative gain, got {gains.min()}; use 0 for what is not relevant.")
    if (np.diff(best, axis=1) > 0).any():
        raise InputError("ideal must have the highest gain of each query first; sort each row in falling order.")
    return found, best


def _divide(a: Float64[np.ndarray, " q"], b: np.ndarray) -> Float64[np.ndarray, " q"]:
    out = np.full(len(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out
