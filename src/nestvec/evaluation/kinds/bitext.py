"""Find the translation of each text among all texts of the other language."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Matrix
from nestvec.evaluation.lexical import Counts, letters
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Represents, System, best, unit
from nestvec.metrics import f1


@dataclass(frozen=True)
class Bitext:
    """Pairs of translations. Each first text is an item: is its nearest second text, by cosine, a translation of it?

    A text that stands in several pairs is right with any of its translations.

    Args:
        first: texts of one language.
        second: their translations.

    Raises:
        InputError: not as many of each, or fewer than two different ones to choose from.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]

    id: ClassVar[str] = "bitext@1"
    needs: ClassVar[type[object]] = Represents
    metric: ClassVar[str] = "accuracy"
    mteb_type: ClassVar[str] = "BitextMining"
    trivial_name: ClassVar[str] = "letter overlap"
    spread: ClassVar[float] = 0.35  # two systems that disagree on an eighth of the texts: sqrt(1 / 8)

    def __post_init__(self) -> None:
        if len(self.first) != len(self.second) or len(set(self.second)) < 2:
            raise InputError(f"there must be two pairs or more, got {len(self.first)} and {len(self.second)} texts.")

    @classmethod
    def read(cls, path: Path, *, columns: tuple[str, str] = ("first", "second")) -> Bitext:
        """Read two columns of a TSV, CSV or JSONL file.

        Raises:
            InputError: a column is missing, a text empty, or as for the class.
        """
        rows = read_rows(path)
        return cls(tuple(row.text(columns[0]) for row in rows), tuple(row.text(columns[1]) for row in rows))

    def __len__(self) -> int:
        return len(self._asked)

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts."""
        return digest(self.id, self.first, self.second)

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """Nearest neighbour by cosine, ties to the earlier pair. ``seed`` decides nothing here."""
        del seed
        return self._scored(cast(Represents, system).represent([*self._asked, *self._offered]))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """Cosine of the counts of three-letter runs: finds names and cognates."""
        del seed
        counts = Counts.of([*self._asked, *self._offered], split=letters)
        return self._scored(counts.dense(counts.terms))

    @cached_property
    def _asked(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.first))

    @cached_property
    def _offered(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(self.second))

    def _scored(self, vectors: Matrix) -> Outcome:
        n = len(self._asked)
        found = best(unit(vectors[:n]), unit(vectors[n:]), 1).ids[:, 0]
        translations: dict[str, list[str]] = {}
        for a, b in zip(self.first, self.second, strict=True):
            translations.setdefault(a, []).append(b)
        told = [self._offered[i] for i in found]
        right = np.array([t in translations[a] for a, t in zip(self._asked, told, strict=True)], np.float64)
        truth: Array = np.array(
            [t if t in translations[a] else translations[a][0] for a, t in zip(self._asked, told, strict=True)]
        )
        scores = {"accuracy": float(right.mean()), "f1": f1(truth, np.array(told), average="weighted")}
        return Outcome("accuracy", scores, self._asked, {"accuracy": right}, unit="texts")
