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


def ndcg(
    ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None, depth: int | None = None
) -> Float64[np.ndarray, " q"]:
    """Normalised discounted cumulative gain at ``k``, gains taken as they are (not ``2**g - 1``).

    ``DCG = sum_i g_i / log2(i + 1)`` over the ranks ``i = 1 … k``, divided by the DCG of the best ranking.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank, at least 0; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains judged for that query, best first, 0 after them. The first ``k`` are read.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.
        depth: ``k``, where ``ranks`` are given; without it the whole ideal ranking is compared with.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item, so that a mean has to decide about it.

    Raises:
        ShapeError: not two matrices with one row a query.
        InputError: a gain is negative, or ``ideal`` is not in falling order.
        NotFiniteError: a gain is NaN or infinite.

    Source: Järvelin and Kekäläinen 2002, TOIS 20(4), with the log2(rank + 1) discount of trec_eval.
    """
    found, best, at = _gains(ranked, ideal, ranks)
    best = best[:, : depth if ranks is not None else found.shape[1]]
    most = (best / np.log2(np.arange(2, best.shape[1] + 2))).sum(axis=1)
    return _divide((found / np.log2(at + 1)).sum(axis=1), most)


def recall(ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None) -> Float64[np.ndarray, " q"]:
    """The part of the relevant items that is among the first ``k``; an item is relevant if its gain is above 0.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains of all relevant items, also where there are more than ``k`` of them.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.3 and 8.4, cut at k.
    """
    found, best, _ = _gains(ranked, ideal, ranks)
    return _divide(np.count_nonzero(found, axis=1).astype(np.float64), np.count_nonzero(best, axis=1))


def reciprocal_rank(
    ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None
) -> Float64[np.ndarray, " q"]:
    """One over the rank of the first relevant item, 0 if there is none among the first ``k``. Its mean is the MRR.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains judged for that query, best first.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Voorhees 1999, TREC-8 question answering track, sec. 2.
    """
    found, best, at = _gains(ranked, ideal, ranks)
    first = np.max((found > 0) / at, axis=1, initial=0.0)
    return np.where((best > 0).any(axis=1), first, np.nan)


def precision(
    ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None, depth: int | None = None
) -> Float64[np.ndarray, " q"]:
    """The part of the first ``k`` that is relevant; ranks without an item count as not relevant.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank, ``k >= 1``; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains judged for that query, best first.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.
        depth: ``k``, where ``ranks`` are given.

    Returns:
        ``[q]`` in [0, 1], at most ``m / k`` with ``m`` relevant items; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`; also with ``k = 0``.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.3 and 8.4.
    """
    found, best, _ = _gains(ranked, ideal, ranks)
    k = depth if ranks is not None else found.shape[1]
    if not k or k < 1:
        raise ShapeError(f"precision needs ranks 1 to k with k >= 1, got ranked {found.shape} and depth {depth}.")
    return np.where((best > 0).any(axis=1), np.count_nonzero(found, axis=1) / k, np.nan)


def average_precision(
    ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None
) -> Float64[np.ndarray, " q"]:
    """The precision at the rank of each relevant item, averaged; one not found adds 0. Its mean is the MAP.

    ``AP = (1 / m) sum_j j / rank_j`` over the relevant items found, the ``j``-th at ``rank_j``, of ``m`` in all.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains of all relevant items, also where there are more than ``k`` of them.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.4.
    """
    found, best, at = _gains(ranked, ideal, ranks)
    hit = found > 0
    precisions = np.cumsum(hit, axis=1) / at
    return _divide((precisions * hit).sum(axis=1), np.count_nonzero(best, axis=1))


def success(ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None) -> Float64[np.ndarray, " q"]:
    """1 where any of the first ``k`` is relevant, else 0. Its mean is also called the hit rate.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; 0 for an unjudged or missing item.
        ideal: ``[q, m]`` the gains judged for that query, best first.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.

    Returns:
        ``[q]`` 0 or 1; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Craswell and Hawking 2004, TREC web track, success at k.
    """
    found, best, _ = _gains(ranked, ideal, ranks)
    return np.where((best > 0).any(axis=1), (found > 0).any(axis=1).astype(np.float64), np.nan)


def r_precision(ranked: ArrayLike, ideal: ArrayLike, *, ranks: ArrayLike | None = None) -> Float64[np.ndarray, " q"]:
    """The precision at rank ``m``, where ``m`` is the number of relevant items: a depth that suits each query.

    Args:
        ranked: ``[q, k]`` gain of the item at each rank; ranks past ``k`` count as not relevant.
        ideal: ``[q, m]`` the gains of all relevant items, best first.
        ranks: ``[q, k]`` the rank of each column from 1, rising, where the items without a gain are left out of
            ``ranked``; without it the columns are the ranks ``1 … k``.

    Returns:
        ``[q]`` in [0, 1]; NaN for a query without any relevant item.

    Raises:
        ShapeError, InputError, NotFiniteError: as for :func:`ndcg`.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.4.
    """
    found, best, at = _gains(ranked, ideal, ranks)
    relevant = np.count_nonzero(best, axis=1)
    inside = at <= relevant[:, None]
    return _divide(np.count_nonzero((found > 0) & inside, axis=1).astype(np.float64), relevant)


def _gains(ranked: ArrayLike, ideal: ArrayLike, ranks: ArrayLike | None) -> tuple[Gains, Gains, Gains]:
    """The door of this room: gains found, ideal gains and ranks as float64 matrices, checked once."""
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
    if ranks is None:
        return found, best, np.broadcast_to(np.arange(1.0, found.shape[1] + 1), found.shape)
    at = np.asarray(ranks, np.float64)
    if at.shape != found.shape:
        raise ShapeError(f"ranks must be of the shape of ranked, got {at.shape} and {found.shape}.")
    if (at[:, :1] < 1).any() or (np.diff(at, axis=1) < 1).any():
        raise InputError("ranks must start at 1 or later and rise by at least 1 from column to column.")
    return found, best, at


def _divide(a: Float64[np.ndarray, " q"], b: np.ndarray) -> Float64[np.ndarray, " q"]:
    out = np.full(len(a), np.nan)
    np.divide(a, b, out=out, where=b > 0)
    return out
