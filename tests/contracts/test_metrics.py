"""What every metric of one ranking must do. Runs over the catalogue: a new metric is tested by being listed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.metrics import METRICS

pytestmark = pytest.mark.parametrize("metric", [METRICS[name] for name in METRICS], ids=list(METRICS))


@st.composite
def rankings(draw):
    """Gains of the items in a ranking and of all there were, as consistent as real ones."""
    q, k, m = draw(st.integers(0, 4)), draw(st.integers(1, 6)), draw(st.integers(0, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    ideal = np.sort(rng.integers(0, 4, (q, m)), axis=1)[:, ::-1].astype(np.float64)
    items = np.concatenate([ideal, np.zeros((q, k))], axis=1)
    ranked = rng.permuted(items, axis=1)[:, :k]
    return ranked, ideal


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


@given(case=rankings())
def test_nan_exactly_where_nothing_is_relevant(metric, case):
    ranked, ideal = case
    assert (np.isnan(metric(ranked, ideal)) == ~(ideal > 0).any(axis=1)).all()


@given(case=rankings())
def test_the_best_ranking_scores_one_and_an_empty_one_zero(metric, case):
    _, ideal = case
    asked = (ideal > 0).any(axis=1)
    best = np.pad(ideal, [(0, 0), (0, 1)])
    assert metric(best, ideal)[asked] == pytest.approx(1)
    assert (metric(np.zeros((len(ideal), 3)), ideal)[asked] == 0).all()


@given(case=rankings(), seed=st.integers(0, 99))
def test_queries_do_not_care_about_order_or_company(metric, case, seed):
    ranked, ideal = case
    order = np.random.default_rng(seed).permutation(len(ranked))
    together = metric(ranked, ideal)
    assert np.array_equal(metric(ranked[order], ideal[order]), together[order], equal_nan=True)
    alone = [metric(ranked[i : i + 1], ideal[i : i + 1])[0] for i in range(len(ranked))]
    assert np.allclose(alone, together, rtol=0, atol=1e-12, equal_nan=True)


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


@given(case=rankings())
def test_padding_and_scale_change_nothing(metric, case):
    ranked, ideal = case
    values = metric(ranked, ideal)
    assert np.allclose(metric(ranked, np.pad(ideal, [(0, 0), (0, 3)])), values, rtol=0, atol=1e-12, equal_nan=True)
    assert np.allclose(metric(ranked * 4, ideal * 4), values, rtol=0, atol=1e-12, equal_nan=True)


def test_lists_of_whole_numbers_are_welcome(metric):
    assert metric([[1, 0]], [[1, 0]]) == pytest.approx([1.0])


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
