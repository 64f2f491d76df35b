"""The k best of a stream: equal to a stable sort, whatever the blocks."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError
from nestvec.kernels.topk import Best, merge


def reference(scores, k):
    """``[n, q]`` -> positions and scores by a stable full sort."""
    order = np.argsort(-scores.T, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(scores.T, order, axis=1)


def streamed(scores, k, cuts, *, explicit=False):
    best = Best(scores.shape[1], k, n=len(scores))
    edges = [0, *sorted(cuts), len(scores)]
    for lo, hi in pairwise(edges):
        best.offer(scores[lo:hi], np.arange(lo, hi) if explicit else lo)
    return best.result()


@given(st.integers(0, 80), st.integers(1, 6), st.integers(1, 100), st.integers(0, 2**31), st.booleans(), st.data())
def test_blocks_do_not_matter_and_ties_go_to_the_smaller_position(n, q, k, seed, explicit, data):
    scores = np.random.default_rng(seed).integers(-3, 3, (n, q)).astype(np.float32)
    cuts = data.draw(st.lists(st.integers(0, n), max_size=5))
    positions, values = streamed(scores, k, cuts, explicit=explicit)
    want, want_values = reference(scores, k)
    np.testing.assert_array_equal(positions, want)
    np.testing.assert_array_equal(values, want_values)


@pytest.mark.parametrize("q", [1, 3, 300])
@pytest.mark.parametrize("k", [1, 10, 700, 5000])
@pytest.mark.parametrize("order", ["random", "rising", "falling", "constant"])
def test_large_streams_in_good_and_bad_orders(q, k, order):
    n = 6000 if q < 300 else 5000
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((n, q)).astype(np.float32)
    if order == "rising":  # every score beats all before it
        scores = np.sort(scores, axis=0)
    elif order == "falling":
        scores = np.sort(scores, axis=0)[::-1].copy()
    elif order == "constant":
        scores[:] = 1
    if q == 300 and k > 700:
        pytest.skip("the reference is slow")
    positions, values = streamed(scores, k, [1000, 1001, 4000])
    want, want_values = reference(scores, k)
    np.testing.assert_array_equal(positions, want)
    np.testing.assert_array_equal(values, want_values)


def test_blocks_may_come_in_any_order():
    scores = np.random.default_rng(1).integers(0, 5, (4000, 3)).astype(np.float32)
    best = Best(3, 20, n=4000)
    for lo in (3000, 1000, 0, 2000):
        best.offer(scores[lo : lo + 1000], lo)
    np.testing.assert_array_equal(best.result()[0], reference(scores, 20)[0])


def test_hidden_rows_are_never_found():
    scores = np.full((3000, 2), -np.inf, np.float32)
    scores[[2500, 2600], 0] = 1, 2
    positions, values = streamed(scores, 3, [1500])
    assert positions.tolist() == [[2600, 2500, -1], [-1, -1, -1]]
    assert values[0, 2] == values[1, 0] == -np.inf


def test_both_zeros_tie():
    positions, _ = streamed(np.array([[-0.0], [0.0], [-0.0]], np.float32), 3, [])
    assert positions.tolist() == [[0, 1, 2]]


def test_scores_of_all_sizes_keep_their_order():
    scores = np.array([-3e38, -1, -1e-45, 0, 1e-45, 1, 3e38], np.float32)[:, None]
    positions, values = streamed(scores, 7, [])
    assert positions.tolist() == [[6, 5, 4, 3, 2, 1, 0]]
    np.testing.assert_array_equal(values[0], scores[::-1, 0])


def test_memory_is_bounded_by_k_not_by_n():
    scores = np.random.default_rng(0).random((100_000, 8), dtype=np.float32)
    tracemalloc.start()
    streamed(scores, 10, range(0, 100_000, 5000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # 3.2 MB of scores


def test_more_rows_than_positions():
    with pytest.raises(InputError, match="at most 4294967295"):
        Best(1, 1, n=2**32)


def test_merge_pads_orders_and_settles_ties():
    ids, scores = merge(np.array([[7, -1, 3, 9]]), np.array([[1, 5, 1, 2]], np.float32), 5)
    assert ids.tolist() == [[9, 3, 7, -1, -1]]
    assert scores.tolist() == [[2, 1, 1, -np.inf, -np.inf]]
