"""Hubs, local dimension, similarity of models and EvalRank, on cases worked out by hand or known beforehand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, ShapeError
from nestvec.kernels.neighbours import nearest, unit
from nestvec.metrics.evalrank import pair_ranks
from nestvec.metrics.hubness import antihubs, hubness_skewness, occurrences, robin_hood
from nestvec.metrics.lid import intrinsic_dimension, local_dimension
from nestvec.metrics.similarity import jaccard, linear_cka, rank_similarity


def test_occurrences_by_hand():
    counts = occurrences([[1, 2], [2, -1], [1, 0]], n=4)
    assert counts.tolist() == [1, 2, 2, 0]
    assert antihubs(counts) == 0.25
    assert robin_hood(counts) == pytest.approx((0.25 + 0.75 + 0.75 + 1.25) / 10)
    assert hubness_skewness([0, 0, 0, 4]) == pytest.approx(((3**3) - 3) / 4 / 3**1.5)
    assert (hubness_skewness([2, 2, 2]), robin_hood([2, 2])) == (0, 0)
    assert np.isnan([antihubs([]), hubness_skewness([]), robin_hood([0, 0])]).all()
    with pytest.raises(InputError, match="positions"):
        occurrences([[4]], n=4)
    with pytest.raises(ShapeError, match=r"\[q, k\]"):
        occurrences([1, 2], n=4)
    with pytest.raises(ShapeError, match=r"\[n\]"):
        antihubs([[1]])


def test_many_dimensions_make_hubs():
    rng = np.random.default_rng(0)
    skews = []
    for d in (3, 100):
        x = rng.standard_normal((1000, d)).astype(np.float32)
        apart = ((x[:, None] - x) ** 2).sum(axis=2) if d == 3 else -2 * x @ x.T + (x**2).sum(axis=1)
        np.fill_diagonal(apart, np.inf)
        skews.append(hubness_skewness(occurrences(np.argsort(apart, axis=1)[:, :10], n=1000)))
    assert skews[0] < 1 < skews[1]


@pytest.mark.parametrize("d", [2, 5])
def test_local_dimension_of_a_flat_patch_in_a_larger_space(d):
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(3000, d)) @ np.linalg.qr(rng.standard_normal((20, d)))[0].T
    apart = np.sqrt(np.maximum((x**2).sum(axis=1)[:200, None] + (x**2).sum(axis=1) - 2 * x[:200] @ x.T, 0))
    distances = np.sort(apart, axis=1)[:, 1:31]
    assert intrinsic_dimension(local_dimension(distances)) == pytest.approx(d, rel=0.15)


def test_local_dimension_by_hand():
    # ln(1/4) + ln(2/4) = -3 ln 2 over two of three distances
    assert local_dimension([[1, 2, 4]]) == pytest.approx([2 / (3 * np.log(2))])
    assert local_dimension([[0, 1, 2, 4, np.inf]]) == pytest.approx([2 / (3 * np.log(2))])
    assert np.isnan(local_dimension([[1, 1, 1], [0, 0, 1], [np.inf] * 3])).all()
    assert intrinsic_dimension([1, 3, np.nan]) == pytest.approx(1.5)
    assert np.isnan(intrinsic_dimension([np.nan]))
    with pytest.raises(InputError, match="rise"):
        local_dimension([[2, 1]])


def test_cka_against_its_definition_with_kernels():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 5)), rng.standard_normal((60, 9))
    y[:, :5] += 2 * x
    centre = np.eye(60) - 1 / 60
    k, m = (centre @ (v @ v.T) @ centre for v in (x, y))
    truth = (k * m).sum() / np.sqrt((k * k).sum() * (m * m).sum())
    assert linear_cka(x, y) == pytest.approx(truth, rel=1e-5)
    turn = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert linear_cka(x, 3 * x @ turn + 7) == pytest.approx(1, abs=1e-5)
    assert np.isnan(linear_cka(x, np.ones((60, 2))))
    with pytest.raises(ShapeError, match="one row"):
        linear_cka(x, y[:9])


def test_lists_in_common_by_hand():
    a, b = [[1, 2, 3], [1, 2, 3], [1, -1, -1], [-1, -1, -1]], [[1, 2, 3], [3, 4, 5], [9, 8, 7], [-1, -1, -1]]
    assert jaccard(a, b) == pytest.approx([1, 0.2, 0, np.nan], nan_ok=True)
    # in the second only 3 is shared, third here and first there: 2 / ((1 + 2) (3 + 1)) over 1
    assert rank_similarity(a, b) == pytest.approx([1, 1 / 6, 0, np.nan], nan_ok=True)
    with pytest.raises(ShapeError, match="one row a query"):
        jaccard(a, b[:2])


@given(seed=st.integers(0, 999), k=st.integers(1, 6), m=st.integers(1, 6))
def test_lists_in_common_stay_in_range_and_do_not_care_who_is_first(seed, k, m):
    rng = np.random.default_rng(seed)
    a, b = (np.stack([rng.permutation(8)[:w] for _ in range(5)]) for w in (k, m))
    for measure in (jaccard, rank_similarity):
        values = measure(a, b)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
        assert measure(b, a) == pytest.approx(values)
        assert measure(a, a) == pytest.approx(1)


@given(seed=st.integers(0, 999), n=st.integers(1, 60), k=st.integers(1, 8))
def test_nearest_is_what_sorting_finds(seed, n, k):
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (n, 3)).astype(np.float32)  # many ties
    ids, scores = nearest(x, x, k, own=np.arange(n))
    truth = x @ x.T
    np.fill_diagonal(truth, -np.inf)
    order = np.argsort(-truth, axis=1, kind="stable")[:, : min(k, n - 1)]
    assert (ids[:, : order.shape[1]] == order).all()
    assert (ids[:, order.shape[1] :] == -1).all()
    assert (scores[:, : order.shape[1]] == np.take_along_axis(truth, order, axis=1)).all()


def test_nearest_over_blocks_and_tiles():
    rng = np.random.default_rng(0)
    x, q = (unit(rng.standard_normal((n, 4)).astype(np.float32)) for n in (9000, 1500))
    ids, _ = nearest(q, x, 3, own=None)
    some = [0, 1023, 1024, 1499]
    assert (ids[some] == np.argsort(-(q[some] @ x.T), axis=1)[:, :3]).all()
    assert np.allclose(np.linalg.norm(unit(np.array([[3, 4], [0, 0]], np.float32)), axis=1), [1, 0])


def test_pair_ranks_by_counting():
    rng = np.random.default_rng(0)
    background = rng.standard_normal((5000, 8)).astype(np.float32)
    a, b = background[:1100], background[:1100] + 0.7 * rng.standard_normal((1100, 8)).astype(np.float32)
    ranks = pair_ranks(a, b, background)
    centre = background.mean(axis=0)

    def sphere(v):
        return (v - centre) / np.linalg.norm(v - centre, axis=1, keepdims=True)

    for i in (0, 7, 1023, 1099):
        scores = sphere(background) @ sphere(a[i : i + 1])[0]
        assert ranks[i] == max(int((scores > sphere(b[i : i + 1])[0] @ sphere(a[i : i + 1])[0]).sum()), 1)
    # a pair of one item with itself, which is in the background: first, whatever rounding does
    assert (pair_ranks(a, a, background) == 1).all()
    with pytest.raises(ShapeError, match="one row a pair"):
        pair_ranks(a, b[:3], background)
    with pytest.raises(ShapeError, match="at least 1"):
        pair_ranks(a, b, background[:0])
