"""How sure a mean over queries is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import ArrayLike, Float64

_NORMAL = NormalDist()
_AT_ONCE = 2**21  # indices drawn at a time: 16 MiB, whatever the number of values


@dataclass(frozen=True)
class Interval:
    """A mean and the interval in which it would fall again with the given confidence.

    Args:
        mean: of the values.
        low: lower end.
        high: upper end.
        n: how many values there were.
    """

    mean: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.mean:.4f} [{self.low:.4f}, {self.high:.4f}] n={self.n}"


def bootstrap_mean(values: ArrayLike, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0) -> Interval:
    """The mean of ``values`` and its bias-corrected and accelerated (BCa) bootstrap interval.

    The ends are quantiles of the resampled means at ``Phi(z0 + (z0 + z) / (1 - a (z0 + z)))``, with ``z`` the
    normal quantile of each tail, ``z0`` from the part of resampled means below the mean, and
    ``a = sum d^3 / (6 (sum d^2)^1.5)`` from the deviations ``d`` (the jackknife of a mean in closed form).
    Where ``z0`` or the bracket has no finite value, as with a few values far apart, the plain percentile
    interval is given instead.

    Args:
        values: ``[n]`` one score a query, without NaN: decide first what a query without an answer counts.
        confidence: between 0 and 1, both excluded.
        resamples: how many; the ends wander by about 1 % of the interval's width at 10,000.
        seed: of the resampling.

    Returns:
        The interval; equal ends if all values are equal, infinite ends for a single value, which says
        nothing about spread.

    Raises:
        ShapeError: not one-dimensional, or empty.
        NotFiniteError: a value is NaN or infinite.
        InputError: ``confidence`` or ``resamples`` is out of range.

    Cost: ``n * resamples`` random numbers, in bounded memory.

    Source: Efron 1987, JASA 82(397), eq. 2.3 and 6.6; percentile interval: Efron 1979.
    """
    x = np.asarray(values, np.float64)
    if x.ndim != 1 or not len(x):
        raise ShapeError(f"values must be [n] with n >= 1, got shape {x.shape}.")
    if not np.isfinite(x).all():
        raise NotFiniteError(f"values must be finite, got {np.count_nonzero(~np.isfinite(x))} that are not.")
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(
            f"confidence must lie between 0 and 1 and resamples be at least 1, got {confidence} and {resamples}."
        )
    mean = float(x.mean())
    if len(x) == 1:
        return Interval(mean, -math.inf, math.inf, 1)
    deviation = x - mean
    if np.ptp(x) == 0:
        return Interval(mean, mean, mean, len(x))
    means = _resampled(deviation, resamples, seed)
    tails = _tails(means, deviation, (1 - confidence) / 2)
    low, high = np.quantile(means, tails)
    return Interval(mean, mean + float(low), mean + float(high), len(x))


def _resampled(x: Float64[np.ndarray, " n"], resamples: int, seed: int) -> Float64[np.ndarray, " b"]:
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // len(x))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        means[start : start + count] = x[rng.integers(len(x), size=(count, len(x)))].mean(axis=1)
    return means


def _tails(means: Float64[np.ndarray, " b"], deviation: Float64[np.ndarray, " n"], tail: float) -> tuple[float, float]:
    """The two probabilities at which to read the resampled means, which are centred on 0."""
    scale = np.abs(deviation).max()
    same = 1e-12 * scale  # rounding must not decide on which side a tie falls: half of the ties go to each
    below = float(np.mean(means < -same) + np.mean(means <= same)) / 2
    if not 0 < below < 1:
        return tail, 1 - tail
    z0 = _NORMAL.inv_cdf(below)
    unit = deviation / scale  # a has no scale, and a cube of tiny numbers would vanish
    a = float((unit**3).sum() / (6 * (unit**2).sum() ** 1.5))
    ends = []
    for z in (_NORMAL.inv_cdf(tail), _NORMAL.inv_cdf(1 - tail)):
        bracket = 1 - a * (z0 + z)
        if bracket <= 0:
            return tail, 1 - tail
        ends.append(_NORMAL.cdf(z0 + (z0 + z) / bracket))
    return ends[0], ends[1]
