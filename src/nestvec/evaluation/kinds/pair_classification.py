"""Say whether two texts belong together, from their likeness alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError
from nestvec.core.types import Array, Float64
from nestvec.evaluation.lexical import jaccard
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Compares, System
from nestvec.metrics import best_accuracy, best_f1, pr_auc, precision_at_recall, roc_auc


@dataclass(frozen=True, eq=False)
class PairClassification:
    """Pairs of texts, each true or false. The figure is the average precision of the likeness (area under PR).

    Args:
        first: one text of each pair.
        second: the other.
        truth: ``[n]`` 0 or 1.

    Raises:
        InputError: not as many of each, a label that is neither, or one label only.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    truth: Array

    id: ClassVar[str] = "pair_classification@1"
    needs: ClassVar[type[object]] = Compares
    metric: ClassVar[str] = "AP of pairs"
    mteb_type: ClassVar[str] = "PairClassification"
    trivial_name: ClassVar[str] = "word overlap"
    spread: ClassVar[float | None] = None  # an area is no mean over pairs; the interval of a difference says it

    def __post_init__(self) -> None:
        if not len(self.first) == len(self.second) == len(self.truth):
            raise InputError(f"there must be two texts a label, got {len(self.first)}, {len(self.second)}, and labels.")
        if set(np.unique(self.truth).tolist()) != {0, 1}:
            raise InputError(f"pairs must be labelled 0 and 1, some of each, got {np.unique(self.truth)[:5]}.")

    @classmethod
    def read(cls, path: Path, *, true: str = "1", false: str = "0") -> PairClassification:
        """Read ``s1``, ``s2`` (or ``sentence1`` …, ``premise`` and ``hypothesis``) and ``label`` of each row.

        Args:
            path: a JSONL, TSV or CSV file.
            true: the label of pairs that belong together.
            false: of those that do not. Rows of any other label are left out if these two are not ``1`` and ``0``.

        Raises:
            InputError: a column is missing, a text empty, an unknown label, or as for the class.
        """
        rows = [(row, row.label("label")) for row in read_rows(path)]
        strict = (true, false) == ("1", "0")
        for row, label in rows:
            if strict and label not in (true, false):
                raise InputError(f"{row.where}: 'label' must be 1 or 0, got {label!r}. Say which labels mean them.")
        kept = [(row, label) for row, label in rows if label in (true, false)]
        return cls(
            tuple(row.text("s1", "sentence1", "premise") for row, _ in kept),
            tuple(row.text("s2", "sentence2", "hypothesis") for row, _ in kept),
            np.array([float(label == true) for _, label in kept], np.float64),
        )

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts and labels."""
        return digest(self.id, self.first, self.second, self.truth.tolist())

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """Compare each pair. ``seed`` decides nothing here."""
        del seed
        return self._scored(cast(Compares, system).compare(self.first, self.second))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """The share of words that two texts have in common."""
        del seed
        return self._scored(jaccard(self.first, self.second))

    def _scored(self, predicted: Float64[np.ndarray, " n"]) -> Outcome:
        if not np.isfinite(predicted).all():
            raise NotFiniteError("a system must give finite scores, got NaN or infinity.")
        scores = {
            "cosine_ap": pr_auc(self.truth, predicted),
            "cosine_accuracy": best_accuracy(self.truth, predicted),
            "cosine_f1": best_f1(self.truth, predicted),
            "cosine_roc_auc": roc_auc(self.truth, predicted),
            "precision_at_recall_95": precision_at_recall(self.truth, predicted, recall=0.95),
        }
        columns = {"predicted": predicted, "truth": self.truth}
        items = tuple(map(str, range(len(self))))
        return Outcome("cosine_ap", scores, items, columns, statistic="pr_auc", unit="pairs")
