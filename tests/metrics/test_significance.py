import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.metrics import bootstrap_difference
from nestvec.metrics.significance import (
    detectable_difference,
    friedman,
    holm,
    items_needed,
    nemenyi,
    paired_randomisation,
    tie_groups,
    wilcoxon,
)

small = st.lists(st.integers(-4, 4).map(float), min_size=1, max_size=8)


@given(small)
def test_randomisation_counts_every_way_to_flip(d):
    outcomes = [abs(sum(s * x for s, x in zip(signs, d, strict=True))) for signs in product((1, -1), repeat=len(d))]
    expected = np.mean([outcome >= abs(sum(d)) for outcome in outcomes])
    assert paired_randomisation(d, [0.0] * len(d)) == pytest.approx(expected)


@given(small)
def test_wilcoxon_counts_every_way_to_sign_the_ranks(d):
    real = [x for x in d if x]
    sizes = sorted(map(abs, real))
    ranks = [np.mean([i for i, y in enumerate(sizes, start=1) if y == abs(x)]) for x in real]
    ours = sum(r for r, x in zip(ranks, real, strict=True) if x > 0)
    ways = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in product((0, 1), repeat=len(real))]
    tails = np.mean([way <= ours for way in ways]), np.mean([way >= ours for way in ways])
    assert wilcoxon(d, [0.0] * len(d)) == pytest.approx(min(1.0, 2 * min(tails)))


@settings(max_examples=30)
@given(small, st.randoms())
def test_paired_tests_do_not_care_who_is_first_or_in_which_order(d, rng):
    zero = [0.0] * len(d)
    for test in (paired_randomisation, wilcoxon):
        p = test(d, zero)
        assert 0 < p <= 1
        assert test(zero, d) == pytest.approx(p)
        assert test(rng.sample(d, len(d)), zero) == pytest.approx(p)


def test_equal_systems_cannot_be_told_apart():
    assert paired_randomisation([0.5, 0.2], [0.5, 0.2]) == 1
    assert wilcoxon([0.5, 0.2], [0.5, 0.2]) == 1


def test_decimals_that_mean_the_same_difference_tie():
    """0.3 - 0.2 and 0.2 - 0.1 differ in the last bit."""
    assert wilcoxon([0.3, 0.2, 0.9], [0.2, 0.1, 0.1]) == wilcoxon([1.0, 1.0, 8.0], [0.0, 0.0, 0.0])
    assert wilcoxon([0.3, 0.1 + 0.2], [0.1 + 0.2, 0.3]) == 1
    assert paired_randomisation([0.3, 0.1], [0.2, 0.2]) == 1


def test_random_signs_come_near_the_count_and_never_to_zero():
    rng = np.random.default_rng(0)
    d = rng.standard_normal(18) + 0.4
    exact = paired_randomisation(d, np.zeros(18))
    wide = np.concatenate([d, np.full(3, 1e-9)])  # three more than are counted one by one, and of no weight
    assert paired_randomisation(wide, np.zeros(21)) == pytest.approx(exact, abs=4 * math.sqrt(exact / 100_000))
    assert paired_randomisation(wide, np.zeros(21), seed=3) == paired_randomisation(wide, np.zeros(21), seed=3)
    assert paired_randomisation(np.ones(100), np.zeros(100), resamples=999) == 1 / 1000


def test_a_test_is_right_as_often_as_it_says():
    """Under no difference, p is at most .1 in about 10 % of cases, for the exact and for the random way."""
    rng = np.random.default_rng(1)
    for n, test in [(12, paired_randomisation), (60, paired_randomisation), (15, wilcoxon), (80, wilcoxon)]:
        more = {"resamples": 500} if (n, test) == (60, paired_randomisation) else {}
        p = [test(rng.standard_exponential(n), rng.standard_exponential(n), **more) for _ in range(300)]
        assert 0.05 <= np.mean(np.array(p) <= 0.1) <= 0.15  # five in a hundred: three standard errors


def test_holm_by_hand():
    assert holm([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]).tolist() == [1.0, 1.0]
    assert holm([]).shape == (0,)
    assert holm([0.02]).tolist() == [0.02]


@given(st.lists(st.floats(0, 1), max_size=8), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_steps_down(p, alpha):
    rejected = set()
    for turn, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[i] * (len(p) - turn) > alpha:
            break
        rejected.add(i)
    assert set(np.flatnonzero(holm(p) <= alpha).tolist()) == rejected


SCORES = np.array([[0.9, 0.8, 0.7], [0.6, 0.5, 0.5], [0.9, 0.7, 0.8], [0.4, 0.3, 0.2], [0.8, 0.9, 0.1]])


def test_friedman_by_hand():
    """Ranks 1 2 3, 1 2.5 2.5, 1 3 2, 1 2 3, 2 1 3: rank sums 6, 10.5, 13.5; squares of all ranks 69.5."""
    got = friedman(SCORES)
    chi2 = 2 * (4**2 + 0.5**2 + 3.5**2) / (69.5 - 60)
    assert got.mean_ranks.tolist() == pytest.approx([1.2, 2.1, 2.7])
    assert got.statistic == pytest.approx(chi2)
    f = 4 * chi2 / (10 - chi2)
    assert got.p == pytest.approx((1 + 2 * f / 8) ** -4)  # the F distribution with 2 and 8 degrees in closed form
    assert got.tasks == 5


def test_friedman_at_its_ends():
    same = friedman(np.ones((4, 3)))
    assert (same.statistic, same.p, same.mean_ranks.tolist()) == (0.0, 1.0, [2, 2, 2])
    clear = friedman(np.tile([3.0, 2.0, 1.0], (6, 1)))
    assert (clear.statistic, clear.p) == (pytest.approx(12), 0.0)


def test_nemenyi_by_hand():
    got = nemenyi(SCORES)
    assert got.critical_difference == pytest.approx(2.343 * math.sqrt(3 * 4 / (6 * 5)), abs=1e-3)
    assert np.array_equal(got.p, got.p.T)
    assert got.p.diagonal().tolist() == [1, 1, 1]
    apart = np.abs(got.mean_ranks[:, None] - got.mean_ranks) > got.critical_difference
    assert np.array_equal(got.p < 0.05, apart)


def ladder(steps, n=200, noise=0.1):
    """Systems whose true means lie ``steps`` apart, on shared items."""
    rng = np.random.default_rng(0)
    luck = rng.standard_normal((n, len(steps)))
    return rng.random((n, 1)) + np.array(steps) + noise * (luck - luck.mean(axis=0))


def test_groups_of_what_can_and_cannot_be_told_apart():
    got = tie_groups(ladder([0.0, 0.3, 0.301, -0.5]))
    assert set(got.order[:2].tolist()) == {1, 2}
    assert got.order[2:].tolist() == [0, 3]
    assert [set(group) for group in got.groups] == [{1, 2}, {0}, {3}]
    assert got.low_rank.tolist() == [3, 1, 1, 4]
    assert got.high_rank.tolist() == [3, 2, 2, 4]
    assert not got.separable.diagonal().any()


def test_groups_may_overlap():
    """Neighbours cannot be told apart, and the ends can: the middle stands in two groups."""
    got = tie_groups(ladder([0.03, 0.015, 0.0], n=220))
    assert got.separable[0, 2]
    assert not got.separable[0, 1]
    assert not got.separable[1, 2]
    assert got.groups == ((0, 1), (1, 2))
    assert got.low_rank.tolist() == [1, 1, 2]
    assert got.high_rank.tolist() == [2, 3, 3]


def test_equal_systems_share_all_ranks():
    x = np.random.default_rng(0).random((50, 1))
    got = tie_groups(np.repeat(x, 3, axis=1))
    assert got.groups == ((0, 1, 2),)
    assert got.low_rank.tolist() == [1, 1, 1]
    assert got.high_rank.tolist() == [3, 3, 3]


def test_order_of_systems_and_a_second_look_change_nothing():
    x = ladder([0.1, 0.0, 0.03, 0.5, 0.02])
    a, b = tie_groups(x), tie_groups(x[:, ::-1])
    assert a.low_rank.tolist() == b.low_rank[::-1].tolist()
    assert a.high_rank.tolist() == b.high_rank[::-1].tolist()
    assert {tuple(sorted(g)) for g in a.groups} == {tuple(sorted(4 - i for i in g)) for g in b.groups}
    assert np.array_equal(tie_groups(x).separable, a.separable)


def test_detectable_difference_of_the_specification():
    """300 queries that differ by .33 show .054 of nDCG in 80 of 100 cases."""
    assert detectable_difference(300) == pytest.approx(0.0535, abs=2e-4)
    assert detectable_difference(300, spread=0.1) < detectable_difference(100, spread=0.1)
    assert detectable_difference(1) == math.inf


@pytest.mark.parametrize(("n", "confidence", "power"), [(10, 0.95, 0.8), (50, 0.9, 0.9)])
def test_what_is_detectable_is_detected(n, confidence, power):
    """Simulated with normal differences and the interval of Student: found in about ``power`` of 2,000 cases."""
    from nestvec.kernels.distributions import student_quantile

    true = detectable_difference(n, spread=1.0, confidence=confidence, power=power)
    d = true + np.random.default_rng(0).standard_normal((2_000, n))
    t = np.abs(d.mean(axis=1)) / d.std(axis=1, ddof=1) * math.sqrt(n)
    assert np.mean(t > student_quantile((1 + confidence) / 2, n - 1.0)) == pytest.approx(power, abs=0.03)


@pytest.mark.parametrize("difference", [0.5, 0.05, 0.011])
def test_items_needed_is_the_smallest_number_that_will_do(difference):
    n = items_needed(difference)
    assert detectable_difference(n) <= difference
    assert n == 2 or detectable_difference(n - 1) > difference


def test_the_difference_of_two_systems_has_the_interval_of_the_differences():
    rng = np.random.default_rng(0)
    easy = rng.random(200)
    a, b = easy + 0.02 + 0.01 * rng.standard_normal(200), easy
    got = bootstrap_difference(a, b)
    assert 0 < got.low < got.mean < got.high < 0.03
    assert got.mean == pytest.approx((a - b).mean())


@pytest.mark.parametrize("test", [paired_randomisation, wilcoxon, bootstrap_difference])
def test_what_is_no_pair_is_refused(test):
    with pytest.raises(ShapeError, match="same items, got 1 and 2"):
        test([1.0], [1.0, 2.0])
    with pytest.raises(ShapeError, match="n >= 1"):
        test([], [])
    with pytest.raises(NotFiniteError, match="a must be finite, got 1"):
        test([1.0, math.nan], [1.0, 2.0])


@pytest.mark.parametrize("test", [friedman, nemenyi, tie_groups])
def test_what_are_no_scores_is_refused(test):
    for bad in ([1.0, 2.0], [[1.0, 2.0]], [[1.0], [2.0]]):
        with pytest.raises(ShapeError, match="a row an item and a column a system"):
            test(bad)
    with pytest.raises(NotFiniteError, match="1 values that are not"):
        test([[1.0, math.nan], [1.0, 2.0]])


def test_numbers_out_of_range_are_refused():
    with pytest.raises(InputError, match="resamples must be at least 1"):
        paired_randomisation([1.0], [0.0], resamples=0)
    with pytest.raises(InputError, match=r"in \[0, 1\], got 2"):
        holm([0.5, 2.0])
    with pytest.raises(InputError, match="confidence"):
        nemenyi(SCORES, confidence=1.0)
    with pytest.raises(InputError, match="at least 120 to separate any of 3 pairs, got 100"):
        tie_groups(SCORES, resamples=100)
    with pytest.raises(InputError, match="n must be at least 1"):
        detectable_difference(0)
    with pytest.raises(InputError, match="spread"):
        detectable_difference(5, spread=-1.0)
    with pytest.raises(InputError, match="power"):
        detectable_difference(5, power=1.0)
    with pytest.raises(InputError, match="difference must be above 0"):
        items_needed(0.0)


@pytest.mark.peer
def test_they_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(4)
    for n in (9, 40, 70):
        a, b = rng.random(n), rng.random(n) - 0.1
        theirs = stats.wilcoxon(a, b, correction=False, method="exact" if n <= 50 else "approx").pvalue
        assert wilcoxon(a, b) == pytest.approx(theirs, rel=1e-9)
    ties = rng.integers(0, 4, 140).astype(np.float64)
    theirs = stats.wilcoxon(ties, np.ones(140), zero_method="wilcox", method="approx").pvalue
    assert wilcoxon(ties, np.ones(140)) == pytest.approx(theirs, rel=1e-9)
    a, b = rng.random(14), rng.random(14) + 0.1
    theirs = stats.permutation_test((a, b), lambda x, y: np.mean(x - y), permutation_type="samples", n_resamples=1e6)
    assert paired_randomisation(a, b) == pytest.approx(theirs.pvalue)
    x = rng.integers(0, 6, (12, 5)).astype(np.float64)
    assert friedman(x).statistic == pytest.approx(stats.friedmanchisquare(*x.T).statistic)
