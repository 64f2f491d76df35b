"""Rankings and judgements of many queries at once, and where in a ranking the judged items stand.

A measure needs to know at which rank each *judged* item is; what the other items are called does not matter to it.
:func:`grade` finds those ranks without looking at the names of the rest, which is what makes it quick.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64, Int64

Named = Mapping[Any, Mapping[Any, Any]]
"""``{query: {item: number}}``; that they are numbers, of whatever type, is checked where they are read."""


@dataclass(frozen=True)
class Qrels:
    """What was judged: for each query, the gain of every judged item.

    Args:
        judged: ``{query: {item: gain}}``. A gain above 0 means relevant; 0 and below, judged and not relevant. A query
            may have no judgements; its measures are NaN.

    Raises:
        InputError: a gain is not a number.
        NotFiniteError: a gain is NaN or infinite.
    """

    judged: Named

    def __post_init__(self) -> None:
        if np.isfinite(_numbers(gain for gains in self.judged.values() for gain in gains.values())).all():
            return
        for query, gains in self.judged.items():
            for item, gain in gains.items():
                if gain is None or not math.isfinite(gain):
                    raise NotFiniteError(f"a gain must be finite, got {gain} for query {query!r}, item {item!r}.")

    @classmethod
    def of(cls, rows: Iterable[tuple[Hashable, Hashable, Any]]) -> Qrels:
        """From ``(query, item, gain)`` rows, as in a file of judgements.

        Raises:
            InputError: a pair comes twice.
        """
        judged: dict[Hashable, dict[Hashable, Any]] = {}
        for query, item, gain in rows:
            gains = judged.setdefault(query, {})
            if item in gains:
                raise InputError(f"a pair may be judged once, got query {query!r}, item {item!r} twice.")
            gains[item] = gain
        return cls(judged)

    @property
    def queries(self) -> tuple[Any, ...]:
        """In the order of ``judged``; every result of a measure has this order."""
        return tuple(self.judged)

    def unknown(self, items: Iterable[Hashable]) -> tuple[Hashable, ...]:
        """Judged items that are not among ``items``: they can never be found, and count as missed."""
        known = set(items)
        return tuple(dict.fromkeys(item for gains in self.judged.values() for item in gains if item not in known))


@dataclass(frozen=True)
class Run:
    """What was found, as arrays: the form in which searchers give it.

    A dict ``{query: {item: score}}`` may stand wherever a run is asked for.

    Args:
        queries: names of the queries, in the order of the rows.
        ids: ``[q, k]`` int64 items found; -1 where there were fewer than ``k``.
        scores: ``[q, k]`` higher is better; what stands beside an id of -1 is ignored. Rows need not be sorted: items
            are ranked by falling score, equal scores by rising id. Without scores, the columns are the ranks.
        items: names of the items by id; without it, judgements must name items by id.

    Raises:
        ShapeError: the arrays differ in shape, or there is not one name a row.
        InputError: a query comes twice, an item comes twice for one query, or an id has no name.
        NotFiniteError: a score is NaN.
    """

    queries: Sequence[Any]
    ids: Int64[np.ndarray, "q k"]
    scores: ArrayLike | None = None
    items: Sequence[Any] | None = None

    def __post_init__(self) -> None:
        if self.ids.ndim != 2 or len(self.queries) != len(self.ids):
            raise ShapeError(
                f"ids must be [q, k], a row a query, got {self.ids.shape} for {len(self.queries)} queries."
            )
        if len(set(self.queries)) < len(self.queries):
            raise InputError("a query may have one ranking; its name comes twice among the queries of the run.")
        if self.items is not None and self.ids.size and self.ids.max() >= len(self.items):
            raise InputError(f"every id must have a name, got id {self.ids.max()} and {len(self.items)} items.")
        ordered = np.sort(self.ids, axis=1)
        twice = ((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any(axis=1)
        if twice.any():
            raise InputError(f"an item may be found once, got one twice for query {self.queries[twice.argmax()]!r}.")
        if self.scores is not None:
            scores = np.asarray(self.scores)
            if scores.shape != self.ids.shape:
                raise ShapeError(f"ids and scores must agree, got {self.ids.shape} and {scores.shape}.")
            if (np.isnan(scores) & (self.ids >= 0)).any():
                raise NotFiniteError("scores must not be NaN; give an item without a score no place in the run.")

    def ranked(self) -> Int64[np.ndarray, "q k"]:
        """``ids`` with the best first, -1 last."""
        if self.scores is None:
            order = np.argsort(self.ids < 0, axis=1, kind="stable")
            return np.take_along_axis(self.ids, order, axis=1) if (self.ids < 0).any() else self.ids
        scores = np.where(self.ids >= 0, np.asarray(self.scores, np.float64), -np.inf)
        before, after = scores[:, :-1], scores[:, 1:]
        rising_ids = (self.ids[:, 1:] > self.ids[:, :-1]) & (self.ids[:, :-1] >= 0)
        sorted_ = (self.ids[:, 1:] < 0) | (after < before) | ((after == before) & rising_ids)
        wrong = np.flatnonzero(~sorted_.all(axis=1))
        if not len(wrong):
            return self.ids
        ids = self.ids.copy()
        missing = ids[wrong] < 0
        order = np.lexsort((ids[wrong], -scores[wrong], missing), axis=1)
        ids[wrong] = np.take_along_axis(ids[wrong], order, axis=1)
        return ids


@dataclass(frozen=True)
class Graded:
    """Judgements, and the rank of every judged item that was found.

    Args:
        queries: names, those of the judgements and in their order.
        query: ``[m]`` int64, which query each found judged item belongs to; rising.
        rank: ``[m]`` int64 from 1, rising within a query.
        gain: ``[m]`` float64 as judged.
        ideal: ``[q, r]`` float64, for each query the gains above 0, highest first, 0 after them.
        unjudged: queries of the run that have no judgements at all and so no value.
    """

    queries: tuple[Any, ...]
    query: Int64[np.ndarray, " m"]
    rank: Int64[np.ndarray, " m"]
    gain: Float64[np.ndarray, " m"]
    ideal: Float64[np.ndarray, "q r"]
    unjudged: tuple[Any, ...]


def grade(run: Run | Named, qrels: Qrels | Named) -> Graded:
    """Find the judged items in a run.

    Args:
        run: arrays, or ``{query: {item: score}}``. Items are ranked by falling score, equal scores by the smaller item:
            the smaller id, or the name that comes first. (trec_eval and pytrec_eval rank equal scores by the name that
            comes *last*, and know scores to 32 bits only.) A judged query that the run lacks found nothing.
        qrels: what was judged.

    Raises:
        InputError: a score or gain is not a number, or names that tie cannot be compared.
        NotFiniteError: a score is NaN, or a gain not finite.

    Cost: one pass over the scores for each query, and a sort of them where a judged item was found; judged items
    are looked up by name, all others never.
    """
    qrels = qrels if isinstance(qrels, Qrels) else Qrels(qrels)
    found = _in_arrays(run, qrels) if isinstance(run, Run) else _in_names(run, qrels)
    named = run.queries if isinstance(run, Run) else run
    unjudged = tuple(name for name in named if name not in qrels.judged)
    return Graded(qrels.queries, *found, _ideal(qrels), unjudged)


def _in_names(run: Named, qrels: Qrels) -> tuple[Array, Array, Array]:
    counts = np.zeros(len(qrels.judged), np.int64)
    ranks: list[Array] = [np.empty(0, np.int64)]
    gains: list[float] = []
    for i, (name, judged) in enumerate(qrels.judged.items()):
        scored = run.get(name)
        here = [item for item in judged if item in scored] if scored else []
        if not here or not scored:
            continue
        ranks.append(_ranks(_scores(name, scored), here, scored))
        gains += [judged[item] for item in here]
        counts[i] = len(here)
    query, rank = np.repeat(np.arange(len(counts)), counts), np.concatenate(ranks)
    order = np.lexsort((rank, query))
    return query, rank[order], _numbers(gains)[order]


def _scores(query: Any, scored: Mapping[Any, Any]) -> Float64[np.ndarray, " n"]:
    """In rising order."""
    try:
        scores = np.fromiter(scored.values(), np.float64, len(scored))
    except (TypeError, ValueError) as cause:
        raise InputError(f"scores must be numbers, got another thing for query {query!r}: {cause}.") from cause
    scores.sort()  # NaN comes last
    if math.isnan(scores[-1]):
        item = next(item for item, score in scored.items() if score is None or math.isnan(score))
        raise NotFiniteError(
            f"scores must not be NaN, got one for query {query!r}, item {item!r}; leave out items without a score."
        )
    return scores


def _ranks(scores: Array, here: list[Any], scored: Mapping[Any, Any]) -> Int64[np.ndarray, " m"]:
    """Rank of each item of ``here`` among all ``scores``, which rise."""
    at = [scored[item] for item in here]
    end = scores.searchsorted(at, side="right")
    rank = len(scores) - end + 1
    for j in np.flatnonzero(scores[end - 2] == at):  # the one below is as high; never so for the lowest and only one
        if end[j] > 1:
            rank[j] += _before(here[j], at[j], scored)
    return rank


def _before(item: Any, score: float, scored: Mapping[Any, Any]) -> int:
    """How many items with the same score come first."""
    try:
        return sum(1 for other, its in scored.items() if its == score and other < item)
    except TypeError as cause:
        raise InputError(f"items with equal scores must be of one type to have an order: {cause}.") from cause


def _in_arrays(run: Run, qrels: Qrels) -> tuple[Array, Array, Array]:
    row_of = {name: row for row, name in enumerate(run.queries)}
    ids = run.ranked()
    wanted = _judged_pairs(run, qrels, row_of)
    if not len(wanted[0]) or not ids.size:
        return np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0)
    query, row, item, gain = wanted
    size = int(max(ids.max(), item.max())) + 1
    asked = np.zeros(size + 1, bool)  # the last place is that of id -1
    asked[item] = True
    rows, columns = np.nonzero(asked[ids])  # few are left: items judged for any query
    key, judged_key = rows * size + ids[rows, columns], row * size + item
    order = np.argsort(judged_key)
    place = np.searchsorted(judged_key, key, sorter=order).clip(max=len(order) - 1)
    match = order[place]
    kept = judged_key[match] == key
    match, rank = match[kept], columns[kept] + 1
    order = np.lexsort((rank, query[match]))
    return query[match][order], rank[order].astype(np.int64), gain[match][order]


def _judged_pairs(run: Run, qrels: Qrels, row_of: Mapping[Any, int]) -> tuple[Array, Array, Array, Array]:
    """Query, row in the run, item id and gain of all judgements that the run could meet."""
    id_of: Mapping[Any, int] | None = None
    if run.items is not None:
        id_of = {name: i for i, name in enumerate(run.items)}
        if len(id_of) < len(run.items):
            raise InputError("names of items must be unique; one comes twice among the items of the run.")
    found = [
        (i, row_of[name], item if id_of is None else id_of[item], gain)
        for i, (name, judged) in enumerate(qrels.judged.items())
        if name in row_of
        for item, gain in judged.items()
        if id_of is None or item in id_of
    ]
    try:
        pairs = np.array([row[:3] for row in found], np.int64).reshape(-1, 3)
    except (TypeError, ValueError) as cause:
        raise InputError(f"judgements must name items by id where the run has no names of items: {cause}.") from cause
    if len(pairs) and pairs[:, 2].min() < 0:
        raise InputError(f"ids of items must not be negative, got a judgement for {pairs[:, 2].min()}.")
    return pairs[:, 0], pairs[:, 1], pairs[:, 2], np.array([row[3] for row in found], np.float64)


def _ideal(qrels: Qrels) -> Float64[np.ndarray, "q r"]:
    """The gains above 0 of each query, highest first."""
    gains = [[gain for gain in judged.values() if gain > 0] for judged in qrels.judged.values()]
    lengths = np.array([len(row) for row in gains], np.int64)
    out = np.zeros((len(gains), int(lengths.max(initial=0))))
    out[np.arange(out.shape[1]) < lengths[:, None]] = _numbers(chain.from_iterable(gains))
    return -np.sort(-out, axis=1)


def _numbers(values: Iterable[Any]) -> Float64[np.ndarray, " n"]:
    try:
        return np.fromiter(values, np.float64)
    except (TypeError, ValueError) as cause:
        raise InputError(f"gains must be numbers: {cause}.") from cause
