"""How far two rankings of the same query agree, without judgements: what a smaller size kept of the full one's results.

Rankings are ``[q, k]`` ids, best first, -1 where nothing was found, as searchers give them.
"""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64


def overlap(found: ArrayLike, reference: ArrayLike) -> Float64[np.ndarray, " q"]:
    """The share of the reference's first ``k`` items that are also found; order inside the ``k`` does not matter.

    Args:
        found: ``[q, k]`` int ids, -1 where missing.
        reference: ``[q, k]`` int ids of the same queries, -1 where missing; the two may differ in ``k``.

    Returns:
        ``[q]`` in [0, 1]; NaN where the reference is empty.

    Raises:
        ShapeError: not two matrices with one row a query.
        InputError: not whole numbers, or an id comes twice in a row.

    Cost: a sort of each row.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.3: recall, with the reference as the truth.
    """
    a, b = _door(found, reference)
    size = (b >= 0).sum(axis=1)
    out = np.full(len(a), np.nan)
    np.divide((_place(a, b) >= 0).sum(axis=1), size, out=out, where=size > 0)
    return out


def rank_biased_overlap(found: ArrayLike, reference: ArrayLike, *, p: float = 0.9) -> Float64[np.ndarray, " q"]:
    """How alike two rankings are, with more weight at the top, extrapolated past their ends (RBO).

    With ``X_d`` items in common among the first ``d`` of both, the weighted mean ``(1 - p) sum_d p^(d - 1) X_d / d``,
    where the agreement at the end is taken to go on. Where one ranking is longer, the shorter one is taken to go on as
    well as it has been.

    Args:
        found: ``[q, k]`` int ids, -1 after the last.
        reference: ``[q, k]`` int ids of the same queries, -1 after the last; the two may differ in ``k``.
        p: in (0, 1): a reader goes on from each item to the next with this probability, so that ``1 / (1 - p)`` items
            are looked at on average. With .9 the first ten weigh 86 %.

    Returns:
        ``[q]`` in [0, 1]; the same when the two change places. 0 where one ranking is empty, NaN where both are.

    Raises:
        ShapeError: not two matrices with one row a query.
        InputError: ``p`` out of range, ids not whole numbers, an id twice in a row, or an id after a -1.

    Cost: a sort of each row.

    Source: Webber, Moffat and Zobel 2010, eq. 32 (sec. 4.4).
    """
    if not 0 < p < 1:
        raise InputError(f"p must lie between 0 and 1, got {p}.")
    a, b = _door(found, reference)
    for name, x in (("found", a), ("reference", b)):
        if ((x[:, :-1] < 0) & (x[:, 1:] >= 0)).any():
            raise InputError(f"{name} must have -1 only after the last id of a query; move the ids to the front.")
    lengths = np.stack([(a >= 0).sum(axis=1), (b >= 0).sum(axis=1)])
    short, long = lengths.min(axis=0), lengths.max(axis=0)
    depth = max(a.shape[1], b.shape[1])
    both = _in_common(a, b, depth)  # [q, depth]
    d = np.arange(1.0, depth + 1)
    weight = p**d
    rows = np.arange(len(a))
    at_short = np.where(short > 0, both[rows, np.maximum(short, 1) - 1], 0) if depth else np.zeros(len(a))
    at_long = np.where(long > 0, both[rows, np.maximum(long, 1) - 1], 0) if depth else np.zeros(len(a))
    s, n = np.maximum(short, 1)[:, None], np.maximum(long, 1)
    seen = (both / d * weight * (d <= long[:, None])).sum(axis=1)
    assumed = (at_short[:, None] * (d - s) / (s * d) * weight * ((d > short[:, None]) & (d <= long[:, None]))).sum(
        axis=1
    )
    end = ((at_long - at_short) / n + at_short / s[:, 0]) * p**n
    value = (1 - p) / p * (seen + assumed) + end
    return np.where(long == 0, np.nan, np.where(short == 0, 0.0, np.clip(value, 0.0, 1.0)))


def _door(found: ArrayLike, reference: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(found), np.asarray(reference)
    if a.ndim != 2 or b.ndim != 2 or len(a) != len(b):
        raise ShapeError(f"found and reference must be [q, k], a row a query, got {a.shape} and {b.shape}.")
    for name, x in (("found", a), ("reference", b)):
        if x.dtype.kind not in "iu":
            raise InputError(f"{name} must hold whole numbers, ids, got {x.dtype}.")
        ordered = np.sort(x, axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
        if twice.any():
            raise InputError(f"an id may come once in a ranking, got one twice in {name}, query {twice.argmax()}.")
    return a.astype(np.int64), b.astype(np.int64)


def _place(a: Array, b: Array) -> Array:
    """``[q, k]`` the column of ``b`` in which each id of ``a`` stands, -1 where it does not."""
    if not a.size or not b.size:
        return np.full(a.shape, -1)
    _, ids = np.unique(np.concatenate([a, b], axis=1), return_inverse=True)  # small numbers, so that rows fit one line
    ids = ids.reshape(len(a), -1)
    keys = ids + np.arange(len(a))[:, None] * (int(ids.max()) + 1)
    mine, theirs = keys[:, : a.shape[1]], keys[:, a.shape[1] :].ravel()
    order = np.argsort(theirs)
    at = order[np.searchsorted(theirs, mine.ravel(), sorter=order).clip(max=len(order) - 1)]
    met = (theirs[at] == mine.ravel()) & (a.ravel() >= 0)
    return np.where(met, at % b.shape[1], -1).reshape(a.shape)


def _in_common(a: Array, b: Array, depth: int) -> Float64[np.ndarray, "q k"]:
    """How many ids stand among the first ``d`` of both, for each ``d``."""
    place = _place(a, b)
    rows, columns = np.nonzero(place >= 0)
    counts = np.zeros((len(a), depth))
    np.add.at(counts, (rows, np.maximum(columns, place[rows, columns])), 1.0)
    return np.cumsum(counts, axis=1)
