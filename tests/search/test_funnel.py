"""The funnel: exact while it keeps all, and close while it keeps few of vectors whose first dimensions say most."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError
from nestvec.core.protocols import Searcher
from nestvec.search import funnel as module
from nestvec.search.flat import Flat, Rows
from nestvec.search.funnel import Funnel, tune_funnel
from nestvec.search.probe import Probe

DIM = 32


def vectors(n, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, DIM)) * np.geomspace(1, 0.05, DIM)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def flat_of(x, dead=()):
    return Flat((Rows(np.arange(len(x)), x),), DIM, np.array(sorted(dead), np.int64))


@pytest.fixture(autouse=True)
def cheap(monkeypatch):
    """A funnel at work over some dozen rows, where exact search would be cheaper."""
    monkeypatch.setattr(module, "_ALONE", -10_000)


@given(
    n=st.integers(0, 60),
    dead=st.sets(st.integers(0, 59)),
    allow=st.none() | st.sets(st.integers(0, 99)),
    k=st.integers(1, 70),
)
@settings(max_examples=50)
def test_while_it_keeps_all_it_is_exact(n, dead, allow, k):
    flat = flat_of(vectors(n), [i for i in dead if i < n])
    funnel = Funnel(flat, (4, 8), (200, 200))
    allowed = None if allow is None else np.array(sorted(allow), np.int64)
    queries = vectors(2, seed=9)
    assert not n or not funnel.exact(2, k, allow=allowed)
    got, want = (s.search(queries, k, allow=allowed) for s in (funnel, flat))
    assert np.array_equal(got.ids, want.ids)
    assert np.allclose(got.scores, want.scores, atol=1e-5)


def test_it_finds_nearly_all_with_few_whole_vectors():
    flat, queries = flat_of(vectors(3000)), vectors(40, seed=9)
    funnel = Funnel(flat, (4, 8, 16), (400, 150, 50))
    assert isinstance(funnel, Searcher)
    truth, found = flat.search(queries, 10), funnel.search(queries, 10)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(truth.ids, found.ids, strict=True)]) > 0.9
    assert len(funnel) == 3000
    same = found.ids == truth.ids
    assert np.allclose(found.scores[same], truth.scores[same], atol=1e-5)  # of whole vectors, not of prefixes
    narrow = Funnel(flat, (4,), (11,)).search(queries, 10)
    assert 0.1 < np.mean([np.isin(a, b).mean() for a, b in zip(truth.ids, narrow.ids, strict=True)]) < 0.9


def test_more_rows_are_kept_for_more_results_than_it_was_tuned_for():
    flat, queries = flat_of(vectors(3000)), vectors(40, seed=9)
    truth = flat.search(queries, 100).ids

    def recall(funnel):
        found = funnel.search(queries, 100).ids
        return np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)])

    assert recall(Funnel(flat, (8,), (100,), k=10)) > recall(Funnel(flat, (8,), (100,))) + 0.1


def test_tuning_reaches_what_is_asked_and_takes_the_cheapest(monkeypatch):
    monkeypatch.setattr(module, "_ALONE", 20)
    flat = flat_of(vectors(4000))
    made = tune_funnel(flat, (4, 8, 16), target=0.95, queries=100)
    assert made.recall >= 0.95
    assert made.recall == Probe.of(flat, queries=100).recall(made)
    assert made.cost(4000) < 4000 * DIM
    assert made.k == 10
    assert set(made.widths) <= {4, 8, 16}
    poor = tune_funnel(flat, (4,), target=1.0, queries=100)
    assert poor.widths == (4,)
    assert poor.recall <= 1


@pytest.mark.parametrize("target", [0.0, 1.5])
def test_a_target_that_cannot_be(target):
    with pytest.raises(InputError, match="target must be above 0"):
        tune_funnel(flat_of(vectors(30)), (4,), target=target)


@pytest.mark.parametrize(
    ("widths", "keep"), [((), ()), ((8, 4), (9, 9)), ((4, 32), (9, 9)), ((4, 8), (9, 10)), ((4,), (0,)), ((4, 8), (9,))]
)
def test_a_funnel_narrows(widths, keep):
    with pytest.raises(InputError, match="widths must rise"):
        Funnel(flat_of(vectors(3)), widths, keep)
