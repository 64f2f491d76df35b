"""How sure a mean over queries is, or any other number computed from items."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nestvec.core.arrays import as_values
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64

_NORMAL = NormalDist()
_AT_ONCE = 2**21  # indices drawn at a time: 16 MiB, whatever the number of values


@dataclass(frozen=True)
class Interval:
    """A mean, or another number, and the interval that would hold the true one with the given confidence.

    Args:
        mean: of the values; of :func:`bootstrap`, the statistic of all items.
        low: lower end.
        high: upper end.
        n: how many items there were.
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
    x = as_values(values, name="values")
    _check(confidence, resamples)
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


def bootstrap_difference(
    a: ArrayLike, b: ArrayLike, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """The mean of ``a - b``, item by item, and its interval: how much better system ``a`` is than ``b``.

    Two systems measured on the same items share the luck of those items, which the differences leave out; that is
    why this interval is narrower than what two single ones suggest.

    Args:
        a: ``[n]`` the values of one system.
        b: ``[n]`` those of the other, of the same items in the same order.
        confidence: between 0 and 1, both excluded.
        resamples: how many.
        seed: of the resampling.

    Raises:
        ShapeError: the two differ in length, or as for :func:`bootstrap_mean`.

    Source: Efron 1987, JASA 82(397), on the differences.
    """
    x, y = as_values(a, name="a"), as_values(b, name="b")
    if len(x) != len(y):
        raise ShapeError(f"a and b must be of the same items, got {len(x)} and {len(y)} values.")
    return bootstrap_mean(x - y, confidence=confidence, resamples=resamples, seed=seed)


def bootstrap(
    statistic: Callable[..., float],
    *columns: ArrayLike,
    groups: ArrayLike | None = None,
    confidence: float = 0.95,
    resamples: int = 2_000,
    seed: int = 0,
) -> Interval:
    """Any number computed from items, and its BCa bootstrap interval: items are drawn anew, all their columns together.

    ``bootstrap(spearman, cosines, gold)`` is a correlation over pairs; a paired difference of two systems is
    ``bootstrap(lambda x, y, gold: spearman(x, gold) - spearman(y, gold), a, b, gold)``. The ends are those of
    :func:`bootstrap_mean`, with the acceleration from a jackknife that leaves each item out once.

    Args:
        statistic: called with as many arrays as there are ``columns``, each ``[n]``; gives a number.
        columns: ``[n]`` each, one entry an item.
        groups: ``[n]`` which items belong together, such as the pairs of one document; whole groups are drawn then,
            and left out in the jackknife. Without it each item is its own group.
        confidence: between 0 and 1, both excluded.
        resamples: how many. A resample for which the statistic is NaN, such as a correlation with a constant, is
            left out.
        seed: of the resampling.

    Returns:
        The interval; ``n`` is the number of groups. All three numbers are NaN where the statistic of all items is
        NaN; the ends are infinite for a single group, or if no resample gave a number.

    Raises:
        ShapeError: no columns, not all ``[n]``, or empty.
        InputError: ``confidence`` or ``resamples`` is out of range.

    Cost: ``resamples`` calls of ``statistic``, and one for each group.

    Source: Efron 1987, JASA 82(397), eq. 2.3 and 6.6; groups: Davison and Hinkley 1997, sec. 3.8.
    """
    _check(confidence, resamples)
    data = [np.asarray(column) for column in columns]
    members = _members(data, groups)
    value, n = float(statistic(*data)), len(members)
    if math.isnan(value):
        return Interval(value, math.nan, math.nan, n)
    if n == 1:
        return Interval(value, -math.inf, math.inf, n)

    def deviations(picks: Iterable[Array]) -> Float64[np.ndarray, " b"]:
        rows = picks if groups is None else (np.concatenate([members[i] for i in pick]) for pick in picks)
        found = np.array([statistic(*(x[r] for x in data)) for r in rows], np.float64)
        return found[~np.isnan(found)] - value

    rng = np.random.default_rng(seed)
    found = deviations(rng.integers(n, size=n) for _ in range(resamples))
    if not len(found):
        return Interval(value, -math.inf, math.inf, n)
    left_out = deviations(np.delete(np.arange(n), i) for i in range(n))
    influence = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    low, high = np.quantile(found, _tails(found, influence, (1 - confidence) / 2))
    return Interval(value, value + float(low), value + float(high), n)


def _check(confidence: float, resamples: int) -> None:
    if not 0 < confidence < 1 or resamples < 1:
        raise InputError(
            f"confidence must lie between 0 and 1 and resamples be at least 1, got {confidence} and {resamples}."
        )


def _members(data: list[Array], groups: ArrayLike | None) -> list[Array]:
    """The positions of each group, after a look at the shapes."""
    labels = np.asarray(groups) if groups is not None else np.arange(data[0].size if data else 0)
    shapes = [x.shape for x in (*data, labels)]
    if not data or len(shapes[0]) != 1 or len(set(shapes)) != 1 or not len(labels):
        raise ShapeError(f"columns and groups must all be [n] with the same n >= 1, got shapes {shapes}.")
    _, which = np.unique(labels, return_inverse=True)
    order = np.argsort(which, kind="stable")
    return np.split(order, np.cumsum(np.bincount(which))[:-1])


def _resampled(x: Float64[np.ndarray, " n"], resamples: int, seed: int) -> Float64[np.ndarray, " b"]:
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // len(x))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        means[start : start + count] = x[rng.integers(len(x), size=(count, len(x)))].mean(axis=1)
    return means


def _tails(means: Float64[np.ndarray, " b"], deviation: Float64[np.ndarray, " n"], tail: float) -> tuple[float, float]:
    """The two probabilities at which to read the resampled numbers, which are centred on 0."""
    scale = np.abs(deviation).max()
    if scale == 0:
        return tail, 1 - tail
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
