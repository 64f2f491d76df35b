"""What measuring one system on one task gives: the figures, and what each item contributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, Float64, Int64
from nestvec.metrics import Interval, bootstrap, bootstrap_mean, pr_auc, spearman

_RESAMPLES = 2_000  # of a statistic that has to be computed anew each time; the ends wander by 2 % of the width


@dataclass(frozen=True, eq=False)
class Outcome:
    """The result of one system on one task.

    Args:
        main: the metric that counts, a key of ``scores``.
        scores: every metric, in MTEB's spelling (``ndcg_at_10``, ``cosine_spearman`` …).
        items: ``[n]`` names of what was averaged over: queries, pairs, texts, or samples.
        columns: ``[n]`` numbers an item. With ``statistic`` ``mean`` there is one of the name of ``main``, whose mean
            is the score; else there are ``predicted`` and ``truth``, of which the statistic is computed.
        statistic: ``mean``, ``spearman`` or ``pr_auc``.
        unit: what an item is, in the plural.
        notes: what a reader should know about this figure.

    Raises:
        ShapeError: a column has another length than the items.
        InputError: a column that the statistic needs is missing.
    """

    main: str
    scores: Mapping[str, float]
    items: tuple[str, ...]
    columns: Mapping[str, Array]
    statistic: str = "mean"
    unit: str = "queries"
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.statistic not in _STATISTICS:
            raise InputError(f"statistic must be one of {', '.join(_STATISTICS)}, got {self.statistic!r}.")
        needed = (self.main,) if self.statistic == "mean" else ("predicted", "truth")
        if self.main not in self.scores or not set(needed) <= set(self.columns):
            raise InputError(f"an outcome must have the score {self.main!r} and columns {needed}, got {self.columns}.")
        for name, column in self.columns.items():
            if column.shape != (len(self.items),):
                raise ShapeError(f"{name} must have one number an item, got {column.shape} for {len(self.items)}.")

    @property
    def score(self) -> float:
        """The main score."""
        return self.scores[self.main]

    @property
    def values(self) -> Float64[np.ndarray, " n"]:
        """What each item contributed to a mean.

        Raises:
            InputError: the score is not a mean over items.
        """
        if self.statistic != "mean":
            raise InputError(f"{self.main} is a {self.statistic} over all items, and has no value for each of them.")
        return np.asarray(self.columns[self.main], np.float64)

    def part(self, rows: Int64[np.ndarray, " m"]) -> Outcome:
        """The same of some items, ``[m]`` their positions: the main score only, and no notes."""
        columns = {name: column[rows] for name, column in self.columns.items()}
        mean = self.statistic == "mean"
        score = float(columns[self.main].mean()) if mean else self.of(columns["predicted"], columns["truth"])
        items = tuple(self.items[i] for i in rows)
        return Outcome(self.main, {self.main: score}, items, columns, statistic=self.statistic, unit=self.unit)

    def interval(self, *, confidence: float = 0.95, seed: int = 0) -> Interval:
        """The main score and its BCa bootstrap interval, over items; drawn once, then remembered."""
        asked = (confidence, seed)
        if asked not in self._intervals:
            self._intervals[asked] = self._interval(confidence, seed)
        return self._intervals[asked]

    @cached_property
    def _intervals(self) -> dict[tuple[float, int], Interval]:
        return {}

    def _interval(self, confidence: float, seed: int) -> Interval:
        if self.statistic == "mean":
            return bootstrap_mean(self.values, confidence=confidence, seed=seed)
        drawn = (self.columns["predicted"], self.columns["truth"])
        return bootstrap(self.of, *drawn, confidence=confidence, resamples=_RESAMPLES, seed=seed)

    def of(self, predicted: Array, truth: Array) -> float:
        """The statistic of other columns; NaN where it has none, as for a resample in which all labels are equal."""
        return _STATISTICS[self.statistic](predicted, truth)


def _mean(predicted: Array, truth: Array) -> float:
    del truth
    return float(predicted.mean())


def _average_precision(predicted: Array, truth: Array) -> float:
    return pr_auc(truth, predicted)


_STATISTICS = {"mean": _mean, "spearman": spearman, "pr_auc": _average_precision}
