"""Exact search equals a stable full sort, whatever the segments, the filter and the blocks."""

from __future__ import annotations

import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import CorruptError, InputError, NotFiniteError, ShapeError
from nestvec.core.protocols import Searcher
from nestvec.kernels import gather
from nestvec.kernels.jit import Kernel
from nestvec.search import flat as module
from nestvec.search.flat import Flat, Rows, Segment

DIM = 4
NONE = np.zeros(0, np.int64)


def reference(rows, values, queries, k, allowed):
    """Ids and scores by a full sort of the allowed rows, in the order of their ids."""
    keep = np.isin(rows, allowed)
    order = np.argsort(rows[keep])
    rows, values = rows[keep][order], values[keep][order]
    scores = queries @ values.T
    best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    pad = [(0, 0), (0, max(k - len(rows), 0))]
    ids = np.pad(rows[best], pad, constant_values=-1)
    return ids, np.pad(np.take_along_axis(scores, best, axis=1), pad, constant_values=-np.inf)


def check(flat, rows, values, queries, k, allow=None):
    alive = np.setdiff1d(rows, flat.dead)
    allowed = alive if allow is None else np.intersect1d(alive, allow)
    ids, scores = reference(rows, values, queries, k, allowed)
    hits = flat.search(queries, k, allow=allow)
    np.testing.assert_array_equal(hits.ids, ids)
    np.testing.assert_array_equal(hits.scores, scores)
    assert hits.ids.dtype == np.int64
    assert hits.scores.dtype == np.float32


def split(rows, values, cuts):
    edges = [0, *sorted(cuts), len(rows)]
    return tuple(Rows(rows[a:b], values[a:b]) for a, b in pairwise(edges))


@st.composite
def problems(draw):
    """Whole numbers, so that scores are exact and ties are many."""
    rng = np.random.default_rng(draw(st.integers(0, 2**31)))
    n, q = draw(st.integers(0, 60)), draw(st.integers(0, 7))
    rows = np.arange(n) + 5 if draw(st.booleans()) else np.sort(rng.choice(200, n, replace=False))
    values = rng.integers(-2, 3, (n, DIM)).astype(np.float32)
    queries = rng.integers(-2, 3, (q, DIM)).astype(np.float32)
    dead = np.sort(rng.choice(210, draw(st.sampled_from([0, 3, 100])), replace=False))
    allow = draw(st.sampled_from([None, 0, 1, 20, 100, 210]))
    if allow is not None:
        allow = np.sort(rng.choice(210, allow, replace=False))
    return rows, values, queries, dead, allow


@given(problems(), st.integers(1, 80), st.lists(st.integers(0, 60), max_size=4), st.integers(1, 70))
def test_equals_a_full_sort(problem, k, cuts, size):
    rows, values, queries, dead, allow = problem
    segments = split(rows, values, [min(c, len(rows)) for c in cuts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", (size, size))  # many blocks, though there are few rows
        patch.setattr(module, "_NEAR", 3)
        check(Flat(segments, DIM, dead), rows, values, queries, k, allow)


@given(problems(), st.integers(1, 80), st.integers(0, 2**31))
def test_segments_may_overlap_and_come_in_any_order(problem, k, seed):
    rows, values, queries, dead, allow = problem
    part = np.random.default_rng(seed).integers(0, 3, len(rows))
    segments = tuple(Rows(rows[part == i], values[part == i]) for i in (2, 0, 1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_ROWS", (7, 7))
        check(Flat(segments, DIM, dead), rows, values, queries, k, allow)


@settings(max_examples=20)
@given(st.sampled_from([1, 3, 5, 40]), st.sampled_from([0.001, 0.05, 0.3, 0.9, 1.0]), st.booleans(), st.integers(0, 99))
def test_large_with_every_kind_of_filter(q, fraction, runs, seed):
    rng = np.random.default_rng(seed)
    n = 30_000
    values = rng.integers(-9, 10, (n, 8)).astype(np.float32)
    count = int(n * fraction)
    allow = np.arange(100, 100 + count) if runs else np.sort(rng.choice(n, count, replace=False))
    rows = np.arange(n)
    flat = Flat(split(rows, values, [9000, 9001]), 8, np.sort(rng.choice(n, 50, replace=False)))
    check(flat, rows, values, rng.integers(-9, 10, (q, 8)).astype(np.float32), 10, allow)


@pytest.mark.parametrize("q", [1, 64])
def test_compiled_and_plain_agree(q, monkeypatch):
    pytest.importorskip("numba")
    rng = np.random.default_rng(0)
    values = rng.integers(-9, 10, (20_000, 64)).astype(np.float32)
    allow = np.sort(rng.choice(20_000, 3000, replace=False))
    queries = rng.integers(-9, 10, (q, 64)).astype(np.float32)
    flat = Flat((Rows(np.arange(20_000), values),), 64)
    monkeypatch.setattr(gather, "kernel", Kernel(gather._build))
    plain = flat.search(queries, 10, allow=allow)
    assert gather.kernel.compile_now() == "numba"
    compiled = flat.search(queries, 10, allow=allow)
    np.testing.assert_array_equal(plain.ids, compiled.ids)
    np.testing.assert_array_equal(plain.scores, compiled.scores)


def test_one_query_and_many_agree():
    rng = np.random.default_rng(0)
    values = rng.integers(-9, 10, (9000, 16)).astype(np.float32)
    queries = rng.integers(-9, 10, (1100, 16)).astype(np.float32)
    flat = Flat((Rows(np.arange(9000), values),), 16)
    many = flat.search(queries, 5)
    for i in (0, 1, 1099):
        one = flat.search(queries[i : i + 1], 5)
        np.testing.assert_array_equal(one.ids[0], many.ids[i])


def test_k_of_ten_thousand():
    rng = np.random.default_rng(0)
    values = rng.integers(-9, 10, (12_000, 16)).astype(np.float32)
    check(
        Flat((Rows(np.arange(12_000), values),), 16),
        np.arange(12_000),
        values,
        rng.integers(-9, 10, (3, 16)).astype(np.float32),
        10_000,
    )


def test_it_is_a_searcher_and_rows_are_a_segment():
    rows = Rows(NONE, np.zeros((0, DIM), np.float32))
    assert isinstance(rows, Segment)
    flat = Flat((rows,), DIM)
    assert isinstance(flat, Searcher)
    assert len(flat) == 0
    assert flat.search(np.zeros((2, DIM)), 3).ids.tolist() == [[-1] * 3] * 2
    assert flat.search(np.zeros((0, DIM)), 3).ids.shape == (0, 3)
    assert Flat((), DIM).live.tolist() == []


def test_counts_and_names_what_lives():
    flat = Flat(
        (
            Rows(np.array([4, 9]), np.eye(2, DIM, dtype=np.float32)),
            Rows(np.array([1, 7]), np.eye(2, DIM, 2, np.float32)),
        ),
        DIM,
        np.array([4, 5]),
    )
    assert len(flat) == 3
    assert flat.live.tolist() == [1, 7, 9]
    np.testing.assert_array_equal(flat.vectors(np.array([1, 9])), np.eye(DIM, dtype=np.float32)[[2, 1]])
    with pytest.raises(InputError, match="got 1 that are not"):
        flat.vectors(np.array([1, 2]))


class Watched(Rows):
    """Notes what is touched, and refuses some rows."""

    def touch(self, start, stop, /):
        self.__dict__.setdefault("seen", []).append((start, stop))
        if start <= self.__dict__.get("bad", -1) < stop:
            raise CorruptError("block 0 is damaged")


@pytest.mark.parametrize("q", [1, 20])
def test_touches_the_rows_it_reads_and_no_others(q):
    n = 50_000
    watched = Watched(np.arange(n), np.ones((n, DIM), np.float32))
    flat = Flat((watched,), DIM)
    queries = np.ones((q, DIM), np.float32)
    flat.search(queries, 3, allow=np.array([3, 4, 20_000, 49_999]))
    assert watched.seen == [(3, 5), (20_000, 20_001), (49_999, 50_000)]
    watched.seen.clear()
    flat.search(queries, 3, allow=np.arange(1000, 1100))
    assert watched.seen == [(1000, 1100)]
    watched.seen.clear()
    flat.search(queries, 3)
    assert watched.seen[0][0] == 0
    assert all(a[1] == b[0] for a, b in pairwise(watched.seen))
    assert watched.seen[-1][1] == n
    watched.seen.clear()
    flat.search(queries, 3, allow=NONE)
    assert not watched.seen
    watched.__dict__["bad"] = 7
    with pytest.raises(CorruptError):
        flat.search(queries, 3)
    assert flat.search(queries, 3, allow=np.arange(100, 300)).ids[0].tolist() == [100, 101, 102]


def test_memory_maps_are_read_in_place(tmp_path):
    values = np.random.default_rng(0).integers(-9, 10, (3000, DIM)).astype(np.float32)
    values.tofile(tmp_path / "v")
    mapped = np.memmap(tmp_path / "v", np.float32, "r", shape=(3000, DIM))
    flat = Flat((Rows(np.arange(3000), mapped),), DIM)
    check(flat, np.arange(3000), values, values[:5], 4, np.arange(0, 3000, 7))
    check(flat, np.arange(3000), values, values[:1], 4)


def test_memory_is_bounded():
    n = 200_000
    values = np.zeros((n, 16), np.float32)
    flat = Flat((Rows(np.arange(n), values),), 16)
    queries = np.random.default_rng(0).random((200, 16), dtype=np.float32)
    allow = np.arange(0, n, 3)
    for chosen in (None, allow):
        tracemalloc.start()
        flat.search(queries, 10, allow=chosen)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 40e6  # all scores would be 160 MB


def test_threads_share_one():
    rng = np.random.default_rng(0)
    values = rng.integers(-9, 10, (5000, 32)).astype(np.float32)
    flat = Flat((Rows(np.arange(5000), values),), 32)
    queries = rng.integers(-9, 10, (60, 32)).astype(np.float32)
    allow = np.arange(0, 5000, 5)
    want, want_allowed = flat.search(queries, 5), flat.search(queries, 5, allow=allow)
    with ThreadPoolExecutor(6) as pool:
        for i, hits in enumerate(pool.map(lambda i: flat.search(queries[i : i + 1], 5), range(60))):
            np.testing.assert_array_equal(hits.ids[0], want.ids[i])
        for i, hits in enumerate(pool.map(lambda i: flat.search(queries[i : i + 1], 5, allow=allow), range(60))):
            np.testing.assert_array_equal(hits.ids[0], want_allowed.ids[i])


def test_says_what_is_wrong():
    flat = Flat((Rows(np.arange(3), np.ones((3, DIM), np.float32)),), DIM)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        flat.search(np.ones((1, DIM)), 0)
    with pytest.raises(ShapeError, match="queries must have d=4"):
        flat.search(np.ones((1, 3)), 1)
    with pytest.raises(NotFiniteError):
        flat.search(np.full((1, DIM), np.nan), 1)
    with pytest.raises(InputError, match="strictly ascending"):
        flat.search(np.ones((1, DIM)), 1, allow=np.array([2, 2]))
    with pytest.raises(ShapeError, match=r"must be \[3, 5\]"):
        Flat((Rows(np.arange(3), np.ones((3, DIM), np.float32)),), 5)
    with pytest.raises(InputError, match="got 2 in two"):
        Flat(
            (Rows(np.arange(3), np.ones((3, DIM), np.float32)), Rows(np.array([2]), np.ones((1, DIM), np.float32))), DIM
        )
