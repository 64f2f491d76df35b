"""The adapter to faiss: what it finds, what it stores, and how it fails."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

pytest.importorskip("faiss")

from nestvec.core.errors import CorruptError, FormatError, InputError, MissingExtraError, ShapeError
from nestvec.search.backends.faiss import HnswGraph
from nestvec.search.flat import Flat, Rows
from nestvec.search.graph import Graph


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    values = rng.standard_normal((2000, 16)).astype(np.float32)
    return np.arange(2000) * 3, values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def graph(data):
    rows, values = data
    return HnswGraph.build(values, rows=rows)


def test_finds_nearly_all_by_row_id(data, graph):
    rows, values = data
    truth = Flat((Rows(rows, values),), 16).search(values[:100], 10)
    found = graph.search(values[:100], 10, ef=100)
    assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(truth.ids, found.ids, strict=True)]) >= 0.98
    np.testing.assert_allclose(found.scores[:, 0], 1, atol=1e-5)
    assert (np.diff(found.scores, axis=1) <= 0).all()
    assert isinstance(graph, Graph)
    assert len(graph) == 2000


def test_wider_is_better_and_k_may_exceed_n(data, graph):
    _, values = data
    hits = graph.search(values[:2], 2500, ef=2500)
    assert hits.ids.shape == (2, 2500)
    assert (hits.ids[:, 2000:] == -1).all()
    assert (hits.scores[:, 2000:] == -np.inf).all()
    assert (hits.ids[:, :1900] >= 0).all()


def test_ties_go_to_the_smaller_id():
    graph = HnswGraph.build(np.ones((6, 4)), rows=np.array([9, 2, 7, 1, 5, 3]))
    assert graph.search(np.ones((1, 4)), 6, ef=10).ids.tolist() == [[1, 2, 3, 5, 7, 9]]


def test_bytes_and_back(data, graph):
    _, values = data
    measured = graph.with_ef(48, k=10, recall=0.992)
    again = HnswGraph.from_bytes(measured.to_bytes())
    assert (again.ef, again.k, again.recall, again.dim) == (48, 10, 0.992, 16)
    np.testing.assert_array_equal(again.rows, measured.rows)
    np.testing.assert_array_equal(again.search(values[:9], 5).ids, measured.search(values[:9], 5).ids)
    assert graph.ef == 0  # the first one is as it was


def test_damaged_bytes(graph):
    data = graph.to_bytes()
    with pytest.raises(FormatError):
        HnswGraph.from_bytes(b"something else")
    with pytest.raises(CorruptError):
        HnswGraph.from_bytes(data[:100])
    with pytest.raises(CorruptError):
        HnswGraph.from_bytes(data[: len(data) // 2])


def test_nothing_in_nothing_out():
    graph = HnswGraph.build(np.zeros((0, 4)), rows=np.zeros(0, np.int64))
    assert graph.search(np.zeros((2, 4)), 3, ef=10).ids.tolist() == [[-1] * 3] * 2
    assert len(HnswGraph.from_bytes(graph.to_bytes())) == 0


def test_threads_share_one(data, graph):
    _, values = data
    want = graph.search(values[:20], 5, ef=50).ids
    with ThreadPoolExecutor(4) as pool:
        for i, hits in enumerate(pool.map(lambda i: graph.search(values[i : i + 1], 5, ef=50), range(20))):
            np.testing.assert_array_equal(hits.ids[0], want[i])


def test_says_what_is_wrong(graph, monkeypatch):
    with pytest.raises(InputError, match="ef must be at least 1"):
        graph.search(np.zeros((1, 16)), 3)
    with pytest.raises(ShapeError):
        graph.search(np.zeros((1, 4)), 3, ef=10)
    with pytest.raises(InputError, match="each of the 2 vectors, got 1"):
        HnswGraph.build(np.zeros((2, 4)), rows=np.array([1]))
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match=r"nestvec\[graph\]"):
        HnswGraph.build(np.zeros((2, 4)), rows=np.array([1, 2]))
