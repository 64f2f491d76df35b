"""Pairs of texts with a score by people: reading, checking, and the correlation that is their figure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError
from nestvec.core.types import Array, Float64
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Compares, System
from nestvec.metrics import pearson, spearman


@dataclass(frozen=True, eq=False)
class JudgedPairs:
    """Pairs of texts with a score by people. The figure is Spearman's correlation of cosine and score.

    Args:
        first: one text of each pair.
        second: the other.
        scores: ``[n]`` finite, higher is more alike.

    Raises:
        InputError: not as many of each, or fewer than three pairs, or all scores equal.
        NotFiniteError: a score is NaN or infinite.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: Array

    id: ClassVar[str]
    needs: ClassVar[type[object]] = Compares
    metric: ClassVar[str] = "Spearman"
    mteb_type: ClassVar[str] = "STS"
    spread: ClassVar[float | None] = None  # a correlation is no mean over pairs; the interval of a difference says it

    def __post_init__(self) -> None:
        n = len(self.scores)
        if not len(self.first) == len(self.second) == n:
            raise InputError(f"there must be two texts a score, got {len(self.first)}, {len(self.second)} and {n}.")
        if not np.isfinite(self.scores).all():
            bad = np.count_nonzero(~np.isfinite(self.scores))
            raise NotFiniteError(f"scores must be finite, got {bad} that are not.")
        if n < 3 or np.ptp(self.scores) == 0:
            raise InputError(f"a correlation needs three pairs or more and unequal scores, got {n} pairs.")

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts and scores."""
        return digest(self.id, self.first, self.second, self.scores.tolist())

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """Compare each pair. ``seed`` decides nothing here."""
        del seed
        return correlation(cast(Compares, system).compare(self.first, self.second), self.scores)


def read_pairs(
    path: Path, first: Sequence[str], second: Sequence[str]
) -> tuple[tuple[str, ...], tuple[str, ...], Array]:
    """Two columns of texts, each under the first of its names that is there, and their scores.

    Raises:
        InputError: a column is missing, a text empty, or a score no finite number.
    """
    rows = read_rows(path)
    scores = np.array([row.number("score") for row in rows], np.float64)
    return tuple(row.text(*first) for row in rows), tuple(row.text(*second) for row in rows), scores


def correlation(predicted: Float64[np.ndarray, " n"], scores: Float64[np.ndarray, " n"]) -> Outcome:
    """Spearman, and Pearson beside it. A system that gives all pairs the same number has learnt no order: 0.

    Raises:
        NotFiniteError: a predicted score is NaN or infinite.
    """
    if not np.isfinite(predicted).all():
        raise NotFiniteError(f"a system must give finite scores, got {np.count_nonzero(~np.isfinite(predicted))} not.")
    flat = np.ptp(predicted) == 0
    notes = ("all pairs got the same score",) if flat else ()
    found = {
        "cosine_spearman": 0.0 if flat else spearman(predicted, scores),
        "cosine_pearson": 0.0 if flat else pearson(predicted, scores),
    }
    items = tuple(map(str, range(len(scores))))
    columns = {"predicted": predicted, "truth": scores}
    return Outcome("cosine_spearman", found, items, columns, statistic="spearman", unit="pairs", notes=notes)
