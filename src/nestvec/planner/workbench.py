"""Building candidates and asking them: the searchers that a collection itself would use, over the vectors at hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from nestvec.core.coding import Codec
from nestvec.core.protocols import Searcher
from nestvec.core.size import Size
from nestvec.core.types import Array, Float64, Int64, Matrix
from nestvec.core.vectors import MultiVectors
from nestvec.planner.candidates import Candidate, full_of_many, index_bytes, many_bytes
from nestvec.planner.late import Late, cut_tokens, joined
from nestvec.planner.targets import Target
from nestvec.planner.tokens import TokenView
from nestvec.planner.views import View
from nestvec.search.backends.faiss import HnswGraph
from nestvec.search.codes import fitted
from nestvec.search.coding import Coding
from nestvec.search.flat import Flat, Rows
from nestvec.search.graph import Routed, tune
from nestvec.search.settings import RECALL
from nestvec.search.several import Several, choose_several
from nestvec.search.twostage import TwoStage, held_bytes
from nestvec.store import Ragged

_WARM = 3  # searches before the clock runs
_FEW = 512  # rows that a codec is fitted on where only its size is asked for


@dataclass(eq=False)
class Workbench:
    """Makes searchers for candidates, and keeps what several of them share. Used by one thread.

    Codecs and graphs are made as a collection of these rows makes them, so that a plan that is applied searches through
    the very same codes.

    Args:
        views: one a depth, the full size first.
    """

    views: Sequence[View]
    _flats: dict[tuple[int | None, int], tuple[Flat, Matrix]] = field(default_factory=dict)
    _built: dict[tuple[int | None, int, Coding], TwoStage] = field(default_factory=dict)
    _codecs: dict[tuple[int, Coding], tuple[Codec, int]] = field(default_factory=dict)
    _graphs: dict[tuple[int | None, int], HnswGraph] = field(default_factory=dict)
    _pooled: dict[tuple[int | None, int, int], MultiVectors] = field(default_factory=dict)
    _late: dict[tuple[int | None, int, int | str | None, Coding | None], Late] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        """How many documents there are."""
        return len(self.views[0].documents)

    def view(self, depth: int | None) -> View:
        """The view of a depth."""
        return next(view for view in self.views if view.depth == depth)

    def bytes_of(self, candidate: Candidate, n: int) -> tuple[int, int]:
        """Bytes in memory, the encoder with them, and on disk, of ``n`` rows."""
        if candidate.vectors is not None:
            coder, kept = self._several(candidate).coder, self.kept(candidate, n)
            ram, disk = many_bytes(candidate, coder, n, kept)
            return ram + self.view(candidate.depth).encoder_bytes, disk
        codec, held = self._small(candidate.dim, candidate.coding) if candidate.coding else (None, 0)
        ram, disk = index_bytes(candidate, codec, n, held=held)
        key = candidate.depth, candidate.dim
        if candidate.index == "graph" and key in self._graphs:
            graph = round(len(self._graphs[key].to_bytes()) * n / self.rows)
            ram, disk = graph, 4 * candidate.dim * n + graph
        return ram + self.view(candidate.depth).encoder_bytes, disk

    def searcher(self, candidate: Candidate) -> Searcher:
        """What a collection of that setting would search with."""
        flat, _ = self._flat(candidate)
        if candidate.coding is not None:
            return replace(self._two_stage(candidate, candidate.coding), m=candidate.m)
        if candidate.index == "graph":
            return self._graph(candidate, flat)
        return flat

    def found(self, candidate: Candidate, queries: Int64[np.ndarray, " a"], k: int) -> Int64[np.ndarray, "a k"]:
        """Row ids of the ``k`` best, for queries by position."""
        if candidate.vectors is None:
            return self.searcher(candidate).search(self._flat(candidate)[1][queries], k).ids
        view = self.views[0]
        if view.tokens is not None and candidate == full_of_many(view):
            best: Int64[np.ndarray, "a k"] = view.tokens.nearest(k)[queries]
            return best
        return self._comparing(candidate).found(queries, k, m=candidate.m)

    def scores(
        self, candidate: Candidate, queries: Int64[np.ndarray, " a"], target: Target
    ) -> Float64[np.ndarray, " a"]:
        """What a target says of a candidate's answers."""
        return target.scores(queries, self.found(candidate, queries, target.depth))

    def seconds(
        self, candidate: Candidate, queries: Int64[np.ndarray, " a"], k: int, *, ranking: bool = False
    ) -> Float64[np.ndarray, " a"]:
        """Wall seconds of one search after the other, one query each.

        Args:
            candidate: any.
            queries: by position.
            k: results a search.
            ranking: of several vectors time the comparison alone, candidates given.
        """
        if candidate.vectors is not None:
            late = self._comparing(candidate)
            late.search(int(queries[0]), k, m=candidate.m)
            given = [late.candidates(int(i), k, m=candidate.m) if ranking else None for i in queries]
            return timed(
                [
                    lambda i=i, rows=rows: late.search(int(i), k, m=candidate.m, rows=rows)  # type: ignore[misc]
                    for i, rows in zip(queries, given, strict=True)
                ]
            )
        search, asked = self.searcher(candidate).search, self._flat(candidate)[1][queries]
        for query in asked[:_WARM]:
            search(query[None], k)
        return timed([lambda query=query: search(query[None], k) for query in asked])  # type: ignore[misc]

    def kept(self, candidate: Candidate, n: int) -> int:
        """How many vectors ``n`` rows keep together, if they are like those at hand."""
        tokens = self.view(candidate.depth).tokens
        here = 0 if tokens is None or candidate.vectors is None else tokens.kept(candidate.vectors)
        return round(here * n / self.rows)

    def compared(self, candidate: Candidate, n: int) -> int:
        """How many vectors a query is compared with, of ``n`` rows."""
        return round(self.kept(candidate, n) * min(candidate.m or n, n) / n)

    def encode_seconds(self, candidate: Candidate) -> Float64[np.ndarray, " s"]:
        """What it took to encode single queries as the candidate needs them; empty where vectors are brought along."""
        view = self.view(candidate.depth)
        return view.encode_seconds if candidate.vectors is None or view.tokens is None else view.tokens.encode_seconds

    def part(self, rows: int) -> Workbench:
        """The same with the first ``rows`` documents only, one view, and no tokens: to time it with other rows."""
        first = self.views[0]
        return Workbench([replace(first, documents=first.documents[:rows], tokens=None)])

    def _flat(self, candidate: Candidate) -> tuple[Flat, Matrix]:
        key = candidate.depth, candidate.dim
        if key not in self._flats:
            documents, queries = self.view(candidate.depth).at(candidate.dim)
            rows = Rows(np.arange(len(documents)), documents)
            self._flats[key] = Flat((rows,), candidate.dim), queries
        return self._flats[key]

    def _two_stage(self, candidate: Candidate, coding: Coding) -> TwoStage:
        key = candidate.depth, candidate.dim, coding
        if key not in self._built:
            flat, _ = self._flat(candidate)
            self._built[key] = TwoStage.build(fitted(coding, flat), flat)
        return self._built[key]

    def _small(self, dim: int, coding: Coding) -> tuple[Codec, int]:
        """The codec, fitted on a few rows, and bytes of a code in memory: neither size depends on the rows."""
        if (dim, coding) not in self._codecs:
            few: Array = np.random.default_rng(0).standard_normal((_FEW, dim)).astype(np.float32)
            codec = coding.fit(few)
            self._codecs[dim, coding] = codec, held_bytes(codec)
        return self._codecs[dim, coding]

    def _several(self, candidate: Candidate) -> Several:
        """How a collection at that setting keeps its several vectors."""
        view, coding = self.view(candidate.depth), cast(Coding, candidate.coding)
        whole = cast(TokenView, view.tokens).documents.space
        space = whole if candidate.dim == view.dim else replace(whole, dim=candidate.dim)
        return choose_several(Size(vectors=candidate.vectors, bits=coding.bits), coding.codec, space)

    def _comparing(self, candidate: Candidate) -> Late:
        key = candidate.depth, candidate.dim, candidate.vectors, candidate.coding
        if key not in self._late:
            view, several = self.view(candidate.depth), self._several(candidate)
            flat, single = self._flat(candidate)
            asked = cast(TokenView, view.tokens).queries
            queries = MultiVectors(view.cut(asked.values, several.space.dim), asked.offsets, several.space)
            self._late[key] = Late(several, self._codes(candidate, several), flat, single, queries)
        return self._late[key]

    def _codes(self, candidate: Candidate, several: Several) -> Ragged:
        """Those of all documents; clusters are made once for all codecs, as they take longer than all else."""
        view = self.view(candidate.depth)
        if not isinstance(several.vectors, int):
            made = [several.pack(part) for part in cut_tokens(view, several.space)]
            return Ragged.join(made, width=several.coder.bytes_per_vector)
        key = candidate.depth, candidate.dim, several.vectors
        if key not in self._pooled:
            pooled = (several.fewer(part) for part in cut_tokens(view, several.space))
            self._pooled[key] = joined(pooled, several.space)
        return several.coded(self._pooled[key])

    def _graph(self, candidate: Candidate, flat: Flat) -> Routed:
        key = candidate.depth, candidate.dim
        if key not in self._graphs:
            live = flat.live
            graph = HnswGraph.build(flat.vectors(live), rows=live)
            self._graphs[key] = tune(graph, flat, target=RECALL)  # type: ignore[assignment]  # the same kind
        return Routed(flat, self._graphs[key])


def timed(calls: Sequence[Callable[[], object]]) -> Float64[np.ndarray, " s"]:
    """Wall seconds of each call."""
    taken = np.empty(len(calls))
    for i, call in enumerate(calls):
        start = time.perf_counter()
        call()
        taken[i] = time.perf_counter() - start
    return taken
