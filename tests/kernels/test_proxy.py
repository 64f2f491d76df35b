"""How well a cheap score stands in for an exact one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, ShapeError
from nestvec.kernels.proxy import ProxyRecall


@given(q=st.integers(1, 5), n=st.integers(1, 30), k=st.integers(1, 12), seed=st.integers(0, 99))
def test_recall_is_the_share_of_the_best_among_the_candidates(q, n, k, seed):
    exact, cheap = np.random.default_rng(seed).integers(0, 9, (2, q, n)).astype(np.float32)
    measured = ProxyRecall.measure(exact, cheap, k=k)
    for candidates in (1, 3, n):
        shares = []
        for a, b in zip(exact, cheap, strict=True):
            best = sorted(range(n), key=lambda i: (-a[i], i))[:k]
            found = sorted(range(n), key=lambda i: (-b[i], i))[:candidates]
            shares.append(len(set(best) & set(found)) / len(best))
        assert measured.at(candidates) == pytest.approx(np.mean(shares))
        assert np.allclose(measured.of_queries(candidates), shares)
    for recall in (0.1, 0.5, 1.0):
        need = measured.needed(recall)
        assert measured.at(need) >= recall - 1e-9
        assert need == 1 or measured.at(need - 1) < recall


def test_what_a_query_was_made_from_is_left_out():
    exact, cheap = np.array([[9, 1, 5, 4]], np.float32), np.array([[9, 2, 1, 3]], np.float32)
    assert ProxyRecall.measure(exact, cheap, k=2).ranks.tolist() == [[0, 3]]
    assert ProxyRecall.measure(exact, cheap, k=2, own=[0]).ranks.tolist() == [[2, 0]]
    assert ProxyRecall.measure(exact, cheap, k=9, own=[0]).ranks.tolist() == [[2, 0, 1]]


def test_what_cannot_be_compared_is_refused():
    ones = np.ones((2, 3))
    with pytest.raises(ShapeError, match=r"got \(2, 3\) and \(2, 2\)"):
        ProxyRecall.measure(ones, ones[:, 1:])
    for bad in (
        {"k": 0},
        {"exact": ones[:0], "cheap": ones[:0]},
        {"exact": ones[:, :1], "cheap": ones[:, :1], "own": [0, 0]},
    ):
        with pytest.raises(InputError, match="k must be at least 1"):
            ProxyRecall.measure(**{"exact": ones, "cheap": ones, **bad})
    with pytest.raises(ShapeError, match=r"own must be \[2\]"):
        ProxyRecall.measure(ones, ones, own=[0])
    with pytest.raises(InputError, match="above 0"):
        ProxyRecall.measure(ones, ones).needed(0.0)
