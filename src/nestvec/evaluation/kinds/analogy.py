"""Complete "a is to b as c is to …" by arithmetic with vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Float64, Int64, Matrix
from nestvec.evaluation.lexical import Counts, letters
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Represents, System, unit

_SCORES = 1 << 22  # scores held at a time: 16 MiB


@dataclass(frozen=True)
class Analogy:
    """Questions of four words. A question is an item: is the word nearest to ``b - a + c`` the fourth one?

    The answer is looked for among the words of all questions, without the three that are given. That is easier than
    among all words of a language: figures compare with each other, and not with those of large vocabularies.

    Args:
        questions: ``(a, b, c, d)``.
        categories: of each question; their accuracies are given as well.

    Raises:
        InputError: no questions, or not as many categories.
    """

    questions: tuple[tuple[str, str, str, str], ...]
    categories: tuple[str, ...]

    id: ClassVar[str] = "analogy@1"
    needs: ClassVar[type[object]] = Represents
    metric: ClassVar[str] = "accuracy"
    mteb_type: ClassVar[str] = "Analogy"
    trivial_name: ClassVar[str] = "letter overlap"
    spread: ClassVar[float] = 0.35  # two systems that disagree on an eighth of the questions: sqrt(1 / 8)

    def __post_init__(self) -> None:
        if not self.questions or len(self.questions) != len(self.categories):
            raise InputError(f"every question must have a category, got {len(self.questions)} questions.")

    @classmethod
    def read(cls, path: Path) -> Analogy:
        """Read ``category``, ``a``, ``b``, ``c`` and ``d`` of each row of a TSV, CSV or JSONL file; ``_`` is a space.

        Raises:
            InputError: a column is missing, or a word empty.
        """
        rows = read_rows(path)
        words = [tuple(row.text(name).replace("_", " ") for name in "abcd") for row in rows]
        questions = tuple((a, b, c, d) for a, b, c, d in words)
        return cls(questions, tuple(row.text("category") for row in rows))

    def __len__(self) -> int:
        return len(self.questions)

    @cached_property
    def fingerprint(self) -> str:
        """Of all questions."""
        return digest(self.id, self.questions, self.categories)

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """3CosAdd on vectors of length 1. ``seed`` decides nothing here.

        Source: Mikolov et al. 2013 (arXiv:1301.3781), sec. 4.1; the name: Levy and Goldberg 2014.
        """
        del seed
        vectors = unit(cast(Represents, system).represent(self._words))
        return self._scored(vectors, *(self._places[:, i] for i in range(3)))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """The word that shares most three-letter runs with ``c``; ``a`` and ``b`` are not looked at."""
        del seed
        counts = Counts.of(self._words, split=letters)
        vectors = unit(counts.dense(counts.terms))
        nothing = np.full(len(self), -1)
        return self._scored(vectors, nothing, nothing, self._places[:, 2])

    @cached_property
    def _words(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(word for question in self.questions for word in question))

    @cached_property
    def _places(self) -> Int64[np.ndarray, "n 4"]:
        place = {word: i for i, word in enumerate(self._words)}
        return np.array([[place[word] for word in question] for question in self.questions], np.int64)

    def _scored(self, vectors: Matrix, a: np.ndarray, b: np.ndarray, c: np.ndarray) -> Outcome:
        padded = np.concatenate([vectors, np.zeros((1, vectors.shape[1]), np.float32)])  # -1 is the word of no meaning
        right = np.empty(len(self), np.float64)
        step = max(1, _SCORES // len(vectors))
        for lo in range(0, len(self), step):
            part = slice(lo, lo + step)
            scores = (padded[b[part]] - padded[a[part]] + padded[c[part]]) @ vectors.T
            np.put_along_axis(scores, self._places[part, :3], -np.inf, axis=1)
            right[part] = np.argmax(scores, axis=1) == self._places[part, 3]
        return Outcome("accuracy", self._by_category(right), self._names, {"accuracy": right}, unit="questions")

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(map(str, range(len(self))))

    def _by_category(self, right: Float64[np.ndarray, " n"]) -> dict[str, float]:
        which = np.array(self.categories)
        found = {f"accuracy/{name}": float(right[which == name].mean()) for name in sorted(set(self.categories))}
        return {"accuracy": float(right.mean()), **found}
