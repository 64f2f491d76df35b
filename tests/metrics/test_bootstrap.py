import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.metrics import bootstrap, bootstrap_mean

values = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=40)


@given(values, st.integers(0, 99))
def test_the_interval_lies_inside_the_values_and_in_order(x, seed):
    got = bootstrap_mean(x, resamples=200, seed=seed)
    slack = 1e-12
    assert min(x) - slack <= got.low <= got.high <= max(x) + slack
    assert got.mean == pytest.approx(np.mean(x))
    assert got.n == len(x)
    assert bootstrap_mean(x, resamples=200, seed=seed) == got


@given(values)
def test_more_confidence_is_never_narrower(x):
    narrow = bootstrap_mean(x, confidence=0.5, resamples=300)
    wide = bootstrap_mean(x, confidence=0.99, resamples=300)
    assert wide.low <= narrow.low + 1e-12
    assert narrow.high <= wide.high + 1e-12


@given(values, st.sampled_from([2.0**-20, 0.5, 8.0]))  # powers of two scale without rounding, so ties stay ties
def test_it_grows_with_the_values(x, scale):
    a = bootstrap_mean(x, resamples=200)
    b = bootstrap_mean(np.array(x) * scale, resamples=200)
    assert (b.low, b.high) == (pytest.approx(a.low * scale), pytest.approx(a.high * scale))


@pytest.mark.peer
@pytest.mark.parametrize("n", [8, 40, 300])
@pytest.mark.parametrize("shape", ["beta", "exponential", "zeros and ones"])
def test_it_agrees_with_scipy(n, shape):
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(n)
    x = {
        "beta": rng.beta(0.3, 0.2, n),
        "exponential": rng.exponential(size=n),
        "zeros and ones": (rng.random(n) < 0.3).astype(float),
    }[shape]
    mine = bootstrap_mean(x, resamples=15_000)
    peer = stats.bootstrap((x,), np.mean, method="BCa", n_resamples=15_000, rng=np.random.default_rng(1))
    width = mine.high - mine.low
    step = 1 / n if shape == "zeros and ones" else 0  # such means lie on a grid, and an end may fall beside a point
    assert mine.low == pytest.approx(peer.confidence_interval.low, abs=0.05 * width + step)
    assert mine.high == pytest.approx(peer.confidence_interval.high, abs=0.05 * width + step)


def slow_bca(x, means, tail):
    """The definition with a jackknife that really leaves one out, on given resampled means."""
    from statistics import NormalDist

    normal = NormalDist()
    left_out = np.array([np.delete(x, i).mean() for i in range(len(x))])
    d = left_out.mean() - left_out
    a = (d**3).sum() / (6 * (d**2).sum() ** 1.5)
    z0 = normal.inv_cdf((np.mean(means < 0) + np.mean(means <= 0)) / 2)
    ends = [z0 + (z0 + z) / (1 - a * (z0 + z)) for z in (normal.inv_cdf(tail), normal.inv_cdf(1 - tail))]
    return x.mean() + np.quantile(means, [normal.cdf(end) for end in ends])


def test_it_equals_the_definition():
    from nestvec.metrics.bootstrap import _resampled

    x = np.random.default_rng(5).exponential(size=25)
    got = bootstrap_mean(x, resamples=2_000, seed=3)
    expected = slow_bca(x, _resampled(x - x.mean(), 2_000, 3), 0.025)
    assert [got.low, got.high] == pytest.approx(expected)


@pytest.mark.slow
def test_it_covers_what_it_promises():
    """Of 95 % intervals for scores of 150 queries, 93 to 97 % hold the true mean."""
    rng = np.random.default_rng(0)
    held = 0
    for i in range(1_000):
        got = bootstrap_mean(rng.beta(0.5, 0.5, 150), resamples=1_000, seed=i)
        held += got.low <= 0.5 <= got.high
    assert 0.93 <= held / 1_000 <= 0.97


def test_equal_values_have_no_spread_and_one_value_says_nothing_about_it():
    same = bootstrap_mean([0.1, 0.1, 0.1])
    assert (same.low, same.high) == (same.mean, same.mean)
    one = bootstrap_mean([0.5])
    assert (one.mean, one.low, one.high, one.n) == (0.5, -math.inf, math.inf, 1)


def test_a_single_resample_falls_back_to_the_percentile_interval():
    got = bootstrap_mean([0.0, 1.0, 5.0], resamples=1)
    assert got.low == got.high


def test_it_reads_well():
    assert str(bootstrap_mean([1.0, 1.0])) == "1.0000 [1.0000, 1.0000] n=2"


def test_what_has_no_mean_is_refused():
    with pytest.raises(ShapeError, match="n >= 1"):
        bootstrap_mean([])
    with pytest.raises(ShapeError, match=r"\(1, 2\)"):
        bootstrap_mean([[1.0, 2.0]])
    with pytest.raises(NotFiniteError, match="got 1 that are not"):
        bootstrap_mean([1.0, math.nan])
    for bad in ({"confidence": 1.0}, {"confidence": 0.0}, {"resamples": 0}):
        with pytest.raises(InputError, match="must lie between"):
            bootstrap_mean([1.0, 2.0], **bad)


def correlation(a, b):
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else math.nan


def test_the_general_form_gives_the_interval_of_the_mean():
    x = np.random.default_rng(0).exponential(size=60)
    mine, mean = bootstrap(np.mean, x, resamples=4_000), bootstrap_mean(x, resamples=4_000)
    width = mean.high - mean.low
    assert mine.mean == pytest.approx(mean.mean)
    assert (mine.low, mine.high) == (
        pytest.approx(mean.low, abs=0.05 * width),
        pytest.approx(mean.high, abs=0.05 * width),
    )


@pytest.mark.peer
def test_the_interval_of_a_correlation_agrees_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(2)
    a = rng.standard_normal(80)
    b = a + rng.standard_normal(80)
    mine = bootstrap(correlation, a, b, resamples=4_000)
    peer = stats.bootstrap(
        (a, b), correlation, paired=True, vectorized=False, n_resamples=4_000, rng=np.random.default_rng(1)
    ).confidence_interval
    width = mine.high - mine.low
    assert mine.low == pytest.approx(peer.low, abs=0.06 * width)
    assert mine.high == pytest.approx(peer.high, abs=0.06 * width)


def test_items_that_belong_together_are_drawn_together():
    """Twenty copies of each value know no more than one: the interval of groups is that of the single values."""
    x = np.random.default_rng(0).standard_normal(30)
    copies, groups = np.repeat(x, 20), np.repeat(np.arange(30), 20)
    grouped, single = bootstrap(np.mean, copies, groups=groups), bootstrap(np.mean, x)
    assert grouped.n == 30
    assert (grouped.low, grouped.high) == (pytest.approx(single.low), pytest.approx(single.high))
    naive = bootstrap(np.mean, copies)
    assert naive.high - naive.low < 0.5 * (grouped.high - grouped.low)


def test_columns_stay_together():
    """A paired difference: the columns share their luck, so it is known much better than either."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal(100)
    b = a + 0.01 * rng.standard_normal(100)
    got = bootstrap(lambda x, y: float(x.mean() - y.mean()), a, b)
    assert got.high - got.low < 0.01


def test_a_statistic_without_a_value():
    nothing = bootstrap(correlation, [1.0, 1.0, 1.0], [1.0, 2.0, 3.0])
    assert [math.isnan(x) for x in (nothing.mean, nothing.low, nothing.high)] == [True] * 3
    few = bootstrap(correlation, [1.0, 2.0, 3.0], [1.0, 2.0, 4.0])  # many resamples are constant: left out
    assert few.low <= few.mean <= few.high
    one = bootstrap(np.mean, [2.0, 4.0], groups=[7, 7])
    assert (one.mean, one.low, one.high, one.n) == (3.0, -math.inf, math.inf, 1)
    same = bootstrap(np.mean, [2.0, 2.0])
    assert (same.low, same.high) == (2.0, 2.0)


def test_columns_that_do_not_fit_are_refused():
    for columns in ((), ([1.0], [1.0, 2.0]), ([[1.0]],), ([],)):
        with pytest.raises(ShapeError, match="must all be"):
            bootstrap(lambda *x: 0.0, *columns)
    with pytest.raises(ShapeError, match="columns and groups"):
        bootstrap(np.mean, [1.0, 2.0], groups=[1])
    with pytest.raises(InputError, match="must lie between"):
        bootstrap(np.mean, [1.0, 2.0], confidence=2.0)


@pytest.mark.slow
def test_the_interval_of_a_correlation_covers_what_it_promises():
    rng = np.random.default_rng(0)
    held = 0
    for i in range(200):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.8], [0.8, 1]], 60).T
        got = bootstrap(correlation, x, y, resamples=500, seed=i)
        held += got.low <= 0.8 <= got.high
    assert 0.90 <= held / 200 <= 0.99


def test_the_interval_covers_the_mean_about_as_often_as_it_promises():
    rng = np.random.default_rng(0)
    found = [bootstrap_mean(rng.beta(0.5, 0.5, 100), confidence=0.8, resamples=400, seed=i) for i in range(300)]
    assert 0.73 <= np.mean([x.low <= 0.5 <= x.high for x in found]) <= 0.87  # three standard errors of .8
