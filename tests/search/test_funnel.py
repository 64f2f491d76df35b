"""The funnel: exact while it keeps all, and close while it keeps few of vectors whose first dimensions say most."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError
from nestvec.core.protocols import Searcher
from nestvec.search.flat import Flat, Rows
from nestvec.search.funnel import Funnel

DIM = 32


def vectors(n, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, DIM)) * np.geomspace(1, 0.05, DIM)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@given(
    n=st.integers(0, 60),
    dead=st.sets(st.integers(0, 59)),
    later=st.integers(0, 20),
    allow=st.none() | st.sets(st.integers(0, 99)),
    k=st.integers(1, 70),
)
@settings(max_examples=50)
def test_while_it_keeps_all_it_is_exact(n, dead, later, allow, k):
    x = vectors(n + later)
    old = Flat((Rows(np.arange(n), x[:n]),), DIM)
    funnel = Funnel.build(old, widths=(4, 8), keep=(200, 200))
    now = Flat((Rows(np.arange(n + later), x),), DIM, np.array(sorted(i for i in dead if i < n), np.int64))
    funnel = Funnel(now, funnel.prefix, funnel.rows, funnel.widths, funnel.keep)
    allowed = None if allow is None else np.array(sorted(allow), np.int64)
    queries = vectors(2, seed=9)
    got, want = (s.search(queries, k, allow=allowed) for s in (funnel, now))
    assert np.array_equal(got.ids, want.ids)
    assert np.allclose(got.scores, want.scores, atol=1e-5)


def test_it_finds_nearly_all_with_few_whole_vectors():
    x, queries = vectors(3000), vectors(40, seed=9)
    flat = Flat((Rows(np.arange(3000), x),), DIM)
    funnel = Funnel.build(flat, widths=(4, 8, 16), keep=(400, 150, 50))
    assert isinstance(funnel, Searcher)
    truth, found = flat.search(queries, 10).ids, funnel.search(queries, 10).ids
    assert np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]) > 0.95
    assert len(funnel) == 3000
    assert funnel.nbytes == 3000 * (4 * 4 + 8)


@pytest.mark.parametrize(
    ("widths", "keep"), [((), ()), ((8, 4), (9, 9)), ((4, 32), (9, 9)), ((4, 8), (9, 10)), ((4,), (0,)), ((4, 8), (9,))]
)
def test_a_funnel_narrows(widths, keep):
    with pytest.raises(InputError, match="widths must rise"):
        Funnel.build(Flat((Rows(np.arange(3), vectors(3)),), DIM), widths=widths, keep=keep)
