"""Candidates that keep several vectors a record: found by the single one, put in order by all, as a collection does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from nestvec.core.space import Space
from nestvec.core.types import Float32, Int64, Matrix
from nestvec.core.vectors import MultiVectors
from nestvec.planner.tokens import TokenView
from nestvec.planner.views import View
from nestvec.search.flat import Flat
from nestvec.search.late import EXACT, first, looked_at
from nestvec.search.several import Several
from nestvec.store import Ragged


def cut_tokens(view: View, space: Space) -> Iterator[MultiVectors]:
    """The tokens of a view's documents at the dim of a space, a block of documents at a time."""
    for _, _, part in cast(TokenView, view.tokens).blocks():
        yield MultiVectors(view.cut(part.values, space.dim), part.offsets, space)


def joined(parts: Iterable[MultiVectors], space: Space) -> MultiVectors:
    """Several runs of items as one, in their order."""
    some = list(parts)
    lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in some)])
    values = np.concatenate([np.zeros((0, space.dim), np.float32), *(part.values for part in some)])
    return MultiVectors(values, lengths.cumsum(), space)


@dataclass(eq=False)
class Late:
    """Documents that keep several vectors in one way, and the scores that were looked up so far.

    Plans that differ in how many candidates are compared share those scores: what is compared for a few is compared for
    more. Used by one thread.

    Args:
        several: how vectors are kept.
        codes: those of all documents, as a collection keeps them.
        flat: the single vectors.
        single: ``[q, d]`` single vectors of the queries.
        queries: their several vectors.
    """

    several: Several
    codes: Ragged
    flat: Flat
    single: Matrix
    queries: MultiVectors
    _known: dict[tuple[int, bool], Float32[np.ndarray, " m"]] = field(default_factory=dict)

    def found(self, queries: Int64[np.ndarray, " a"], k: int, *, m: int) -> Int64[np.ndarray, "a k"]:
        """Row ids of the ``k`` best for queries by position, -1 for none.

        ``m`` candidates are compared for ten results; 0 for all rows.
        """
        out: Int64[np.ndarray, "a k"] = np.full((len(queries), k), -1, np.int64)
        for place, i in enumerate(queries.tolist()):
            rows = self.candidates(i, k, m=m)
            best = first(rows, self._scores(i, rows), k)
            out[place, : len(best)] = rows[best]
        return out

    def search(
        self, query: int, k: int, *, m: int, rows: Int64[np.ndarray, " c"] | None = None
    ) -> Int64[np.ndarray, " b"]:
        """The same for one query, with nothing remembered: what is timed. ``rows`` are its candidates, if known."""
        rows = self.candidates(query, k, m=m) if rows is None else rows
        best: Int64[np.ndarray, " b"] = rows[first(rows, self.several.scores(self.queries[query], self.codes[rows]), k)]
        return best

    def candidates(self, query: int, k: int, *, m: int) -> Int64[np.ndarray, " c"]:
        """Row ids that a query is compared with."""
        n = len(self.codes)
        wanted = looked_at(m or n, k)
        if n <= max(wanted, EXACT):
            return np.arange(n)
        nearest: Int64[np.ndarray, " c"] = self.flat.search(self.single[query][None], wanted).ids[0]
        return nearest

    def _scores(self, query: int, rows: Int64[np.ndarray, " c"]) -> Float32[np.ndarray, " c"]:
        """MaxSim with candidates: fewer of them are always the first of more, unless they are all rows there are."""
        key = query, len(rows) == len(self.codes)
        known = self._known.get(key, np.zeros(0, np.float32))
        if len(rows) > len(known):
            more = self.several.scores(self.queries[query], self.codes[rows[len(known) :]])
            known = self._known[key] = np.concatenate([known, more])
        return known[: len(rows)]
