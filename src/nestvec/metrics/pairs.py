"""How well a score tells pairs that belong together from pairs that do not: pair classification, duplicates.

All take ``[n]`` labels, true or false, and ``[n]`` scores, higher for what is more likely true, and look at every
threshold between two unequal scores; equal scores are never told apart.
"""

from __future__ import annotations

import math

import numpy as np

from nestvec.core.arrays import as_values
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64
from nestvec.kernels.ranks import mean_ranks


def pr_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The area under precision over recall, in steps: ``sum (R_t - R_(t-1)) P_t``; also called average precision.

    Args:
        labels: ``[n]`` 0 and 1, or false and true.
        scores: ``[n]`` finite.

    Returns:
        In (0, 1]; what chance gives is the share of true labels. NaN if no label is true.

    Raises:
        ShapeError: the two differ in length, or are not one-dimensional.
        NotFiniteError: a score is NaN or infinite.
        InputError: a label that is neither 0 nor 1.

    Source: Davis and Goadrich 2006, on why steps and no straight lines between them.
    """
    hits, taken, positives = _cuts(labels, scores)
    if not positives:
        return math.nan
    return float((np.diff(hits, prepend=0.0) / positives) @ (hits / taken))


def roc_auc(labels: ArrayLike, scores: ArrayLike) -> float:
    """The probability that a true pair scores above a false one, an equal score counting half.

    Args:
        labels: ``[n]`` 0 and 1, or false and true.
        scores: ``[n]`` finite.

    Returns:
        In [0, 1]; .5 by chance. NaN if all labels are the same.

    Raises:
        ShapeError, NotFiniteError, InputError: as for :func:`pr_auc`.

    Source: Hanley and McNeil 1982, Radiology 143(1).
    """
    truth, values = _door(labels, scores)
    n, positives = len(truth), int(truth.sum())
    if positives in (0, n):
        return math.nan
    over = mean_ranks(values)[truth].sum() - positives * (positives + 1) / 2
    return float(over / (positives * (n - positives)))


def precision_at_recall(labels: ArrayLike, scores: ArrayLike, *, recall: float = 0.95) -> float:
    """The best precision of all thresholds that find at least ``recall`` of the true pairs (P@R95).

    What a user meets who cannot afford to miss much: the share of real ones among all that must be looked through.

    Args:
        labels: ``[n]`` 0 and 1, or false and true.
        scores: ``[n]`` finite.
        recall: in (0, 1].

    Returns:
        In (0, 1]; NaN if no label is true.

    Raises:
        ShapeError, NotFiniteError, InputError: as for :func:`pr_auc`; ``recall`` out of range.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.4, on reading precision at a given recall.
    """
    if not 0 < recall <= 1:
        raise InputError(f"recall must lie in (0, 1], got {recall}.")
    hits, taken, positives = _cuts(labels, scores)
    if not positives:
        return math.nan
    enough = hits >= recall * positives - 1e-9  # 19 of 20 are .95
    return float((hits / taken)[enough].max())


def best_f1(labels: ArrayLike, scores: ArrayLike) -> float:
    """F1 of the true pairs at the threshold where it is highest; an upper bound, as the threshold saw the labels.

    Args:
        labels: ``[n]`` 0 and 1, or false and true.
        scores: ``[n]`` finite.

    Returns:
        In (0, 1]; NaN if no label is true.

    Raises:
        ShapeError, NotFiniteError, InputError: as for :func:`pr_auc`.

    Source: van Rijsbergen 1979, ch. 7.
    """
    hits, taken, positives = _cuts(labels, scores)
    return float((2 * hits / (taken + positives)).max()) if positives else math.nan


def best_accuracy(labels: ArrayLike, scores: ArrayLike) -> float:
    """Accuracy at the threshold where it is highest; an upper bound, as the threshold saw the labels.

    Args:
        labels: ``[n]`` 0 and 1, or false and true.
        scores: ``[n]`` finite.

    Returns:
        In [.5, 1] or so; NaN for no pairs.

    Raises:
        ShapeError, NotFiniteError, InputError: as for :func:`pr_auc`.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.3.
    """
    hits, taken, positives = _cuts(labels, scores)
    if not len(hits):
        return math.nan
    n = taken[-1]
    right = np.concatenate([[n - positives], 2 * hits - taken + (n - positives)])  # nothing called true; the top ones
    return float(right.max() / n)


def _door(labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Float64[np.ndarray, " n"]]:
    values, truth = as_values(scores, name="scores", at_least=0), np.asarray(labels)
    if truth.shape != values.shape:
        raise ShapeError(f"labels and scores must both be [n], got shapes {truth.shape} and {values.shape}.")
    known = (truth == 0) | (truth == 1)
    if not known.all():
        raise InputError(f"labels must be 0 or 1, got {truth[~known][0]!r}.")
    return truth.astype(bool), values


def _cuts(labels: ArrayLike, scores: ArrayLike) -> tuple[Array, Array, int]:
    """At each threshold, from high to low: how many true pairs lie above it, how many pairs; and all true ones."""
    truth, values = _door(labels, scores)
    order = np.argsort(-values, kind="stable")
    ends = np.flatnonzero(np.diff(values[order], append=-np.inf) < 0)
    return np.cumsum(truth[order])[ends].astype(np.float64), ends + 1.0, int(truth.sum())
