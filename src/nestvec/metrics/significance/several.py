"""Which of several systems differ, from their values on the same items or tasks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_scores
from nestvec.core.errors import InputError
from nestvec.core.types import Array, ArrayLike, Bool, Float64, Int64
from nestvec.kernels.distributions import f_survival, range_quantile, range_survival
from nestvec.kernels.ranks import mean_ranks
from nestvec.metrics.significance.paired import holm

_AT_ONCE = 2**21  # counts drawn at a time: 16 MiB


@dataclass(frozen=True)
class Friedman:
    """Whether any of several systems differs from the others.

    Args:
        mean_ranks: ``[s]`` the rank of each system, averaged over the tasks; 1 is best.
        statistic: Friedman's chi-square, corrected for ties.
        p: two-sided; see :func:`friedman`.
        tasks: how many there were.
    """

    mean_ranks: Float64[np.ndarray, " s"]
    statistic: float
    p: float
    tasks: int


@dataclass(frozen=True)
class Nemenyi:
    """Which of several systems differ, by their mean ranks.

    Args:
        mean_ranks: ``[s]``, 1 is best.
        critical_difference: mean ranks that lie closer than this cannot be told apart.
        p: ``[s, s]`` of each pair, already for all pairs at once; 1 on the diagonal.
    """

    mean_ranks: Float64[np.ndarray, " s"]
    critical_difference: float
    p: Float64[np.ndarray, "s s"]


@dataclass(frozen=True)
class TieGroups:
    """How far the order of several systems can be trusted.

    Args:
        means: ``[s]`` of each system over the items.
        order: ``[s]`` the systems from best to worst mean.
        low_rank: ``[s]`` the best rank that each system may in truth have.
        high_rank: ``[s]`` the worst.
        separable: ``[s, s]`` True where the items suffice to tell two systems apart.
        groups: runs of systems in that order of which no two are separable, each as long as it can be. A system may
            stand in several, and stands in at least one.
    """

    means: Float64[np.ndarray, " s"]
    order: Int64[np.ndarray, " s"]
    low_rank: Int64[np.ndarray, " s"]
    high_rank: Int64[np.ndarray, " s"]
    separable: Bool[np.ndarray, "s s"]
    groups: tuple[tuple[int, ...], ...]


def friedman(scores: ArrayLike) -> Friedman:
    """Whether ``s`` systems differ over ``n`` tasks, by their ranks on each: asked first, before any pair is looked at.

    ``chi2 = (s - 1) sum_j (R_j - n (s + 1) / 2)^2 / (sum_ij r_ij^2 - n s (s + 1)^2 / 4)`` with the rank ``r_ij`` and
    the rank sums ``R_j``; the p-value is that of ``F = (n - 1) chi2 / (n (s - 1) - chi2)`` with ``s - 1`` and
    ``(n - 1)(s - 1)`` degrees of freedom, which is less timid for few tasks than chi-square itself.

    Args:
        scores: ``[n, s]`` a row a task, a column a system; higher is better, equal values share their ranks.

    Returns:
        Mean ranks, the statistic and p. If all systems tie on every task: statistic 0 and p 1; if all tasks give
        the same order: p 0, as F is infinite.

    Raises:
        ShapeError: fewer than two tasks or systems.
        NotFiniteError: a value is NaN or infinite.

    Source: Friedman 1937; F: Iman and Davenport 1980; for systems over data sets: Demšar 2006, sec. 3.2.2.
    """
    x = as_scores(scores, name="scores")
    n, s = x.shape
    ranks = _task_ranks(x)
    spread = float((ranks**2).sum()) - n * s * (s + 1) ** 2 / 4
    if spread <= 0:
        return Friedman(ranks.mean(axis=0), 0.0, 1.0, n)
    statistic = (s - 1) * float(((ranks.sum(axis=0) - n * (s + 1) / 2) ** 2).sum()) / spread
    rest = n * (s - 1) - statistic
    f = (n - 1) * statistic / rest if rest > 1e-9 * statistic else math.inf
    p = 0.0 if math.isinf(f) else f_survival(f, float(s - 1), float((n - 1) * (s - 1)))
    return Friedman(ranks.mean(axis=0), statistic, p, n)


def nemenyi(scores: ArrayLike, *, confidence: float = 0.95) -> Nemenyi:
    """The difference of mean ranks below which two of ``s`` systems cannot be told apart over ``n`` tasks.

    ``CD = q / sqrt(2) * sqrt(s (s + 1) / (6 n))`` with ``q`` the quantile of the studentised range. It allows for all
    pairs at once. Ask :func:`friedman` first.

    Args:
        scores: ``[n, s]`` a row a task, a column a system; higher is better.
        confidence: between 0 and 1, both excluded.

    Raises:
        ShapeError, NotFiniteError: as for :func:`friedman`.
        InputError: ``confidence`` is out of range.

    Source: Nemenyi 1963; Demšar 2006, sec. 3.2.2.
    """
    x = as_scores(scores, name="scores")
    _check(confidence)
    n, s = x.shape
    means = _task_ranks(x).mean(axis=0)
    unit = math.sqrt(s * (s + 1) / (12 * n))
    apart = np.abs(means[:, None] - means) / unit
    p = np.array([[range_survival(float(q), s) for q in row] for row in apart])
    return Nemenyi(means, range_quantile(1 - confidence, s) * unit, p)


def tie_groups(scores: ArrayLike, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0) -> TieGroups:
    """Which neighbours in a ranking of systems could as well stand the other way round.

    Items are drawn anew with replacement, the same for all systems. Two systems are separable if the difference of
    their means has the same sign in so many draws that the two-sided p, ``2 min(P(d <= 0), P(d >= 0))``, is below
    ``1 - confidence`` after Holm's correction over all pairs. The best rank a system may have is one more than the
    number of systems separably better than it; its worst leaves out those separably worse.

    Args:
        scores: ``[n, s]`` a row an item (a query, a pair, or a task), a column a system; higher is better.
        confidence: of the whole picture, between 0 and 1.
        resamples: how many draws; with ``m`` pairs at least ``2 m / (1 - confidence)`` are needed to separate any.
        seed: of the draws.

    Raises:
        ShapeError: fewer than two items or systems.
        NotFiniteError: a value is NaN or infinite.
        InputError: ``confidence`` is out of range, or ``resamples`` too few for that many pairs.

    Cost: ``resamples * n * s`` multiplications and ``resamples * s^2`` comparisons, in bounded memory.

    Source: Efron 1979 for the resampling; Holm 1979; rank intervals by pairwise tests: Al Mohamad et al. 2022.
    """
    x = as_scores(scores, name="scores")
    _check(confidence)
    s = x.shape[1]
    pairs = s * (s - 1) // 2
    if 2 * pairs / (resamples + 1) > 1 - confidence:
        need = math.ceil(2 * pairs / (1 - confidence))
        raise InputError(f"resamples must be at least {need} to separate any of {pairs} pairs, got {resamples}.")
    means = x.mean(axis=0)
    order = np.argsort(-means, kind="stable")
    upper, lower = np.triu_indices(s, 1)
    p = _bootstrap_p(x - means.mean(), upper, lower, resamples, seed)
    separable = np.zeros((s, s), bool)
    separable[upper, lower] = separable[lower, upper] = holm(p) <= 1 - confidence
    better = means[:, None] > means
    low = 1 + (separable & better).sum(axis=0)
    high = s - (separable & better).sum(axis=1)
    return TieGroups(means, order, low, high, separable, _runs(order, separable))


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}.")


def _task_ranks(x: Float64[np.ndarray, "n s"]) -> Float64[np.ndarray, "n s"]:
    return np.stack([mean_ranks(-row) for row in x])


def _bootstrap_p(x: Array, upper: Array, lower: Array, resamples: int, seed: int) -> Float64[np.ndarray, " m"]:
    rng = np.random.default_rng(seed)
    n = len(x)
    above, below = np.zeros(len(upper)), np.zeros(len(upper))
    same = 1e-12 * np.abs(x).max()  # rounding must not tell equal systems apart
    for start in range(0, resamples, max(1, _AT_ONCE // n)):
        count = min(max(1, _AT_ONCE // n), resamples - start)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=count)
        means = drawn @ x / n
        for row in range(0, count, max(1, _AT_ONCE // len(upper))):
            part = means[row : row + max(1, _AT_ONCE // len(upper))]
            d = part[:, upper] - part[:, lower]
            above += (d >= -same).sum(axis=0)
            below += (d <= same).sum(axis=0)
    return np.minimum(1.0, 2 * (1 + np.minimum(above, below)) / (1 + resamples))


def _runs(order: Array, separable: Array) -> tuple[tuple[int, ...], ...]:
    """Longest stretches of ``order`` without a separable pair."""
    found: list[tuple[int, ...]] = []
    end = 0
    for start in range(len(order)):
        stop = start + 1
        while stop < len(order) and not separable[order[stop], order[start:stop]].any():
            stop += 1
        if stop > end:
            found.append(tuple(int(i) for i in order[start:stop]))
            end = stop
    return tuple(found)
