"""A graph or codes beside the exact search: when it may answer, what it misses, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.hits import Hits
from nestvec.core.types import Array, ArrayLike, Bool, Int64
from nestvec.kernels.topk import merge
from nestvec.search.flat import Flat
from nestvec.search.funnel import Funnel
from nestvec.search.route import GraphCost, Route, choose
from nestvec.search.twostage import TwoStage

STALE = 0.2
"""Rebuild from here on. Rows outside are scanned and dead ones widen the walk: of 100,000 rows, a fifth outside takes
about three times as long to scan as the walk itself; a fifth dead makes the walk more than twice as wide."""

_LADDER = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # widths tried, each a half wider than the one before


@runtime_checkable
class Graph(Protocol):
    """An approximate index over the rows that existed when it was built."""

    @property
    def rows(self) -> Int64[np.ndarray, " n"]:
        """Row ids it covers, any order."""
        ...

    @property
    def ef(self) -> int:
        """The width that reached the target recall; 0 if it was not measured or never did."""
        ...

    @property
    def k(self) -> int:
        """The ``k`` it was measured at."""
        ...

    def search(self, queries: ArrayLike, k: int, *, ef: int | None = None) -> Hits:
        """The best rows it finds, by row id."""
        ...

    @property
    def recall(self) -> float:
        """What was measured."""
        ...

    def with_ef(self, ef: int, *, k: int, recall: float) -> Graph:
        """The same, with what was measured."""
        ...

    def to_bytes(self) -> bytes:
        """All of it, for whoever stores it."""
        ...


@dataclass(frozen=True, eq=False)
class Routed:
    """Scans everything or walks a graph, whichever is cheaper; new rows are found and dead ones are not, either way.

    The graph is asked for more rows than wanted, and those that are dead or not allowed are dropped. A query of which
    fewer than ``k`` are left (a filter that excludes just its neighbourhood) is searched again, exactly. So a
    filter costs time, never recall: what is lost is what the graph loses without a filter.

    Args:
        flat: the truth.
        graph: None to scan always.
        codes: scanned in place of the vectors, or a funnel over them, where there is one; it answers with any filter.
    """

    flat: Flat
    graph: Graph | None = None
    codes: TwoStage | Funnel | None = None

    @cached_property
    def _tail(self) -> Int64[np.ndarray, " t"]:
        """Live rows that the graph does not cover, ascending."""
        return np.setdiff1d(self.flat.live, self._covered, assume_unique=True)

    @cached_property
    def _covered(self) -> Int64[np.ndarray, " c"]:
        return np.zeros(0, np.int64) if self.graph is None else np.sort(self.graph.rows)

    @cached_property
    def _gone(self) -> int:
        return len(self._covered) - (len(self.flat) - len(self._tail))

    @property
    def stale(self) -> float:
        """How much the graph differs from the rows: (not covered + dead) / live; at :data:`STALE` rebuild it."""
        return (len(self._tail) + self._gone) / max(len(self.flat), 1)

    def explain(self, q: int, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Route:
        """The way that :meth:`search` would go with ``q`` queries.

        ``allow`` may name rows that do not live; they are counted as if they did, which only makes a scan look dearer.
        """
        n = len(self.flat)
        usable = None
        if self.graph is not None and self.graph.ef:
            usable = GraphCost(len(self._covered), len(self._tail), self._gone, self.graph.ef, self.graph.k)
        allowed = n if allow is None else min(len(allow), n)
        route = choose(n, allowed, q=q, k=k, dim=self.flat.dim, graph=usable)
        if self.codes is None or route.kind == "graph" or self.codes.exact(q, k, allow=allow):
            return route
        if isinstance(self.codes, Funnel):
            widths = ", ".join(map(str, self.codes.widths))
            reason = f"the first {widths} dimensions are scanned, and whole vectors of the last few"
            return replace(route, kind="funnel", reason=reason)
        reason = f"codes of {len(self.codes.rows)} rows are scanned in memory, and the best rescored by their vectors"
        return replace(route, kind="codes", reason=reason)

    def search(self, queries: ArrayLike, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Hits:
        """The ``k`` best allowed rows. Arguments, order and errors are those of :meth:`Flat.search`.

        Cost: at most about twice the cheaper of the two ways, when a filter fools the estimate.
        """
        queries = as_matrix(queries, name="queries", dim=self.flat.dim)
        route = self.explain(len(queries), k, allow=allow) if k >= 1 else None
        if route is None or route.kind != "graph" or not len(queries):
            return (self.codes or self.flat).search(queries, k, allow=allow)
        assert self.graph is not None  # noqa: S101  # the route says so; this is for mypy
        tail = self._tail if allow is None else np.intersect1d(self._tail, allow, assume_unique=True)
        found = self.graph.search(queries, route.fetch, ef=route.ef)
        ids = np.where(self._may(found.ids, allow), found.ids, -1)
        scores = found.scores
        short = np.flatnonzero((ids >= 0).sum(axis=1) < k)
        if len(tail):
            beside = self.flat.search(queries, k, allow=tail)
            ids, scores = np.hstack([ids, beside.ids]), np.hstack([scores, beside.scores])
        best_ids, best_scores = merge(ids, scores, k)
        if len(short):
            exact = self.flat.search(queries[short], k, allow=allow)
            best_ids[short], best_scores[short] = exact.ids, exact.scores
        return Hits(best_ids, best_scores)

    def _may(self, ids: Int64[np.ndarray, "q c"], allow: Int64[np.ndarray, " m"] | None) -> Bool[np.ndarray, "q c"]:
        """Which of ``ids`` live and are allowed."""
        live = _in(ids, self.flat.live if self._gone else None)
        may: Array = (ids >= 0) & live & _in(ids, allow)
        return may


def measure_recall(graph: Graph, flat: Flat, *, k: int = 10, ef: int | None = None, sample: Array) -> float:
    """Share of the exact ``k`` nearest rows that the graph finds, over stored rows taken as queries.

    A row finds itself with ease, so each is left out of its own answer.

    Args:
        graph: covers some rows of ``flat``.
        flat: the truth; only rows that both have are counted.
        k: how many nearest rows.
        ef: width to measure at; None for the graph's own.
        sample: ``[s]`` int64, ascending: live row ids to use as queries.

    Raises:
        InputError: ``sample`` is empty.
    """
    if not len(sample):
        raise InputError("recall must be measured on at least one row, got an empty sample.")
    queries = flat.vectors(sample)
    both = np.intersect1d(flat.live, graph.rows)
    truth = flat.search(queries, k + 1, allow=both)
    found = graph.search(queries, k + 1, ef=ef)
    hit = total = 0
    for own, true, got in zip(sample.tolist(), truth.ids.tolist(), found.ids.tolist(), strict=True):
        wanted = set([i for i in true if i not in (own, -1)][:k])
        hit += len(wanted & set([i for i in got if i not in (own, -1)][:k]))
        total += len(wanted)
    return hit / total if total else 1.0


def tune(graph: Graph, flat: Flat, *, target: float = 0.99, k: int = 10, queries: int = 200, seed: int = 0) -> Graph:
    """The graph with the smallest width that reaches ``target`` recall at ``k`` on a sample of rows.

    If none up to 512 does, the graph comes back with ``ef`` 0 and the best recall, and :class:`Routed` leaves it alone.

    Args:
        graph: covers most rows of ``flat``.
        flat: the truth.
        target: recall, above 0, at most 1.
        k: how many nearest rows.
        queries: how many rows to sample; with 200 of them and k = 10 a recall of .99 is known to about .003.
        seed: of the sample.

    Raises:
        InputError: ``target`` is out of range, or there are no live rows.
    """
    if not 0 < target <= 1:
        raise InputError(f"target must be above 0 and at most 1, got {target}.")
    live = flat.live
    sample = np.sort(np.random.default_rng(seed).choice(live, min(queries, len(live)), replace=False))
    recall = 0.0
    for ef in _LADDER:
        recall = measure_recall(graph, flat, k=k, ef=ef, sample=sample)
        if recall >= target:
            return graph.with_ef(ef, k=k, recall=recall)
    return graph.with_ef(0, k=k, recall=recall)


def _in(ids: Int64[np.ndarray, "q c"], among: Int64[np.ndarray, " m"] | None) -> Bool[np.ndarray, "q c"]:
    """Which of ``ids`` are in ``among``, ascending; all, if that is None."""
    if among is None or not len(among):
        return np.full(ids.shape, among is None)
    at = np.minimum(np.searchsorted(among, ids), len(among) - 1)
    return np.asarray(among[at] == ids)
