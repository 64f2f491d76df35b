"""A graph beside the truth: recall holds under filters and deletions, and new rows are found."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("faiss")

from nestvec.core.errors import InputError
from nestvec.core.protocols import Searcher
from nestvec.search import route
from nestvec.search.backends.faiss import HnswGraph
from nestvec.search.flat import Flat, Rows
from nestvec.search.graph import STALE, Routed, measure_recall, tune

N, DIM, K = 6000, 24, 10


def clustered(n, seed=0):
    """Unit vectors in 60 clusters, as topics make them."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((60, DIM))
    x = centres[rng.integers(0, 60, n)] + 0.5 * rng.standard_normal((n, DIM))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def values():
    return clustered(N)


@pytest.fixture(scope="module")
def flat(values):
    return Flat((Rows(np.arange(N), values),), DIM)


@pytest.fixture(scope="module")
def graph(values, flat):
    return tune(HnswGraph.build(values, rows=np.arange(N)), flat)


@pytest.fixture(scope="module")
def queries():
    return clustered(40, seed=1)


@pytest.fixture
def prefer_graph(monkeypatch):
    """So few rows would be scanned; make the graph look cheap, since it is the graph's recall that is at stake."""
    monkeypatch.setattr(route, "_CANDIDATE", 1e-9)


def recall(hits, truth):
    shares = [
        len(set(a[a >= 0].tolist()) & set(b[b >= 0].tolist())) / max((b >= 0).sum(), 1)
        for a, b in zip(hits.ids, truth.ids, strict=True)
    ]
    return np.mean(shares)


def filters(values, queries):
    """By name: random ones, and ones that exclude what the queries are near to."""
    rng = np.random.default_rng(5)
    near = np.argsort(-(queries @ values.T).max(axis=0))
    for share in (0.5, 0.1, 0.01, 0.001):
        count = max(int(N * share), 1)
        yield f"random {share}", np.sort(rng.choice(N, count, replace=False))
        yield f"far {share}", np.sort(near[-count:])
        yield f"near {share}", np.sort(near[:count])


def test_tuning_reaches_the_target_and_remembers_it(graph, flat):
    assert graph.recall >= 0.99
    assert graph.ef >= 16
    fresh = np.sort(np.random.default_rng(77).choice(N, 100, replace=False))  # rows that tuning may not have seen
    assert measure_recall(graph, flat, sample=fresh) >= 0.97


def test_a_target_out_of_reach_turns_the_graph_off(flat, values):
    class Poor(HnswGraph):
        def search(self, queries, k, *, ef=None):
            return super().search(queries, 1, ef=1)

    poor = tune(Poor.build(values[:200], rows=np.arange(200)), flat, queries=20)
    assert poor.ef == 0
    assert poor.recall < 0.99
    assert Routed(flat, poor).explain(1, 10).kind == "exact"


@pytest.mark.parametrize("forced", [True, False])
def test_recall_never_collapses_under_a_filter(values, flat, graph, queries, forced, monkeypatch):
    if forced:
        monkeypatch.setattr(route, "_CANDIDATE", 1e-9)
    routed = Routed(flat, graph)
    for name, allow in filters(values, queries):
        hits = routed.search(queries, K, allow=allow)
        assert set(hits.ids[hits.ids >= 0].tolist()) <= set(allow.tolist()), name
        assert recall(hits, flat.search(queries, K, allow=allow)) >= 0.99, name


def test_dead_rows_are_never_found(values, graph, queries, prefer_graph):
    near = np.sort(np.argsort(-(queries @ values.T).max(axis=0))[: N // 2])  # the half that the queries live in
    flat = Flat((Rows(np.arange(N), values),), DIM, near)
    routed = Routed(flat, graph)
    assert routed.explain(40, K).kind == "graph"
    assert routed.stale == 1
    hits = routed.search(queries, K)
    assert not np.isin(hits.ids, near).any()
    assert recall(hits, flat.search(queries, K)) >= 0.99


def test_new_rows_are_found_at_once(values, graph, queries, prefer_graph):
    more = np.vstack([values, queries])
    flat = Flat((Rows(np.arange(N), values), Rows(np.arange(N, N + 40), queries)), DIM)
    routed = Routed(flat, graph)
    assert routed.stale == pytest.approx(40 / len(more))
    assert routed.stale < STALE
    assert routed.search(queries, K).ids[:, 0].tolist() == list(range(N, N + 40))
    without = np.arange(N + 20)
    assert routed.search(queries, K, allow=without).ids[:20, 0].tolist() == list(range(N, N + 20))
    assert (routed.search(queries, K, allow=without).ids[20:] < N + 20).all()


def test_without_a_graph_it_is_flat(flat, queries):
    routed = Routed(flat)
    assert isinstance(routed, Searcher)
    assert routed.stale == 1  # nothing is covered
    np.testing.assert_array_equal(routed.search(queries, K).ids, flat.search(queries, K).ids)


def test_order_k_and_emptiness(flat, graph, queries, prefer_graph):
    routed = Routed(flat, graph)
    hits = routed.search(queries, 50)
    assert hits.ids.shape == (40, 50)
    assert (np.diff(hits.scores, axis=1) <= 0).all()
    assert routed.search(queries[:0], K).ids.shape == (0, K)
    assert routed.search(queries[:1], N + 5).ids[0, -1] == -1
    assert (routed.search(queries[:1], K, allow=np.zeros(0, np.int64)).ids == -1).all()
    with pytest.raises(InputError, match="k must be at least 1"):
        routed.search(queries, 0)


def test_measuring_says_what_is_wrong(flat, graph):
    with pytest.raises(InputError, match="at least one row"):
        measure_recall(graph, flat, sample=np.zeros(0, np.int64))
    with pytest.raises(InputError, match="target must be above 0"):
        tune(graph, flat, target=1.5)
    with pytest.raises(InputError, match="at least one row"):
        tune(graph, Flat((), DIM))
