"""Views, candidates, targets, made queries, timing: what plans are made of."""

import numpy as np
import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError, ShapeError, UnknownNameError
from nestvec.core.portable import nbytes
from nestvec.metrics import judge, ndcg
from nestvec.planner.candidates import MORE, QUICK, ROW_ID, Candidate, codings, dims_of, space
from nestvec.planner.queries import from_records
from nestvec.planner.speed import Line, calibrate, predict, together
from nestvec.planner.targets import Agreement, Judged, average_overlap, without
from nestvec.planner.views import View
from nestvec.planner.workbench import Workbench
from nestvec.search.twostage import TwoStage


@pytest.fixture(scope="module")
def bench(judged):
    return Workbench(judged.views)


def candidates(view, **more):
    return list(space([view], coded=QUICK, ms=(10, 50), graph=False, **more))


# ------------------------------------------------------------------ views


def test_fewer_dimensions_are_the_leading_ones_made_unit():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 16)).astype(np.float32)
    view = View(None, x, x[:3], fitted=False)
    documents, queries = view.at(8)
    np.testing.assert_allclose(documents, x[:, :8] / np.linalg.norm(x[:, :8], axis=1, keepdims=True), rtol=1e-6)
    np.testing.assert_allclose(queries, documents[:3])
    assert view.at(16)[0] is x
    turn = np.linalg.qr(rng.standard_normal((16, 16)))[0].astype(np.float32)[:15]
    turned = View(None, x, x[:3], rotation=turn).at(8)[0]
    expected = x @ turn[:8].T
    np.testing.assert_allclose(turned, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-5)
    with pytest.raises(InputError, match="dim must be 1 to 16"):
        view.at(17)


def test_where_vectors_come_from_is_told():
    x = np.eye(8, dtype=np.float32)
    turn = np.eye(7, 8, dtype=np.float32)
    assert View(3, x, x, fitted=True).made(8) == "ladder"
    assert View(3, x, x, fitted=True).made(4) == "raw slice"
    assert View(3, x, x, fitted=True, rotation=turn).made(4) == "ladder"
    assert View(3, x, x, fitted=False).made(8) == "raw slice"
    first = next(iter(space([View(None, x, x, fitted=False)], coded=(), ms=(), graph=False)))
    assert first.made == "full"


def test_views_of_two_widths_are_refused():
    x = np.eye(8, dtype=np.float32)
    with pytest.raises(ShapeError):
        View(None, x, x[:, :4])
    with pytest.raises(ShapeError, match="rotation"):
        View(None, x, x, rotation=np.eye(4, dtype=np.float32))


# ------------------------------------------------------------------ candidates


def test_every_dial_is_turned(judged):
    found = candidates(judged.views[0])
    assert found[0].how == "exact"
    assert str(found[0].size(32)) == "full"
    assert {c.dim for c in found} == {32, 24, 16, 8}
    assert {c.coding for c in found if c.coding} == set(QUICK)
    assert len(found) == len(set(found)) == 4 * (1 + len(QUICK) * 2)
    assert str(found[-1].size(32)) == "d8-b1"
    assert str(found[-1].size(None)) == "d8-b1"
    assert found[-1].how == "sign@1 m=50"
    assert list(dims_of(judged.views[0])) == sorted(dims_of(judged.views[0]), reverse=True)


@pytest.mark.parametrize("coding", [*QUICK, *MORE[:2]], ids=str)
def test_bytes_are_those_of_the_searcher(bench, coding):
    """The contract: what a plan counts is what is held, up to the padding of a block of 256 codes."""
    candidate = Candidate(None, 16, "raw slice", coding, 50)
    try:
        built = bench.searcher(candidate)
    except InputError as few:
        pytest.skip(str(few))
    assert isinstance(built, TwoStage)
    ram, disk = bench.bytes_of(candidate, bench.rows)
    codec = coding.fit(bench.views[0].at(16)[0], seed=0)
    held = built.nbytes + nbytes(codec)
    assert held - 256 * 16 <= ram <= held  # a scan fills up its last block of 256
    assert disk == (4 * 16 + codec.bytes_per_vector + ROW_ID) * bench.rows + nbytes(codec)
    assert ram >= (codec.bytes_per_vector + ROW_ID) * bench.rows


def test_bytes_of_exact_search_graphs_and_encoders(judged):
    view = judged.views[0]
    bench = Workbench([View(None, view.documents, view.queries, encoder_bytes=5_000)])
    exact, graph = Candidate(None, 32, "full"), Candidate(None, 32, "full", index="graph")
    assert bench.bytes_of(exact, 1000) == (4 * 32 * 1000 + 5_000, 4 * 32 * 1000)
    pytest.importorskip("faiss")
    guess = bench.bytes_of(graph, bench.rows)[0]
    found = bench.found(graph, np.arange(5), 3)
    assert found.shape == (5, 3)
    built = bench.bytes_of(graph, bench.rows)[0]
    assert built == pytest.approx(guess, rel=0.15)


def test_codecs_by_name():
    assert {coding.bits for coding in codings(["rabitq@1"])} == {4, 2, 1}
    assert codings(["pq@1"])[0].codec == "pq@1"
    assert codings(["all"]) == QUICK + MORE
    with pytest.raises(UnknownNameError, match="must be among"):
        codings(["zip@1"])


# ------------------------------------------------------------------ targets


def test_a_document_stands_where_its_best_passage_stands():
    target = Judged(({7: 1.0},), np.array([5, 7, 7, 9]), k=2)
    found = np.array([[0, 2, 1, 3]])
    ranked, ideal = judge([["5", "7"]], [{"7": 1}], k=2)
    np.testing.assert_allclose(target.scores(np.array([0]), found), ndcg(ranked, ideal))
    assert target.depth > target.k
    assert not target.proxy


def test_judgements_that_cannot_be_used():
    with pytest.raises(InputError, match="query 1"):
        Judged(({0: 1.0}, {0: 0.0}), np.arange(3))
    with pytest.raises(InputError, match="k must be"):
        Judged(({0: 1.0},), np.arange(3), k=0)


def test_agreement_equals_its_definition():
    rng = np.random.default_rng(0)
    mine = np.stack([rng.permutation(30)[:10] for _ in range(20)])
    theirs = np.stack([rng.permutation(30)[:10] for _ in range(20)])
    expected = [
        np.mean([len(set(a[:i]) & set(b[:i])) / i for i in range(1, 11)])
        for a, b in zip(mine.tolist(), theirs.tolist(), strict=True)
    ]
    np.testing.assert_allclose(average_overlap(mine, theirs), expected)
    np.testing.assert_allclose(average_overlap(mine, mine), 1)
    short = np.full_like(theirs, -1)
    short[:, :3] = theirs[:, :3]
    np.testing.assert_allclose(average_overlap(short, short), 1)


def test_the_row_that_a_query_was_made_of_counts_on_neither_side():
    found = np.array([[4, 1, 2], [3, 5, 6]])
    target = Agreement.of(found, np.array([1, -1]))
    assert target.reference.tolist() == [[4, 2], [3, 5]]
    assert without(found, np.array([9, 6])).tolist() == [[4, 1], [3, 5]]
    assert target.scores(np.array([0, 1]), np.array([[1, 4, 2], [3, 5, 9]])).tolist() == [1.0, 1.0]
    assert (target.proxy, len(target), target.depth) == (True, 2, 3)


# ------------------------------------------------------------------ queries of records


def test_queries_are_titles_and_first_sentences():
    records = [
        Record("a", "The tide rises at noon. Then it falls.", title="How tides come and go"),
        Record("b", "Ok.\nBread needs flour, water and time! And salt.", title="b"),
        Record("c", "x"),
    ]
    texts, own = from_records(records, 10)
    assert dict(zip(own.tolist(), texts, strict=True)).keys() == {0, 1}
    assert set(texts) <= {
        "How tides come and go",
        "The tide rises at noon.",
        "Bread needs flour, water and time!",
    }
    assert from_records(records, 1)[0] == texts[:1]


def test_equal_queries_come_once():
    records = [Record(str(i), "The same first sentence. And more.") for i in range(5)]
    assert len(from_records(records, 10)[0]) == 1


# ------------------------------------------------------------------ times


def test_a_line_goes_through_the_points(bench, judged):
    found = candidates(judged.views[0])
    lines = calibrate(bench, found, k=10, queries=np.arange(len(judged.target)))
    assert set(lines) == {c.coding for c in found}
    for candidate in found:
        middle, tail = predict(lines, candidate, n=10_000, encode=np.zeros(0))
        assert 0 < middle <= tail
        slower, later = predict(lines, candidate, n=10_000, encode=np.full(9, 0.01))
        assert slower == pytest.approx(middle + 0.01)
        assert later == pytest.approx(tail + 0.01)
    line = lines[None]
    assert min(line.weights) >= 0
    assert line.seconds(10**7, 32, 0)[0] >= line.seconds(10**3, 32, 0)[0]


def test_a_graph_takes_a_part_of_the_scan_until_it_is_built():
    lines = {None: Line((0.0, 1e-9, 0.0, 0.0), 1.5, 0.0)}
    flat, graph = Candidate(None, 384, "full"), Candidate(None, 384, "full", index="graph")
    n = 1_000_000
    assert predict(lines, graph, n=n, encode=np.zeros(0))[0] < predict(lines, flat, n=n, encode=np.zeros(0))[0] / 10


def test_encoding_and_searching_together():
    assert together(np.zeros(0), np.array([1.0, 3.0])) == pytest.approx((2.0, 2.9))
    assert together(np.array([10.0]), np.array([1.0, 3.0])) == pytest.approx((12.0, 12.9))
    with pytest.raises(InputError):
        together(np.zeros(0), np.zeros(0))
