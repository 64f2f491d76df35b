"""Tell the class of a text from its vector, with a learner so plain that the vector has to do the work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float32, Int64
from nestvec.evaluation.learners import logistic
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Represents, System, best, unit
from nestvec.metrics import f1

_WAYS = ("few-shot", "probe", "knn")


@dataclass(frozen=True)
class Classification:
    """Texts with classes, some to learn from and some to be tested on.

    A test text is an item; its value is how often its class was told right.

    Args:
        train: texts to learn from.
        train_labels: their classes.
        test: texts to be tested on.
        test_labels: their classes.
        way: ``few-shot``, logistic regression on ``shots`` texts a class, ``runs`` times (MTEB's protocol); ``probe``,
            logistic regression on all; ``knn``, the majority of the ``neighbours`` nearest by cosine.
        shots: texts a class.
        runs: draws of them.
        neighbours: of ``knn``; a tie goes to the class that is nearest.

    Raises:
        InputError: no texts, not as many labels, fewer than two classes, a class only in the test, an unknown way, or
            a number below 1.
    """

    train: tuple[str, ...]
    train_labels: tuple[str, ...]
    test: tuple[str, ...]
    test_labels: tuple[str, ...]
    way: str = "few-shot"
    shots: int = 8
    runs: int = 10
    neighbours: int = 5

    id: ClassVar[str] = "classification@1"
    needs: ClassVar[type[object]] = Represents
    metric: ClassVar[str] = "accuracy"
    mteb_type: ClassVar[str] = "Classification"
    trivial_name: ClassVar[str] = "majority class"
    spread: ClassVar[float] = 0.35  # two systems that disagree on an eighth of the texts: sqrt(1 / 8)

    def __post_init__(self) -> None:
        sizes = (len(self.train), len(self.train_labels), len(self.test), len(self.test_labels))
        if sizes[0] != sizes[1] or sizes[2] != sizes[3] or 0 in sizes:
            raise InputError(f"both splits must have texts, with a label each, got {sizes} texts and labels.")
        classes = set(self.train_labels)
        unknown = next((label for label in self.test_labels if label not in classes), None)
        if len(classes) < 2 or unknown is not None:
            raise InputError(f"there must be two classes or more, all of them in train, got {unknown or classes!r}.")
        if self.way not in _WAYS:
            raise InputError(f"way must be one of {', '.join(_WAYS)}, got {self.way!r}.")
        if min(self.shots, self.runs, self.neighbours) < 1:
            raise InputError(f"shots, runs and k must be at least 1, got {self.shots, self.runs, self.neighbours}.")

    @classmethod
    def read(
        cls, path: Path, *, label: str = "", way: str = "few-shot", split: str = "test", k: int = 5
    ) -> Classification:
        """Read ``train`` and a test split (JSONL, TSV or CSV, gzipped or not) from a folder: ``text`` and a label.

        Args:
            path: the folder.
            label: the column of the class; ``label_text``, else ``label``, by default.
            way: see the class.
            split: what to test on.
            k: neighbours of ``knn``.

        Raises:
            InputError: a file or column is missing, or as for the class.
        """
        columns = (label,) if label else ("label_text", "label")
        train, test = (read_rows(_file(path, name)) for name in ("train", split))
        return cls(
            tuple(row.text("text") for row in train),
            tuple(row.label(*columns) for row in train),
            tuple(row.text("text") for row in test),
            tuple(row.label(*columns) for row in test),
            way=way,
            neighbours=k,
        )

    def __len__(self) -> int:
        return len(self.test)

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts and labels, and the way."""
        settings = (self.way, self.shots, self.runs, self.neighbours)
        return digest(self.id, settings, self.train, self.train_labels, self.test, self.test_labels)

    def measure(self, system: System, *, seed: int = 42) -> Outcome:
        """Learn and tell. ``seed`` draws the few shots; 42 is what MTEB draws with."""
        texts = list(dict.fromkeys([*self.train, *self.test]))
        place = {text: i for i, text in enumerate(texts)}
        vectors = cast(Represents, system).represent(texts)  # at once: a word-based system must see one vocabulary
        train, test = (vectors[[place[text] for text in some]] for some in (self.train, self.test))
        if self.way == "knn":
            return self._scored([self._nearest(train, test)])
        if self.way == "probe":
            return self._scored([logistic(train, self.train_labels, test, seed=seed)])
        labels = np.array(self.train_labels)
        drawn = draws(self.train_labels, shots=self.shots, runs=self.runs, seed=seed)
        return self._scored([logistic(train[rows], labels[rows].tolist(), test, seed=seed) for rows in drawn])

    def trivial(self, *, seed: int = 42) -> Outcome:
        """The commonest class of the training texts for everything; the first in the alphabet of several."""
        del seed
        counts = Counter(self.train_labels)
        commonest = min(counts, key=lambda label: (-counts[label], label))
        return self._scored([np.full(len(self.test), commonest)])

    def _nearest(self, train: Float32[np.ndarray, "t d"], test: Float32[np.ndarray, "n d"]) -> Array:
        hits = best(unit(test), unit(train), min(self.neighbours, len(train)))
        told = []
        for row in hits.ids:
            votes = Counter(self.train_labels[i] for i in row if i >= 0)
            told.append(max(votes, key=lambda label: votes[label]))  # the first met of equals, which is the nearest
        return np.array(told)

    def _scored(self, told: Sequence[Array]) -> Outcome:
        truth = np.array(self.test_labels)
        right: Array = np.stack([found == truth for found in told]).mean(axis=0, dtype=np.float64)
        scores = {
            "accuracy": float(right.mean()),
            "f1": float(np.mean([f1(truth, found) for found in told])),
            "f1_weighted": float(np.mean([f1(truth, found, average="weighted") for found in told])),
        }
        notes = (f"mean of {len(told)} draws of {self.shots} texts a class",) if len(told) > 1 else ()
        items = tuple(map(str, range(len(self))))
        return Outcome("accuracy", scores, items, {"accuracy": right}, unit="texts", notes=notes)


def draws(labels: Sequence[str], *, shots: int, runs: int, seed: int) -> list[Int64[np.ndarray, " s"]]:
    """Rows of ``shots`` texts of each class (all, where there are fewer), drawn ``runs`` times as MTEB draws them.

    The order of the rows is shuffled, always by the same permutation, and each run goes on from the last one's order.
    """
    order = np.arange(len(labels))
    found = []
    for _ in range(runs):
        order = order[_permutation(len(labels), seed)]
        left = Counter(dict.fromkeys(labels, shots))
        rows = []
        for row in order:
            if left[labels[row]]:
                left[labels[row]] -= 1
                rows.append(int(row))
        found.append(np.array(rows, np.int64))
    return found


def _permutation(n: int, seed: int) -> Array:
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)  # the generator that MTEB draws with
    return order


def _file(folder: Path, name: str) -> Path:
    for suffix in (".jsonl", ".tsv", ".csv"):
        path = folder / (name + suffix)
        if path.is_file() or path.with_name(path.name + ".gz").is_file():
            return path
    raise InputError(f"{str(folder)!r} must have {name}.jsonl, .tsv or .csv (or .gz of it), got none of them.")
