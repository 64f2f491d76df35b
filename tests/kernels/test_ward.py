"""Ward's method against scipy's, and by arithmetic."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.kernels import ward
from nestvec.kernels.jit import Kernel


def rows(t, seed=0, d=6):
    return np.random.default_rng(seed).standard_normal((t, d)).astype(np.float32)


def within(x, own):
    """Sum of squared distances to the means."""
    return sum(np.square(x[own == c] - x[own == c].mean(axis=0)).sum() for c in set(own.tolist()))


@given(t=st.integers(1, 40), seed=st.integers(0, 999), data=st.data())
@settings(max_examples=40)
def test_clusters_are_those_of_scipy(t, seed, data):
    hierarchy = pytest.importorskip("scipy.cluster.hierarchy")
    k = data.draw(st.integers(1, t))
    x = rows(t, seed)
    own = ward.clusters(x, k)
    assert set(own.tolist()) == set(range(k))
    firsts = [own.tolist().index(c) for c in range(k)]
    assert firsts == sorted(firsts)
    if t > 1:
        theirs = hierarchy.fcluster(hierarchy.linkage(x, "ward"), k, "maxclust")
        assert len(set(zip(own.tolist(), theirs.tolist(), strict=True))) == k


def test_two_clusters_of_four_points_are_the_best_there_are():
    x = np.array([[0, 0], [5, 5], [0, 1], [5, 6]], np.float32)
    assert ward.clusters(x, 2).tolist() == [0, 1, 0, 1]
    best = min(within(x, np.array(own)) for own in itertools.product([0, 1], repeat=4) if len(set(own)) == 2)
    assert within(x, ward.clusters(x, 2)) == pytest.approx(best)


def test_numba_and_numpy_give_the_same(monkeypatch):
    pytest.importorskip("numba")
    kernel = Kernel(ward._build)
    assert kernel.compile_now() == "numba"
    monkeypatch.setattr(ward, "kernel", kernel)
    cases = [(rows(t, t), k) for t, k in ((1, 1), (2, 1), (30, 4), (60, 59))] + [(np.ones((20, 3), np.float32), 4)]
    compiled = [ward.clusters(x, k) for x, k in cases]
    monkeypatch.setattr(ward, "kernel", Kernel(ward._build))
    assert all((a == ward.clusters(x, k)).all() for a, (x, k) in zip(compiled, cases, strict=True))


@pytest.mark.parametrize("k", [1, 5, 60, 150])
def test_more_rows_than_fit_at_once_lose_little(monkeypatch, k):
    x = np.repeat(rows(50), 4, axis=0) + 0.3 * rows(200, 1)
    whole = within(x, ward.clusters(x, k))
    monkeypatch.setattr(ward, "MOST", 32)
    own = ward.clusters(x, k)
    assert len(set(own.tolist())) == k
    assert within(x, own) <= 1.35 * whole
    firsts = [own.tolist().index(c) for c in range(k)]
    assert firsts == sorted(firsts)


@pytest.mark.parametrize("k", [1, 3, 50])
def test_equal_rows_do_no_harm(k):
    assert len(set(ward.clusters(np.ones((50, 4), np.float32), k).tolist())) == k
