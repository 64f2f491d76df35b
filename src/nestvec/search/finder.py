"""Which rows answer a query: the filter's row ids, then the cheapest way that loses nothing."""

from __future__ import annotations

import threading
import time
import warnings
from collections import OrderedDict
from dataclasses import asdict, dataclass

import numpy as np

from nestvec.core.errors import CorruptError, FormatError, InputError, MissingExtraError
from nestvec.core.filters import Filter
from nestvec.core.hits import Hits
from nestvec.core.types import JSON, Float32, Int64
from nestvec.core.vectors import MultiVectors
from nestvec.search.backends.faiss import HnswGraph
from nestvec.search.codes import Codes, CodesReport, flat_over
from nestvec.search.coding import Coding
from nestvec.search.columns import means
from nestvec.search.graph import STALE, Graph, Routed, tune
from nestvec.search.late import EXACT, living, looked_at, mean_serves, rank
from nestvec.search.narrowing import FunnelReport, Narrowing
from nestvec.search.proxy import Proxy
from nestvec.search.settings import RECALL
from nestvec.search.several import Both, Several
from nestvec.search.warning import IndexWarning
from nestvec.store import Snapshot, Store
from nestvec.store.snapshot import State

GRAPH = "graph"
_FILTERS = 16  # results of filters that are kept, 8 bytes a row each; a filter costs a read of all metadata
_GRAPH_FROM = 5_000  # rows; below it a scan takes less than a millisecond and reading the graph file costs more


@dataclass(frozen=True)
class GraphReport:
    """A graph as it was built and measured.

    Args:
        rows: how many it covers.
        recall: share of the 10 nearest rows that it finds, on a sample of stored rows; exact is 1.
        ef: the search width that this takes; 0 if no width reached the target, and the graph is not used.
        bytes: size of its file.
        seconds: how long building and measuring took.
    """

    rows: int
    recall: float
    ef: int
    bytes: int
    seconds: float

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return dict(asdict(self))


class Finder:
    """Searches a collection's vectors, keeping what can be kept from one search to the next.

    Args:
        store: where they are.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.codes = Codes(store)
        self.narrowing = Narrowing(store)
        self.proxy = Proxy(store)
        self._lock = threading.RLock()
        self._view: tuple[State, Routed] | None = None
        self._graph: Graph | None = None
        self._graph_seen = -1  # the version at which the graph file was last looked for
        self._means: tuple[object, bool] | None = None
        self._allowed: OrderedDict[tuple[State, Filter], Int64[np.ndarray, " m"]] = OrderedDict()

    def find(self, snapshot: Snapshot, queries: Float32[np.ndarray, "q d"], k: int, where: Filter | None) -> Hits:
        """The ``k`` best rows of a snapshot for each query, of those that meet the filter."""
        allow = None if where is None else self._select(snapshot, where)
        return self.view(snapshot).search(queries, k, allow=allow)

    def find_several(
        self, snapshot: Snapshot, several: Several, queries: Both, k: int, where: Filter | None, *, m: int = 0
    ) -> Hits:
        """The ``k`` best rows by MaxSim over the vectors that they keep, among candidates by their single vectors.

        Exact where so few rows may be found that all of them are compared. ``m`` candidates are looked at for ten
        results; 0 for as many as were measured to be enough.
        """
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}.")
        allow = None if where is None else self._select(snapshot, where)
        m = looked_at(m or self.proxy.candidates(), k)
        if queries.single is None or (len(snapshot) if allow is None else len(allow)) <= max(m, EXACT):
            candidates = [living(snapshot) if allow is None else allow] * len(queries.several)
        else:
            nearest = self.view(snapshot).search(queries.single, m, allow=allow).ids
            candidates = [rows[rows >= 0] for rows in nearest]
        return rank(snapshot, several, queries.several, candidates, k)

    def find_tokens(
        self, snapshot: Snapshot, several: Several, queries: MultiVectors, k: int, where: Filter | None, *, m: int = 0
    ) -> Hits:
        """As :meth:`find_several`, of queries that come without a single vector.

        The mean of their vectors takes its place where the means of records lie where their single vectors do. Where
        they do not, as those of a model that projects its tokens, all rows are compared.
        """
        single = means(queries) if self._mean_serves(snapshot, several) else None
        return self.find_several(snapshot, several, Both(single, queries), k, where, m=m)

    def _mean_serves(self, snapshot: Snapshot, several: Several) -> bool:
        """Whether means of vectors lie where single vectors do; found out once for each pair of spaces."""
        key = (snapshot.state.settings["space"], several)
        with self._lock:
            if self._means is None or self._means[0] != key:
                if len(snapshot) <= EXACT:
                    return False  # all are compared, and a few rows say little
                self._means = (key, mean_serves(snapshot, several))
            return self._means[1]

    def view(self, snapshot: Snapshot) -> Routed:
        """The searcher over one snapshot."""
        state = snapshot.state
        with self._lock:
            if self._view is None or self._view[0] is not state:
                flat = flat_over(snapshot)
                self._view = (
                    state,
                    Routed(flat, self._usable_graph(state), self.codes.over(flat) or self.narrowing.over(flat)),
                )
                self._allowed.clear()
            return self._view[1]

    def _select(self, snapshot: Snapshot, where: Filter) -> Int64[np.ndarray, " m"]:
        key = (snapshot.state, where)
        with self._lock:
            if key in self._allowed:
                self._allowed.move_to_end(key)
                return self._allowed[key]
        allow = snapshot.select(where)
        with self._lock:
            self._allowed[key] = allow
            while len(self._allowed) > _FILTERS:
                self._allowed.popitem(last=False)
        return allow

    def _usable_graph(self, state: State) -> Graph | None:
        if state.count < _GRAPH_FROM:
            return None
        if self._graph_seen == state.version:
            return self._graph
        self._graph_seen = state.version
        try:
            kept = self._store.get_derived(GRAPH)
            self._graph = HnswGraph.from_bytes(kept[0]) if kept else None
        except (CorruptError, FormatError, MissingExtraError) as cause:
            self._graph = None
            warnings.warn(
                f"the graph of {self._store.path} cannot be used, so every row is searched: {cause}",
                IndexWarning,
                stacklevel=2,
            )
        return self._graph

    # ------------------------------------------------------------------ codes and the graph

    def refresh_codes(self, coding: Coding | None, *, target: float, m: int = 0) -> CodesReport | None:
        """Bring the codes up to the newest version; see :meth:`Codes.refresh`."""
        done = self.codes.refresh(coding, target=target, m=m)
        with self._lock:
            self._view = None  # its codes may have been replaced
        return done

    def refresh_funnel(self, *, wanted: bool, target: float) -> FunnelReport | None:
        """Measure the funnel where that is due; see :meth:`Narrowing.refresh`."""
        done = self.narrowing.refresh(wanted=wanted, target=target)
        with self._lock:
            self._view = None
        return done

    def build_graph(self, *, recall: float) -> GraphReport:
        """Build a graph over the newest version, measure the width that reaches ``recall``, and keep it."""
        start = time.monotonic()
        with self._store.read() as snapshot:
            flat = flat_over(snapshot)
            if not len(flat):
                raise InputError(f"{self._store.path} must hold records before a graph can be built over them.")
            live = flat.live
            graph = tune(HnswGraph.build(flat.vectors(live), rows=live), flat, target=recall)
        data = graph.to_bytes()
        report = GraphReport(len(live), graph.recall, graph.ef, len(data), time.monotonic() - start)
        self._store.put_derived(GRAPH, data, {**report.to_json(), "target": recall})
        self.forget()
        return report

    def forget(self) -> None:
        """Look for the files of graph and codes again before the next search."""
        with self._lock:
            self._view, self._graph, self._graph_seen = None, None, -1

    def refresh_graph(self) -> GraphReport | None:
        """Build the graph again if there is one and it is stale or damaged; None if nothing was to be done.

        Raises:
            MissingExtraError: there is one, and faiss is not installed.
        """
        target = self.graph_target
        if target is None:
            return None
        try:
            kept = self._store.get_derived(GRAPH)
        except CorruptError:
            return self.build_graph(recall=target)
        if kept is None:
            return None
        graph = HnswGraph.from_bytes(kept[0])
        with self._store.read() as snapshot:
            flat = flat_over(snapshot)
            if not len(flat) or Routed(flat, graph).stale < STALE:
                return None
        return self.build_graph(recall=target)

    @property
    def graph_target(self) -> float | None:
        """Recall that was asked of the graph; None if there is none."""
        info = self._store.derived_info(GRAPH)
        return None if info is None else float(info["target"])

    def settle_graph(self, *, wanted: bool | None, target: float | None) -> GraphReport | None:
        """After a resize: build, take away, or leave as it was before.

        Args:
            wanted: whether there is to be a graph; None if and only if there was one before.
            target: recall that was asked of the graph before; None if there was none.

        Returns:
            What was built; None where nothing was.

        Warns:
            IndexWarning: there was one, and faiss is not installed to build it again.

        Raises:
            MissingExtraError: a graph is wanted, and faiss is not installed.
        """
        with self._store.read() as snapshot:
            empty = not len(snapshot)
        there = self._store.derived_info(GRAPH) is not None
        if wanted is False:
            self._store.drop_derived(GRAPH)
            self.forget()
            return None
        if wanted is None and (there or target is None):
            return None
        if there or empty:
            return self.refresh_graph()
        try:
            return self.build_graph(recall=target or RECALL)
        except MissingExtraError as cause:
            if wanted:
                raise
            message = f"the graph of {self._store.path} is gone, and cannot be built again: {cause}"
            warnings.warn(message, IndexWarning, stacklevel=3)
            return None

    def graph_info(self) -> dict[str, JSON] | None:
        """What is known of the graph, without loading it; None if there is none."""
        info = self._store.derived_info(GRAPH)
        return None if info is None else dict(info)
