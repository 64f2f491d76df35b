"""How far two systems are apart on one task, and whether chance alone would do that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.evaluation.outcome import Outcome
from nestvec.kernels.ranks import mean_ranks
from nestvec.metrics import Interval, bootstrap, bootstrap_difference, detectable_difference, paired_randomisation

_DRAWS = 10_000  # of a mean: a p of .05 is known to about .004
_STATISTICS = 1_000  # of a statistic that has to be computed anew each time; p of .05 to about .014


@dataclass(frozen=True)
class Difference:
    """Two systems on one task.

    Args:
        interval: of ``a - b`` and its ends.
        p: two-sided, of a paired randomisation test; not yet corrected for other comparisons.
        detectable: the smallest true difference that this many items, spread as these are, would probably (80 %) show.
    """

    interval: Interval
    p: float
    detectable: float


def difference(a: Outcome, b: Outcome, *, confidence: float = 0.95, seed: int = 0) -> Difference:
    """``a - b`` on the same items.

    Of a mean, differences item by item are drawn anew (BCa interval), and their signs flipped at random (p). Of a
    correlation or an area, pairs are drawn anew with all their columns; for p, what the two systems said of a pair
    changes places at random, each as a rank, since their likenesses have scales of their own.

    Args:
        a: of one system.
        b: of the other.
        confidence: of the interval.
        seed: of all draws.

    Raises:
        InputError: the two were not measured on the same items, or not by the same metric.

    Source: Efron 1987, JASA 82(397); Smucker, Allan and Carterette 2007; for correlations: Noreen 1989, ch. 2.
    """
    if a.items != b.items or (a.main, a.statistic) != (b.main, b.statistic):
        raise InputError(f"two results must be of the same items and metric, got {a.main} and {b.main}; measure again.")
    if a.statistic == "mean":
        values = a.values, b.values
        interval = bootstrap_difference(*values, confidence=confidence, resamples=_DRAWS, seed=seed)
        p = paired_randomisation(*values, resamples=_DRAWS, seed=seed)
        spread = float(np.std(values[0] - values[1], ddof=1)) if len(a.items) > 1 else 0.0
        return Difference(interval, p, detectable_difference(len(a.items), spread=spread, confidence=confidence))
    x, y, truth = a.columns["predicted"], b.columns["predicted"], a.columns["truth"]
    interval = bootstrap(
        lambda u, v, t: a.of(u, t) - a.of(v, t), x, y, truth, confidence=confidence, resamples=_STATISTICS, seed=seed
    )
    return Difference(interval, _exchanged(a, b, seed), _shown(interval))


def _exchanged(a: Outcome, b: Outcome, seed: int) -> float:
    x, y, truth = mean_ranks(a.columns["predicted"]), mean_ranks(b.columns["predicted"]), a.columns["truth"]
    observed = abs(a.of(x, truth) - a.of(y, truth))
    if observed == 0:
        return 1.0
    rng = np.random.default_rng(seed)
    hits = 0
    for _ in range(_STATISTICS):
        swap = rng.integers(0, 2, len(x)).astype(bool)
        u, v = np.where(swap, y, x), np.where(swap, x, y)
        hits += abs(a.of(u, truth) - a.of(v, truth)) >= observed * (1 - 1e-12)
    return (1 + hits) / (1 + _STATISTICS)


def _shown(interval: Interval) -> float:
    """From the width of a 95 % interval: its half is 1.96 standard errors, and 2.8 of them are found 4 times in 5."""
    return (interval.high - interval.low) / 2 * (1.96 + 0.84) / 1.96
