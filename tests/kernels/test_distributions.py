import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.kernels.distributions import f_survival, range_quantile, range_survival, student_quantile


@given(st.floats(0.01, 50))
def test_f_in_closed_form(x):
    assert f_survival(x, 2.0, 2.0) == pytest.approx(1 / (1 + x))
    assert f_survival(x, 1.0, 1.0) == pytest.approx(1 - 2 / math.pi * math.atan(math.sqrt(x)))


def test_students_t_in_closed_form_and_from_the_tables():
    assert student_quantile(0.75, 1.0) == pytest.approx(1)  # Cauchy
    assert student_quantile(0.5, 7.0) == 0
    assert student_quantile(0.025, 9.0) == pytest.approx(-2.262157, abs=1e-6)


def test_two_numbers_have_the_range_of_one_normal():
    """The difference of two standard normal numbers has a standard deviation of sqrt(2)."""
    for q in (0.3, 1.0, 4.0):
        assert range_survival(q, 2) == pytest.approx(math.erfc(q / 2), abs=1e-10)
    assert range_survival(0.0, 5) == 1


def test_critical_values_of_demsars_table():
    """Table 5a of Demšar 2006: the quantile over sqrt(2), for 2 to 10 systems at .05 and at .10."""
    at_05 = (1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164)
    at_10 = (1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920)
    for tail, table in ((0.05, at_05), (0.10, at_10)):
        mine = [range_quantile(tail, s) / math.sqrt(2) for s in range(2, 11)]
        assert mine == pytest.approx(table, abs=1.1e-3)


@pytest.mark.peer
def test_they_agree_with_scipy():
    stats = pytest.importorskip("scipy.stats")
    for x, d1, d2 in [(0.2, 5.0, 40.0), (3.0, 1.0, 299.0), (30.0, 3.0, 3.0), (1.7, 9.0, 2.5), (40.0, 4.0, 1e3)]:
        assert f_survival(x, d1, d2) == pytest.approx(stats.f.sf(x, d1, d2), rel=1e-9)
    for p, df in [(0.975, 9.0), (0.1, 300.0), (0.999, 1.5)]:
        assert student_quantile(p, df) == pytest.approx(stats.t.ppf(p, df), rel=1e-9)
    for q, groups in [(3.3, 3), (1.0, 12), (6.0, 40)]:
        assert range_survival(q, groups) == pytest.approx(stats.studentized_range.sf(q, groups, math.inf), abs=1e-9)
