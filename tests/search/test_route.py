"""The planner picks the cheaper way and says why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.search.route import GraphCost, choose

MILLION = GraphCost(covered=1_000_000, tail=0, gone=0, ef=64)


def test_without_a_graph_it_is_exact():
    route = choose(1000, 1000, q=1, k=10, dim=384)
    assert (route.kind, route.fetch, route.ef) == ("exact", 0, 0)
    assert "no usable graph" in route.reason
    assert choose(1000, 10, q=1, k=10, dim=384).kind == "exact-over-allowed"


def test_a_large_collection_uses_its_graph():
    route = choose(1_000_000, 1_000_000, q=1, k=10, dim=384, graph=MILLION)
    assert (route.kind, route.fetch, route.ef) == ("graph", 10, 64)
    assert route.costs["graph"] < route.costs["exact"]
    assert "ef=64" in route.reason


def test_a_small_one_does_not():
    assert choose(2000, 2000, q=1, k=10, dim=384, graph=GraphCost(2000, 0, 0, ef=64)).kind == "exact"


@pytest.mark.parametrize("allowed", [0, 1, 1000, 10_000])
def test_a_narrow_filter_is_searched_exactly(allowed):
    assert choose(1_000_000, allowed, q=1, k=10, dim=384, graph=MILLION).kind == "exact-over-allowed"


def test_a_wide_filter_asks_the_graph_for_more():
    route = choose(1_000_000, 500_000, q=1, k=10, dim=384, graph=MILLION)
    assert (route.kind, route.fetch, route.ef) == ("graph", 40, 256)


def test_a_long_tail_makes_the_graph_dear():
    graph = GraphCost(covered=500_000, tail=500_000, gone=0, ef=64)
    with_tail = choose(1_000_000, 1_000_000, q=64, k=10, dim=384, graph=graph)
    assert with_tail.costs["graph"] > choose(1_000_000, 1_000_000, q=64, k=10, dim=384, graph=MILLION).costs["graph"]


def test_dead_rows_widen_the_walk():
    graph = GraphCost(covered=1_000_000, tail=0, gone=500_000, ef=64)
    assert choose(500_000, 500_000, q=1, k=10, dim=384, graph=graph).fetch == 40


@given(
    st.integers(0, 10**7),
    st.floats(0, 1),
    st.integers(1, 1000),
    st.integers(1, 10**6),
    st.integers(1, 4096),
    st.integers(1, 512),
    st.booleans(),
)
def test_the_cheapest_is_chosen_and_fetches_enough(n, fraction, q, k, dim, ef, has_graph):
    allowed = round(n * fraction)
    route = choose(n, allowed, q=q, k=k, dim=dim, graph=GraphCost(n, 0, 0, ef) if has_graph else None)
    assert route.costs[route.kind] == min(route.costs.values())
    assert ("exact" in route.costs) == (allowed == n)
    if route.kind == "graph":
        assert route.fetch * allowed >= k * n
        assert route.ef >= max(ef, route.fetch)
    else:
        assert route.fetch == 0
