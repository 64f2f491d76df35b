"""Nodes of a graph told by the anchors near them: the walk, the network, and nodes that come later."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError, ShapeError  # noqa: E402
from nestvec.tables import FrozenTable, Table, fit_spec, make_spec, stored_bytes  # noqa: E402
from nestvec.tables.adaptive import Adaptive, Indexed, indexed  # noqa: E402
from nestvec.tables.anchoring import Graph, choose_anchors, page_rank, tokenise, with_new_nodes  # noqa: E402
from nestvec.tables.method import Sizes  # noqa: E402
from nestvec.tables.methods.anchors import Anchors  # noqa: E402


def random_graph(nodes, edges, seed, *, kinds=3):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, nodes, (edges, 2))
    return Graph(np.stack([ends[:, 0], rng.integers(0, kinds, edges), ends[:, 1]], axis=1), nodes, kinds)


def spec_for(graph, *, dim=6, **settings):
    return make_spec("anchors", graph.nodes, dim, **({"anchors": 5, "nearest": 3, "reach": 4} | settings))


def distances_from(graph, start):
    """Breadth first, one node at a time."""
    beside = {i: set() for i in range(graph.nodes)}
    for head, _, tail in graph.triples.tolist():
        beside[head].add(tail)
        beside[tail].add(head)
    found, ring = {start: 0}, [start]
    while ring:
        ring = [v for u in ring for v in sorted(beside[u]) if found.setdefault(v, found[u] + 1) == found[u] + 1]
        ring = list(dict.fromkeys(ring))
    return found


def nearest_by_hand(graph, chosen, method):
    near = np.full((graph.nodes, method.nearest), method.anchors)
    far = np.full((graph.nodes, method.nearest), method.reach + 1)
    from_anchor = [distances_from(graph, int(node)) for node in chosen]
    for node in range(graph.nodes):
        known = sorted((d[node], a) for a, d in enumerate(from_anchor) if node in d and d[node] <= method.reach)
        for place, (distance, anchor) in enumerate(known[: method.nearest]):
            near[node, place], far[node, place] = anchor, distance
    return near, far


@given(nodes=st.integers(1, 40), edges=st.integers(0, 60), seed=st.integers(0, 99), anchors=st.integers(1, 12),
       nearest=st.integers(1, 6), reach=st.integers(1, 5))  # fmt: skip
@settings(max_examples=40)
def test_the_walk_finds_what_a_walk_from_each_anchor_finds(nodes, edges, seed, anchors, nearest, reach):
    graph = random_graph(nodes, edges, seed)  # with loops, edges that come twice, and nodes that have none
    spec = spec_for(graph, anchors=anchors, nearest=nearest, reach=reach)
    found = tokenise(graph, spec)
    near, far = nearest_by_hand(graph, choose_anchors(graph, anchors), spec.compressor)
    assert (found["anchors"] == near).all()
    assert (found["distances"] == far).all()


def test_a_walk_in_pieces_is_the_same_walk(monkeypatch):
    graph = random_graph(300, 900, 1)
    spec = spec_for(graph, anchors=40, nearest=6)
    whole = tokenise(graph, spec)
    monkeypatch.setattr("nestvec.tables.anchoring._AT_ONCE", 50)
    assert all((value == whole[name]).all() for name, value in tokenise(graph, spec).items())


def test_anchors_are_hubs_walked_to_and_drawn():
    star = [(0, 0, i) for i in range(1, 60)] + [(i, 0, 60 + i % 20) for i in range(60)]
    graph = Graph(np.array(star), nodes=100)  # the last twenty have no neighbours
    chosen = choose_anchors(graph, 10)
    assert len(set(chosen.tolist())) == 10
    assert chosen.max() < 80
    degrees = graph.degrees
    assert (np.diff(degrees[chosen]) >= 0).all()
    assert set(np.argsort(-degrees, kind="stable")[:4].tolist()) <= set(chosen.tolist())
    assert choose_anchors(graph, 10, seed=1).tolist() != chosen.tolist()
    everyone = choose_anchors(graph, 100)
    assert sorted(everyone.tolist()) == list(range(100))
    assert len(choose_anchors(graph, 500)) == 100
    assert len(choose_anchors(Graph(np.empty((0, 3), np.int64), nodes=4), 2)) == 2


def test_page_rank_is_where_a_walk_ends_up():
    graph = random_graph(30, 40, 3)
    starts, others = graph.neighbours
    walk = np.zeros((30, 30))
    for node in range(30):
        mine = others[starts[node] : starts[node + 1]]
        walk[node, mine if len(mine) else slice(None)] = 1 / (len(mine) or 30)
    values, vectors = np.linalg.eig((0.85 * walk + 0.15 / 30).T)
    first = np.abs(vectors[:, values.real.argmax()].real)
    assert np.allclose(page_rank(graph), first / first.sum(), atol=1e-4)


def test_relations_that_leave_a_node_there_and_back():
    graph = Graph(np.array([[0, 1, 1], [0, 0, 2], [0, 1, 2], [2, 2, 0], [3, 0, 3]]), nodes=5, kinds=3)
    found = tokenise(graph, spec_for(graph, relations=6, outgoing=4))["relations"]
    assert found.tolist() == [[0, 1, 5, 6], [4, 6, 6, 6], [2, 3, 4, 6], [0, 3, 6, 6], [6, 6, 6, 6]]
    few = tokenise(graph, spec_for(graph, relations=6, outgoing=2))["relations"]
    for node in range(5):
        assert set(few[node]) <= set(found[node])
        assert len(set(few[node]) - {6}) == min(len(set(found[node]) - {6}), 2)


def test_a_row_is_the_network_over_its_spelling():
    graph = random_graph(50, 120, 0)
    spec = spec_for(graph, relations=6, outgoing=2, width=4, hidden=7)
    tokens = tokenise(graph, spec)
    table = Table(spec, indexes=tokens).eval()
    weight = {name: part.weight.detach().numpy() for name, part in table.held.items()}
    for node in (0, 17, 49):
        near = weight["anchors"][tokens["anchors"][node]] + weight["distances"][tokens["distances"][node]]
        x = np.concatenate([near, weight["relations"][tokens["relations"][node]]]).reshape(-1)
        x = np.maximum(x @ weight["first"][:-1] + weight["first"][-1], 0)
        want = x @ weight["second"][:-1] + weight["second"][-1]
        assert np.allclose(table(torch.tensor([node])).detach().numpy(), want, atol=1e-6)


def test_the_spelling_is_counted_saved_and_trained_with(tmp_path):
    graph = random_graph(400, 900, 2)
    spec = fit_spec("anchors+int8", graph.nodes, 8, 30_000, relations=6, outgoing=3, nearest=5)
    tokens = tokenise(graph, spec)
    table = Table(spec, indexes=tokens)
    table(torch.arange(9)).square().sum().backward()
    served = table.freeze()
    served.save(tmp_path / "nodes.table")
    assert (tmp_path / "nodes.table").stat().st_size == stored_bytes(spec) <= 30_000
    loaded = FrozenTable.load(tmp_path / "nodes.table")
    assert all((loaded.indexes[name] == tokens[name]).all() for name in tokens)
    assert np.allclose(Table.thaw(loaded)(torch.arange(400)).detach().numpy(), loaded.rows(np.arange(400)), atol=1e-6)
    assert table.settled
    table.after_step(lr=0.1, step=1, of=1)  # there is nothing to learn about the map


@given(seed=st.integers(0, 99), new=st.integers(1, 12), nearest=st.integers(1, 5), reach=st.integers(1, 5))
@settings(max_examples=30)
def test_a_node_that_comes_later_is_spelt_as_if_it_had_been_there(seed, new, nearest, reach):
    """New nodes hang on the graph as trees, so that none is a short cut between others."""
    rng = np.random.default_rng(seed)
    old = random_graph(30, 35, seed)
    added = np.array([[30 + i, rng.integers(0, 3), rng.integers(0, 30 + i)] for i in range(new)])
    whole = Graph(np.concatenate([old.triples, added]), 30 + new, kinds=3)
    spec = spec_for(old, anchors=6, nearest=nearest, reach=reach, relations=6, outgoing=2)
    served = Table(spec, indexes=tokenise(old, spec)).freeze()
    only_new = Graph(added, 30 + new, kinds=3)
    more = with_new_nodes(served, only_new)
    near, far = nearest_by_hand(whole, choose_anchors(old, 6), more.spec.compressor)
    assert (more.indexes["anchors"][30:] == near[30:]).all()
    assert (more.indexes["distances"][30:] == far[30:]).all()
    before = np.arange(-1, 30)
    assert more.rows(before).tobytes() == served.rows(before).tobytes()
    with_all = with_new_nodes(served, whole)  # edges between old nodes change nothing
    assert all((with_all.indexes[name] == value).all() for name, value in more.indexes.items())
    assert more.nbytes == stored_bytes(more.spec)


def test_what_is_no_graph_or_does_not_fit_is_refused():
    with pytest.raises(ShapeError, match=r"\[e, 3\] of head, relation, tail, got shape \(4, 2\)"):
        Graph(np.zeros((4, 2), np.int64), 5)
    with pytest.raises(InputError, match="whole numbers, got float64"):
        Graph(np.zeros((4, 3)), 5)
    with pytest.raises(InputError, match=r"nodes of the triples must be in \[0, 5\), got 5"):
        Graph(np.array([[0, 0, 5]]), 5)
    with pytest.raises(InputError, match=r"relations of the triples must be in \[0, 1\), got -1"):
        Graph(np.array([[0, -1, 3]]), 5)
    with pytest.raises(InputError, match="nodes must be at least 1, got 0"):
        Graph(np.empty((0, 3), np.int64), 0)
    graph = random_graph(40, 60, 0)
    with pytest.raises(InputError, match="method 'anchors' and of one field, got hash of 1 field"):
        tokenise(graph, make_spec("hash", 40, 8, buckets=4))
    with pytest.raises(InputError, match="got anchors of 2 field"):
        tokenise(graph, make_spec("anchors", (30, 10), 8))
    with pytest.raises(InputError, match="all have rows of their own"):
        tokenise(graph, make_spec("anchors", 40, 8, exact_below=40))
    with pytest.raises(InputError, match="a row for each of 40 nodes, got 41"):
        tokenise(graph, make_spec("anchors", 41, 8))
    with pytest.raises(InputError, match="must be 6, twice the types"):
        tokenise(graph, spec_for(graph, relations=3, outgoing=1))
    with pytest.raises(InputError, match="needs to know how many relations"):
        Anchors(Sizes((40,)), 8, outgoing=3)
    with pytest.raises(InputError, match="the 40 nodes of the table and new ones, got 30"):
        with_new_nodes(Table(spec_for(graph)).freeze(), random_graph(30, 10, 0))


def test_indexes_of_another_table_are_refused():
    graph = random_graph(40, 60, 0)
    spec = spec_for(graph)
    found = tokenise(graph, spec)
    with pytest.raises(InputError, match="indexes of anchors must be anchors, distances, got anchors"):
        Table(spec, indexes={"anchors": found["anchors"]})
    with pytest.raises(ShapeError, match=r"index 'anchors' of anchors must be \(40, 3\), got \(39, 3\)"):
        Table(spec, indexes=found | {"anchors": found["anchors"][1:]})
    with pytest.raises(InputError, match="whole numbers from 0 to 255"):
        Table(spec, indexes=found | {"distances": found["distances"] - 9})
    with pytest.raises(InputError, match="indexes of full must be none, got anchors"):
        Table(make_spec("full", 40, 4), indexes={"anchors": found["anchors"]})
    method = spec.compressor
    assert indexed(method) is method
    assert isinstance(method, Indexed)
    assert not isinstance(method, Adaptive)  # so every codec goes with it, also those that are trained
    assert indexed(make_spec("full", 40, 4).compressor) is None
