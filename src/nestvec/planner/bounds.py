"""How sure a kept share is, for all finalists at once: so that choosing among them costs nothing.

One interval is right 95 times in 100; the best looking of twelve is right less often, because it was picked for looking
good. The intervals here are widened together until all of them hold at once in 95 of 100 samples; then whichever is
picked, for whatever reason, its interval holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Float64

_RESAMPLES = 4000


@dataclass(frozen=True, eq=False)
class Kept:
    """The share of the full size's mean that each of ``f`` candidates keeps, and the candidates' own means.

    Args:
        share: ``[f]`` measured.
        low: ``[f]`` lower bounds of the share, all of them true at once with the confidence asked for.
        mean: ``[f]`` mean score.
        mean_low: ``[f]`` lower ends for the mean over ``fresh`` new queries; all intervals hold at once.
        mean_high: ``[f]`` upper ends.
        spread: ``[f]`` how far ``low`` lies below ``share`` for one query, so that ``spread / sqrt(q)`` is the distance
            that ``q`` queries would give.
        unseen: what the losses that may have been missed take from ``low``, times ``q``.
        queries: how many there were.
        fresh: how many new queries the means are foretold for.
    """

    share: Float64[np.ndarray, " f"]
    low: Float64[np.ndarray, " f"]
    mean: Float64[np.ndarray, " f"]
    mean_low: Float64[np.ndarray, " f"]
    mean_high: Float64[np.ndarray, " f"]
    spread: Float64[np.ndarray, " f"]
    unseen: float
    queries: int
    fresh: int


def simultaneous(
    scores: Float64[np.ndarray, "f p"],
    full: Float64[np.ndarray, " q"],
    *,
    confidence: float = 0.95,
    fresh: int | None = None,
    seed: int = 0,
) -> Kept:
    """Kept shares with lower bounds, and means with intervals, each set true at once with ``confidence``.

    ``share_j = mean(s_j) / mean(s_full)``, with a standard error ``se_j`` over resampled queries (the same resample for
    all candidates, so that what they have in common cancels), and ``c`` the quantile of
    ``max_j (share*_j - share_j) / se_j``. A small size loses little on most queries and much on a few, and a sample may
    have missed those few, so ``w = c^2 / 2`` losses of typical size ``l`` are added to what was seen:
    ``low_j = share_j - (w l + c sqrt(q^2 se_j^2 + w l^2)) / q``. That is the interval of Agresti and Coull for the part
    of queries that lose, weighed by what a loss costs; where nothing was lost it is a rule of three. ``l`` is the mean
    loss of all queries and candidates that lost, as a part of the full mean; half of it all if none did.

    A mean over ``fresh`` new queries differs from this one by the chance of both samples: the interval is
    ``mean_j +- c' sd_j sqrt(1 / q + 1 / fresh)``, cut to [0, 1].

    Args:
        scores: ``[f, q]`` of each candidate on each query, in [0, 1]; queries that had no part in picking them.
        full: ``[q]`` of the full size on the same queries.
        confidence: between 0 and 1.
        fresh: how many new queries; as many as there are here by default.
        seed: of the resampling.

    Raises:
        ShapeError: not the same queries, or fewer than 2.
        InputError: the full size scores 0 throughout, or ``confidence`` is out of range.

    Cost: ``f * q * 4000`` multiplications.

    Source: Westfall and Young 1993, sec. 2.3 (the largest of many, by resampling); Agresti and Coull 1998 (losses
    added).
    """
    q = len(full)
    if scores.shape[1] != q or q < 2:
        raise ShapeError(f"scores must be [f, q] with the q >= 2 of full, got {scores.shape} and {full.shape}.")
    if not 0 < confidence < 1:
        raise InputError(f"confidence must be between 0 and 1, got {confidence}.")
    if not full.any():
        raise InputError("the full size must find something to keep a share of, got a score of 0 for every query.")
    weights = np.random.default_rng(seed).multinomial(q, np.full(q, 1 / q), size=_RESAMPLES) / q
    base = weights @ full
    base = np.where(base > 0, base, full.mean() / q)  # a resample without a single hit has no share
    mean, share = scores.mean(axis=1), scores.mean(axis=1) / full.mean()
    small = math.sqrt(q / (q - 1))  # resampled spreads are those of q, not q - 1
    means = weights @ scores.T
    away = (means / base[:, None] - share) * small
    se = away.std(axis=0)
    c = _largest(away, se, confidence, both=False)
    lost = _typical_loss(scores, full)
    unseen = c**2 / 2 * lost / q
    moved = (means - mean) * small
    wide = _largest(moved, moved.std(axis=0), confidence, both=True)
    fresh = fresh or q
    half = wide * scores.std(axis=1, ddof=1) * math.sqrt(1 / q + 1 / fresh)
    return Kept(
        share=share,
        low=share - unseen - c * np.sqrt(se**2 + unseen * lost / q),
        mean=mean,
        mean_low=np.clip(mean - half, 0, 1),
        mean_high=np.clip(mean + half, 0, 1),
        spread=c * se * math.sqrt(q),
        unseen=c**2 / 2 * lost,
        queries=q,
        fresh=fresh,
    )


def queries_needed(kept: Kept, candidate: int, *, keep: float) -> int | None:
    """How many queries would put the lower bound at ``keep`` if the measured share stayed; None if none would."""
    room = min(float(kept.share[candidate]), 1.0) - keep  # more than all is luck
    if room <= 0:
        return None
    # room q = spread sqrt(q) + rest: the root in the bound is at most the sum of the roots of its two parts
    spread, rest = float(kept.spread[candidate]), (1 + math.sqrt(2)) * kept.unseen
    return math.ceil(((spread + math.sqrt(spread**2 + 4 * room * rest)) / (2 * room)) ** 2)


def _typical_loss(scores: Float64[np.ndarray, "f q"], full: Float64[np.ndarray, " q"]) -> float:
    """What a query that loses loses, as a part of the full mean."""
    below = (full - scores)[scores < full - 1e-9]
    return float(below.mean() / full.mean()) if len(below) else 0.5


def _largest(
    away: Float64[np.ndarray, "b f"], se: Float64[np.ndarray, " f"], confidence: float, *, both: bool
) -> float:
    """The quantile, over resamples, of the largest deviation in standard errors; at least that of a single normal."""
    varies = se > 1e-12
    if not varies.any():
        return NormalDist().inv_cdf(confidence)
    z = away[:, varies] / se[varies]
    found = float(np.quantile((np.abs(z) if both else z).max(axis=1), confidence))
    return max(found, NormalDist().inv_cdf(confidence))
