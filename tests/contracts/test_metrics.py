"""What every metric must do, family by family. Runs over the catalogue: a new metric is tested by being listed."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.metrics import METRICS


def family(name):
    """The module under nestvec.metrics that a metric lives in; those of one module share one form."""
    return METRICS[name].__module__.split(".")[2]


def of(*families):
    """Parametrises a test over the metrics of these families."""
    names = [name for name in METRICS if family(name) in families]
    return pytest.mark.parametrize("metric", [pytest.param(METRICS[n], id=n) for n in names])


FAMILIES = ("ranking", "agreement", "correlation", "classification", "pairs", "clustering")
LABELS = ("classification", "clustering")


def test_every_metric_is_of_a_family_with_a_contract():
    assert {family(name) for name in METRICS} == set(FAMILIES)


@st.composite
def rankings(draw):
    """Gains of the items in a ranking and of all there were, as consistent as real ones."""
    q, k, m = draw(st.integers(0, 4)), draw(st.integers(1, 6)), draw(st.integers(0, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ideal = np.sort(rng.integers(0, 4, (q, m)), axis=1)[:, ::-1].astype(np.float64)
    items = np.concatenate([ideal, np.zeros((q, k))], axis=1)
    ranked = rng.permuted(items, axis=1)[:, :k]
    return ranked, ideal


@of("ranking")
@given(case=rankings())
def test_one_number_a_query_between_0_and_1(metric, case):
    ranked, ideal = case
    kept = ranked.copy(), ideal.copy()
    ranked.setflags(write=False)
    ideal.setflags(write=False)
    values = metric(ranked, ideal)
    assert values.shape == (len(ranked),)
    assert values.dtype == np.float64
    assert ((ranked == kept[0]).all(), (ideal == kept[1]).all()) == (True, True)
    real = values[~np.isnan(values)]
    assert ((real >= 0) & (real <= 1 + 1e-12)).all()


@of("ranking")
@given(case=rankings())
def test_nan_exactly_where_nothing_is_relevant(metric, case):
    ranked, ideal = case
    assert (np.isnan(metric(ranked, ideal)) == ~(ideal > 0).any(axis=1)).all()


@of("ranking")
@given(case=rankings())
def test_the_best_ranking_scores_one_and_an_empty_one_zero(metric, case):
    _, ideal = case
    asked = (ideal > 0).any(axis=1)
    best = np.pad(ideal, [(0, 0), (0, 1)])
    found = np.count_nonzero(ideal, axis=1)[asked] / best.shape[1]
    share_of_k = metric is METRICS["precision@1"]  # the one metric that too few relevant items keep below 1
    assert metric(best, ideal)[asked] == pytest.approx(found if share_of_k else 1)
    assert (metric(np.zeros((len(ideal), 3)), ideal)[asked] == 0).all()


@of("ranking")
@given(case=rankings(), seed=st.integers(0, 99))
def test_queries_do_not_care_about_order_or_company(metric, case, seed):
    ranked, ideal = case
    order = np.random.default_rng(seed).permutation(len(ranked))
    together = metric(ranked, ideal)
    assert np.array_equal(metric(ranked[order], ideal[order]), together[order], equal_nan=True)
    alone = [metric(ranked[i : i + 1], ideal[i : i + 1])[0] for i in range(len(ranked))]
    assert np.allclose(alone, together, rtol=0, atol=1e-12, equal_nan=True)


@of("ranking")
@given(case=rankings())
def test_moving_a_better_item_up_never_hurts(metric, case):
    ranked, ideal = case
    before = metric(ranked, ideal)
    for i in range(ranked.shape[1] - 1):
        better = ranked.copy()
        swap = ranked[:, i + 1] > ranked[:, i]
        better[swap, i], better[swap, i + 1] = ranked[swap, i + 1], ranked[swap, i]
        after = metric(better, ideal)
        assert (np.isnan(after) | (after >= before - 1e-12)).all()


@of("ranking")
@given(case=rankings())
def test_padding_and_scale_change_nothing(metric, case):
    ranked, ideal = case
    values = metric(ranked, ideal)
    assert np.allclose(metric(ranked, np.pad(ideal, [(0, 0), (0, 3)])), values, rtol=0, atol=1e-12, equal_nan=True)
    assert np.allclose(metric(ranked * 4, ideal * 4), values, rtol=0, atol=1e-12, equal_nan=True)


@of("ranking")
def test_lists_of_whole_numbers_are_welcome(metric):
    assert metric([[1]], [[1, 0]]) == pytest.approx([1.0])


@of("ranking")
@pytest.mark.parametrize(
    ("ranked", "ideal", "error"),
    [
        ([1.0], [1.0], ShapeError),
        ([[1.0]], [[1.0], [1.0]], ShapeError),
        ([[np.nan]], [[1.0]], NotFiniteError),
        ([[1.0]], [[np.inf]], NotFiniteError),
        ([[-1.0]], [[1.0]], InputError),
        ([[1.0]], [[0.0, 1.0]], InputError),
    ],
)
def test_what_is_no_ranking_is_refused(metric, ranked, ideal, error):
    with pytest.raises(error, match="must"):
        metric(np.array(ranked), np.array(ideal))


@of("ranking")
@settings(max_examples=50)
@given(case=rankings())
def test_ranks_may_be_told_instead_of_laid_out(metric, case):
    ranked, ideal = case
    k = ranked.shape[1]
    order = np.argsort(ranked == 0, axis=1, kind="stable")  # what has a gain comes first, in its order
    packed = np.take_along_axis(ranked, order, axis=1)
    ranks = np.where(packed > 0, order + 1, k + 1 + np.arange(k))
    depth = {"depth": k} if metric in (METRICS["ndcg@1"], METRICS["precision@1"]) else {}
    told = metric(packed, ideal, ranks=ranks, **depth)
    assert np.allclose(told, metric(ranked, ideal), rtol=0, atol=1e-12, equal_nan=True)


@of("ranking")
def test_ranks_that_are_none_are_refused(metric):
    depth = {"depth": 2} if metric in (METRICS["ndcg@1"], METRICS["precision@1"]) else {}
    for ranks in ([[0, 1]], [[2, 2]], [[2, 1]]):
        with pytest.raises(InputError, match="ranks must start at 1"):
            metric([[1, 1]], [[1, 1]], ranks=ranks, **depth)
    with pytest.raises(ShapeError, match="of the shape of ranked"):
        metric([[1, 1]], [[1, 1]], ranks=[[1]], **depth)


@st.composite
def found_twice(draw):
    """Two rankings of the same queries, of the same length."""
    q, k = draw(st.integers(0, 4)), draw(st.integers(1, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return tuple(np.argsort(rng.random((q, 9)), axis=1)[:, :k] for _ in range(2))


@of("agreement")
@settings(max_examples=30)
@given(case=found_twice())
def test_agreement_is_whole_with_itself_none_with_strangers_and_the_same_both_ways(metric, case):
    a, b = case
    values = metric(a, b)
    assert values.shape == (len(a),)
    assert values.dtype == np.float64
    assert ((values >= 0) & (values <= 1)).all()
    assert metric(a, a) == pytest.approx(1)
    assert (metric(a, b + 100) == 0).all()
    assert metric(b, a) == pytest.approx(values)
    names = np.random.default_rng(0).permutation(9)
    assert metric(names[a], names[b]) == pytest.approx(values)
    alone = [metric(a[i : i + 1], b[i : i + 1])[0] for i in range(len(a))]
    assert alone == pytest.approx(values.tolist())
    missing = np.full((len(a), 2), -1)
    assert metric(np.concatenate([a, missing], axis=1), b) == pytest.approx(values)
    assert np.isnan(metric(np.full_like(a, -1), np.full_like(a, -1))).all()


@st.composite
def numbers(draw, family):
    """Two lists of equal length as this family reads them, best case first: ``metric(a, a)`` is 1."""
    n = draw(st.integers(4, 20))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if family == "pairs":
        return np.concatenate([[0, 1], rng.integers(0, 2, n)]), np.concatenate([[0.5, 0.5], rng.random(n)])
    if family in LABELS:
        return rng.integers(0, 4, n), rng.integers(0, 4, n)
    return np.arange(n) + rng.random(n), rng.permutation(n) + rng.random(n)


@of("correlation", "pairs", "classification", "clustering")
@settings(max_examples=30)
@given(data=st.data(), seed=st.integers(0, 99))
def test_one_number_of_two_lists(metric, data, seed):
    """In range, 1 for perfect agreement, whatever the order of the items, without touching what it was given."""
    a, b = data.draw(numbers(metric.__module__.split(".")[2]))
    kept = a.copy(), b.copy()
    a.setflags(write=False)
    b.setflags(write=False)
    value = metric(a, b)
    assert isinstance(value, float)
    assert -1 <= value <= 1 + 1e-12
    assert metric(a, a) == pytest.approx(1)
    order = np.random.default_rng(seed).permutation(len(a))
    assert metric(a[order], b[order]) == pytest.approx(value, abs=1e-12)
    assert metric(a.tolist(), b.tolist()) == value
    assert np.array_equal(a, kept[0])
    assert np.array_equal(b, kept[1])


@of("correlation", "pairs", "classification", "clustering")
def test_nothing_has_no_value_and_lists_must_fit(metric):
    assert np.isnan(metric([], []))
    for bad in (partial(metric, [0, 1], [0, 1, 1]), partial(metric, [[0, 1]], [[0, 1]])):
        with pytest.raises(ShapeError, match="must"):
            bad()
    with pytest.raises(InputError, match="must"):
        metric([0.0, 1.0], [0.0, np.nan])
