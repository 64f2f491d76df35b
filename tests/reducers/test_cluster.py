"""Fewer vectors for each item."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.kernels import ward
from nestvec.kernels.maxsim import maxsim
from nestvec.reducers.cluster import members, pool

METHODS = ("ward", "kmeans")


def tokens(t, seed=0, d=5):
    return np.random.default_rng(seed).standard_normal((t, d)).astype(np.float32)


def cut(sizes):
    return np.cumsum([0, *sizes], dtype=np.int64)


@pytest.mark.parametrize("method", METHODS)
@given(sizes=st.lists(st.integers(0, 25), max_size=6), k=st.integers(1, 12), seed=st.integers(0, 99))
@settings(max_examples=25)
def test_an_item_gets_k_or_keeps_what_it_has_whatever_its_company(method, sizes, k, seed):
    offsets = cut(sizes)
    x = tokens(offsets[-1], seed)
    x.setflags(write=False)
    values, own = pool(x, offsets, k=k, method=method)
    assert values.dtype == np.float32
    assert (np.diff(own) == np.minimum(sizes, k)).all()
    for i, (lo, hi) in enumerate(pairwise(offsets.tolist())):
        mine = values[own[i] : own[i + 1]]
        if hi - lo <= k:
            assert (mine == x[lo:hi]).all()
        assert (pool(x[lo:hi], [0, hi - lo], k=k, method=method)[0] == mine).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("how", [{"k": 3}, {"k": 40}, {"ratio": 0.4}])
def test_members_say_which_vector_each_token_went_into(method, how):
    sizes = [0, 1, 9, 25]
    x, offsets = tokens(35), cut(sizes)
    values, where = pool(x, offsets, method=method, **how)
    own = members(x, offsets, method=method, **how)
    for i, (lo, hi) in enumerate(pairwise(offsets.tolist())):
        means = [x[lo:hi][own[lo:hi] == c].mean(axis=0) for c in range(where[i + 1] - where[i])]
        assert np.allclose(values[where[i] : where[i + 1]], np.reshape(means, (-1, 5)), atol=1e-6)


def test_vectors_are_means_in_the_order_of_their_first_tokens():
    x = tokens(30)
    own = ward.clusters(x, 6)
    values, _ = pool(x, [0, 30], k=6)
    assert np.allclose(values, [x[own == c].mean(axis=0) for c in range(6)], atol=1e-6)
    assert np.allclose(pool(x, [0, 30], k=1, method="kmeans")[0][0], x.mean(axis=0), atol=1e-6)


def test_unit_tokens_give_unit_vectors_item_by_item():
    x = tokens(40)
    x[:20] /= np.linalg.norm(x[:20], axis=1, keepdims=True)
    values, own = pool(x, [0, 20, 40], k=4)
    plain = [x[:20][ward.clusters(x[:20], 4) == c].mean(axis=0) for c in range(4)]
    assert np.allclose(values[:4], plain / np.linalg.norm(plain, axis=1, keepdims=True), atol=1e-5)
    assert own.tolist() == [0, 4, 8]
    assert np.allclose(values[4:], [x[20:][ward.clusters(x[20:], 4) == c].mean(axis=0) for c in range(4)], atol=1e-5)


@pytest.mark.parametrize(("ratio", "left"), [(0.3, [3, 0, 1]), (1.0, [10, 0, 1]), (0.01, [1, 0, 1]), (0.31, [4, 0, 1])])
def test_a_ratio_is_rounded_up(ratio, left):
    assert np.diff(pool(tokens(11), cut([10, 0, 1]), ratio=ratio)[1]).tolist() == left


@pytest.mark.parametrize("method", METHODS)
def test_pooling_finds_the_groups_there_are_and_keeps_scores(method):
    topics = 3 * np.eye(8, 40, dtype=np.float32)
    x = np.repeat(topics, 4, axis=0) + 0.05 * tokens(32, d=40)
    values, own = pool(x, [0, 32], k=8, method=method, seed=2)
    if method == "ward":  # k-means may put two of its first centroids into one group
        assert np.abs(values - x.reshape(8, 4, 40).mean(axis=1)).max() < 1e-5
        query = topics[[1, 5]]
        assert maxsim(query, values, own)[0] == pytest.approx(maxsim(query, x, cut([32]))[0], rel=0.05)
    assert (pool(x, [0, 32], k=8, method=method, seed=2)[0] == values).all()


def test_equal_tokens_do_no_harm():
    same = np.ones((20, 3), np.float32)
    assert (pool(same, [0, 20], k=4)[0] == 1).all()
    assert pool(same, [0, 20], k=4, method="kmeans")[0].tolist() == [[1, 1, 1]]


def test_what_cannot_be_is_refused_in_words():
    x = tokens(4)
    for bad in ({}, {"k": 2, "ratio": 0.5}):
        with pytest.raises(InputError, match="either k or ratio"):
            pool(x, [0, 4], **bad)
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        pool(x, [0, 4], k=0)
    for ratio in (0.0, 1.1, -0.5, float("nan")):
        with pytest.raises(InputError, match="above 0 and at most 1"):
            pool(x, [0, 4], ratio=ratio)
    with pytest.raises(InputError, match="'ward' or 'kmeans', got 'dbscan'"):
        getattr(pool, "__wrapped__", pool)(x, [0, 4], k=2, method="dbscan")
    with pytest.raises(ShapeError, match="rise from 0 to 4"):
        pool(x, [0, 3], k=2)
    with pytest.raises(NotFiniteError, match="tokens"):
        pool(x * np.nan, [0, 4], k=2)
