import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import NotFiniteError, ShapeError
from nestvec.metrics import kendall, pearson, spearman

ALL = (pearson, spearman, kendall)
columns = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), max_size=12)


@given(columns)
def test_kendall_counts_pairs(rows):
    a, b = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [])
    n = len(rows)
    signs = [(np.sign(a[i] - a[j]), np.sign(b[i] - b[j])) for i in range(n) for j in range(i)]
    bottom = math.sqrt(sum(x != 0 for x, _ in signs) * sum(y != 0 for _, y in signs))
    expected = sum(x * y for x, y in signs) / bottom if bottom else math.nan
    assert kendall(a, b) == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.integers(-50, 50), min_size=2, max_size=20, unique=True), st.randoms())
def test_spearman_without_ties_has_a_closed_form(values, rng):
    other = rng.sample(values, len(values))
    n = len(values)
    ranks = [sorted(values).index(x) for x in values], [sorted(values).index(x) for x in other]
    d = sum((x - y) ** 2 for x, y in zip(*ranks, strict=True))
    assert spearman(values, other) == pytest.approx(1 - 6 * d / (n * (n * n - 1)))


@settings(max_examples=30)
@given(columns, st.sampled_from([1e-200, 1.0, 1e150]))
def test_sign_symmetry_and_scale(rows, scale):
    a, b = (np.array(column, np.float64) for column in zip(*rows, strict=True)) if rows else (np.empty(0), np.empty(0))
    for metric in ALL:
        value = metric(a, b)
        assert metric(b, a) == pytest.approx(value, nan_ok=True)
        assert metric(-a, b) == pytest.approx(-value, nan_ok=True)
        assert metric(a * scale, b) == pytest.approx(value, nan_ok=True)
        assert math.isnan(value) or abs(value) <= 1


def test_nan_where_there_is_nothing_to_correlate():
    for metric in ALL:
        assert math.isnan(metric([], []))
        assert math.isnan(metric([1.0], [2.0]))
        assert math.isnan(metric([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
        assert metric([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)


def test_only_spearman_and_kendall_do_not_care_for_the_scale_of_people():
    a = np.array([0.1, 0.2, 0.3, 0.9])
    assert spearman(a, np.exp(9 * a)) == kendall(a, np.exp(9 * a)) == pytest.approx(1)
    assert pearson(a, np.exp(9 * a)) < 0.99


def test_what_is_no_pair_of_lists_is_refused():
    for metric in ALL:
        with pytest.raises(ShapeError, match="got 1 and 2 values"):
            metric([1.0], [1.0, 2.0])
        with pytest.raises(NotFiniteError, match="the first at 1"):
            metric([1.0, math.nan], [1.0, 2.0])


@pytest.mark.peer
@pytest.mark.parametrize("levels", [3, 50, 10**9])
def test_they_agree_with_scipy(levels):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(levels)
    a = rng.integers(0, levels, 700).astype(np.float64)
    b = a + rng.integers(0, levels, 700)
    assert pearson(a, b) == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-12)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, abs=1e-12)
    assert kendall(a, b) == pytest.approx(stats.kendalltau(a, b).statistic, abs=1e-12)
