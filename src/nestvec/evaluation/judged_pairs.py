"""Pairs of texts with a score by people: reading, checking, and the correlation that is their figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError
from nestvec.core.types import Array, Float64
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import read_rows
from nestvec.metrics import pearson, spearman


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


def check(first: Sequence[str], second: Sequence[str], scores: Array) -> None:
    """Return if a correlation can be computed.

    Raises:
        InputError: not as many of each, fewer than three pairs, or all scores equal.
        NotFiniteError: a score is NaN or infinite.
    """
    if not len(first) == len(second) == len(scores):
        raise InputError(f"there must be two texts a score, got {len(first)}, {len(second)} and {len(scores)}.")
    if not np.isfinite(scores).all():
        raise NotFiniteError(f"scores must be finite, got {np.count_nonzero(~np.isfinite(scores))} that are not.")
    if len(scores) < 3 or np.ptp(scores) == 0:
        raise InputError(f"a correlation needs three pairs or more and unequal scores, got {len(scores)} pairs.")


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
