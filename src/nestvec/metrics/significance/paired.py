"""Whether two systems differ, from their values on the same items."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

from nestvec.core.arrays import as_values
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64
from nestvec.kernels.ranks import mean_ranks

_EXACT = 20  # differences: all 2^20 ways to flip their signs are a million sums, a few milliseconds
_EXACT_RANKS = 50  # differences for which the exact distribution of the rank sum is used, as in common practice
_AT_ONCE = 2**22  # signs drawn at a time


def paired_randomisation(a: ArrayLike, b: ArrayLike, *, resamples: int = 100_000, seed: int = 0) -> float:
    """How often chance alone would make the two means differ as much as they do: the p-value, two-sided.

    If the systems were alike, each item could as well have given the two values the other way round. So the sign of
    each difference is flipped at random, and p is the share of outcomes whose mean is at least as far from 0 as the
    one observed. With 20 differences or fewer that are not 0, all ``2^n`` outcomes are counted. With more, it is
    ``(1 + hits) / (1 + resamples)``, which is never 0 and never too small on average.

    Args:
        a: ``[n]`` the values of one system, without NaN.
        b: ``[n]`` those of the other, of the same items in the same order.
        resamples: how many random outcomes; at 100,000 a p of .05 is known to about .0014 (two standard errors).
        seed: of the outcomes.

    Returns:
        p in (0, 1]; 1 where all differences are 0.

    Raises:
        ShapeError: the two differ in length, are empty, or not one-dimensional.
        NotFiniteError: a value is NaN or infinite.
        InputError: ``resamples < 1``.

    Cost: ``n * resamples`` random signs, in bounded memory.

    Source: Fisher 1935, sec. 21; for retrieval: Smucker, Allan and Carterette 2007; (1 + hits): Phipson and Smyth 2010.
    """
    if resamples < 1:
        raise InputError(f"resamples must be at least 1, got {resamples}.")
    d = _differences(a, b)
    if not len(d):
        return 1.0
    reached = abs(d.sum()) - 1e-12 * np.abs(d).sum()  # rounding must not decide about outcomes as extreme as ours
    if len(d) <= _EXACT:
        sums = np.zeros(1)
        for x in d:
            sums = np.concatenate([sums + x, sums - x])
        return float(np.mean(np.abs(sums) >= reached))
    rng = np.random.default_rng(seed)
    hits, step = 0, max(1, _AT_ONCE // len(d))
    for start in range(0, resamples, step):
        count = min(step, resamples - start)
        packed = rng.integers(0, 256, size=(count, -(-len(d) // 8)), dtype=np.uint8)
        flipped = np.unpackbits(packed, axis=1, count=len(d)).astype(np.float64)
        hits += int(np.count_nonzero(np.abs(d.sum() - 2 * (flipped @ d)) >= reached))
    return (1 + hits) / (1 + resamples)


def wilcoxon(a: ArrayLike, b: ArrayLike) -> float:
    """The p-value, two-sided, of Wilcoxon's signed-rank test: the test for two systems over several tasks.

    Differences are ranked by size, and ``W`` is the sum of the ranks of the positive ones; only their order counts, so
    that one task with large numbers does not decide alone. Differences of 0 are left out. Exact up to 50 differences
    (all ways to sign their ranks are counted, ties included), past that the normal approximation with the correction
    for ties.

    Args:
        a: ``[n]`` one value a task of one system.
        b: ``[n]`` those of the other, same tasks in the same order.

    Returns:
        p in (0, 1]; 1 where all differences are 0. Five tasks cannot give less than .0625, six not less than .031.

    Raises:
        ShapeError, NotFiniteError: as for :func:`paired_randomisation`.

    Source: Wilcoxon 1945; for systems over data sets: Demšar 2006, sec. 3.1.3.
    """
    d = _differences(a, b)
    n = len(d)
    if not n:
        return 1.0
    ranks = mean_ranks(_rounded(np.abs(d)))
    positive = float(ranks[d > 0].sum())
    if n <= _EXACT_RANKS:
        return _exact_rank_sum(ranks, positive)
    spread = float(np.sqrt((ranks**2).sum() / 4))  # equals the usual form with its correction for ties
    z = (positive - ranks.sum() / 2) / spread
    return min(1.0, 2 * NormalDist().cdf(-abs(z)))


def holm(p: ArrayLike) -> Float64[np.ndarray, " m"]:
    """P-values of ``m`` comparisons made at once, raised so that each can be held against the usual .05.

    The smallest is multiplied by ``m``, the next by ``m - 1`` and so on, none falling below the one before. The chance
    that any of the comparisons called different is not stays below the bound, whatever depends on what.

    Args:
        p: ``[m]`` each in [0, 1].

    Returns:
        ``[m]`` in the order given, at most 1.

    Raises:
        ShapeError, NotFiniteError: not ``[m]`` numbers; ``m`` may be 0.
        InputError: a p-value outside [0, 1].

    Source: Holm 1979, Scandinavian Journal of Statistics 6(2).
    """
    x = as_values(p, name="p", at_least=0)
    if ((x < 0) | (x > 1)).any():
        raise InputError(f"p-values must lie in [0, 1], got {x[(x < 0) | (x > 1)][0]}.")
    order = np.argsort(x, kind="stable")
    raised = np.maximum.accumulate(x[order] * np.arange(len(x), 0, -1))
    adjusted = np.empty(len(x))
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


def _differences(a: ArrayLike, b: ArrayLike) -> Float64[np.ndarray, " n"]:
    """``a - b`` where it is not 0."""
    x, y = as_values(a, name="a"), as_values(b, name="b")
    if len(x) != len(y):
        raise ShapeError(f"a and b must be of the same items, got {len(x)} and {len(y)} values.")
    d = x - y
    real: Array = d[np.abs(d) > 1e-12 * np.maximum(np.abs(x), np.abs(y))]  # what is left of 0 after rounding is 0
    return real


def _rounded(x: Array) -> Array:
    """To twelve digits, so that equal differences of unequal decimals tie."""
    digits = 11 - np.floor(np.log10(x))
    power = 10.0**digits
    return np.asarray(np.rint(x * power) / power)


def _exact_rank_sum(ranks: Float64[np.ndarray, " n"], positive: float) -> float:
    """Two-sided, from the number of ways to sign the ranks that give each sum; doubled, as mean ranks end in .5."""
    doubled = np.rint(2 * ranks).astype(np.int64)
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled:
        ways[rank:] += ways[: len(ways) - rank].copy()
    share = ways / ways.sum()
    at = round(2 * positive)
    return float(min(1.0, 2 * min(share[: at + 1].sum(), share[at:].sum())))
