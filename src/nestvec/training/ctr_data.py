"""Labelled rows of ids: what the models of tables are trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, ArrayLike


@dataclass(frozen=True)
class Examples:
    """Rows of ids with a label each.

    Args:
        ids: ``[n, slots]`` int64 joint ids; -1 where a field has fewer values than slots.
        labels: ``[n]`` float32, 0 or 1.
        rows: ids of each field.
        spans: for each field, the slots it has: from, to.
        names: of the fields.
    """

    ids: Array
    labels: Array
    rows: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, at: Array) -> Examples:
        """The rows at these positions."""
        return replace(self, ids=self.ids[at], labels=self.labels[at])

    def split(self, *, seed: int, valid: float = 0.1, test: float = 0.2) -> tuple[Examples, Examples, Examples]:
        """Train, validation and test, drawn at random.

        Raises:
            InputError: one of them would be empty, or has labels of one class only.
        """
        order = np.random.default_rng((seed, 11)).permutation(len(self))
        a, b = int(len(self) * (1 - valid - test)), int(len(self) * (1 - test))
        parts = tuple(self.take(np.sort(piece)) for piece in (order[:a], order[a:b], order[b:]))
        for name, part in zip(("training", "validation", "test"), parts, strict=True):
            if len(np.unique(part.labels)) < 2:
                raise InputError(
                    f"rows for {name} must have both labels, got {len(part)} rows with "
                    f"{int(part.labels.sum())} positive. Give more rows, or another target."
                )
        return parts[0], parts[1], parts[2]


def auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve: how often a positive scores above a negative, ties counted half.

    ``(sum of the ranks of positives - p (p + 1) / 2) / (p n)``.

    Args:
        scores: ``[n]``.
        labels: ``[n]`` 0 or 1.

    Returns:
        In ``[0, 1]``; NaN if all labels are equal.

    Source: Hanley and McNeil 1982, sec. 3 (Radiology 143).
    """
    scores, labels = np.asarray(scores, np.float64), np.asarray(labels) > 0.5
    positive = int(labels.sum())
    negative = len(labels) - positive
    if not positive or not negative:
        return float("nan")
    _, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each different score, from 1
    return float((rank[where][labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def auc_margin(auc: float, *, positive: int, negative: int) -> float:
    """Half the 95 % interval of an AUC measured on so many rows.

    ``1.96 sqrt((A (1 - A) + (p - 1) (Q1 - A^2) + (n - 1) (Q2 - A^2)) / (p n))``, ``Q1 = A / (2 - A)`` and
    ``Q2 = 2 A^2 / (1 + A)``. Two models on the same rows differ by less than chance alone would say.

    Args:
        auc: ``A``, in ``[0, 1]``.
        positive: ``p``, at least 1.
        negative: ``n``, at least 1.

    Source: Hanley and McNeil 1982, eq. 1 (Radiology 143), for scores with exponential distributions.
    """
    of_positives, of_negatives = auc / (2 - auc), 2 * auc**2 / (1 + auc)
    spread = auc * (1 - auc) + (positive - 1) * (of_positives - auc**2) + (negative - 1) * (of_negatives - auc**2)
    return 1.96 * math.sqrt(max(spread, 0.0) / (positive * negative))
