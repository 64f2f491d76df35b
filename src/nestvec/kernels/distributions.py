"""The few distributions that tests of significance need, from their series: no statistics library is loaded for them.

The normal distribution is in Python's own :class:`statistics.NormalDist`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_TINY = 1e-300
_STEPS = 10_000


def f_survival(x: float, d1: float, d2: float) -> float:
    """The probability that an F-distributed number with ``d1`` and ``d2`` degrees of freedom exceeds ``x``."""
    if x <= 0:
        return 1.0
    return _incomplete_beta(d2 / (d2 + d1 * x), d2 / 2, d1 / 2)


def student_quantile(p: float, df: float) -> float:
    """The number below which a t-distributed one with ``df`` degrees of freedom lies with probability ``p``."""
    tail = 2 * min(p, 1 - p)
    if tail >= 1:
        return 0.0
    return math.copysign(_falling_root(lambda t: f_survival(t * t, 1.0, df), tail), p - 0.5)


def range_survival(q: float, groups: int) -> float:
    """The probability that the range of ``groups`` standard normal numbers exceeds ``q``.

    ``1 - k * integral of phi(z) (Phi(z) - Phi(z - q))^(k - 1) dz``: the studentised range with infinitely many degrees
    of freedom, by the trapezoidal rule, which for so smooth a function is exact to about 1e-12.
    """
    if q <= 0:
        return 1.0
    z, step = np.linspace(-9, 9 + q, 401, retstep=True)
    normal = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in z])
    before = np.array([0.5 * math.erfc(-(value - q) / math.sqrt(2)) for value in z])
    density = np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    inside = groups * float(step) * float(np.sum(density * (normal - before) ** (groups - 1)))
    return min(1.0, max(0.0, 1 - inside))


def range_quantile(tail: float, groups: int) -> float:
    """The range that ``groups`` standard normal numbers exceed with probability ``tail``."""
    return _falling_root(lambda q: range_survival(q, groups), tail)


def _falling_root(survival: Callable[[float], float], tail: float) -> float:
    """Where ``survival``, which falls from 1 to 0, equals ``tail``."""
    high = 1.0
    while survival(high) > tail:
        high *= 2
    low = 0.0
    for _ in range(60):  # past the precision of a float
        middle = (low + high) / 2
        low, high = (middle, high) if survival(middle) > tail else (low, middle)
    return (low + high) / 2


def _incomplete_beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function ``I_x(a, b)``.

    Source: Press et al. 2007, sec. 6.4, the continued fraction.
    """
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges quickly
        return front * _beta_fraction(x, a, b) / a
    return 1 - front * _beta_fraction(1 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Lentz's way to sum a continued fraction from its front."""
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1))
    h = d
    for m in range(1, _STEPS):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / _away(1 + term * d)
            c = _away(1 + term / c)
            h *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return h


def _away(x: float) -> float:
    """``x``, but never so near to 0 that dividing by it overflows."""
    return x if abs(x) > _TINY else _TINY
