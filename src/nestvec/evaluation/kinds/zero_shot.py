"""Tell the class of a text from the names of the classes alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Int64, Matrix
from nestvec.evaluation.lexical import Counts
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Represents, System, best, unit
from nestvec.metrics import f1


@dataclass(frozen=True)
class ZeroShot:
    """Texts with classes. A text is an item: is the name of its class the nearest of all names, by cosine?

    Args:
        texts: what is told.
        labels: the class of each.
        names: ``(class, what it is called)`` of every class, the name as it is put before the model.

    Raises:
        InputError: not as many labels, a class twice or without a name, or fewer than two classes.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    names: tuple[tuple[str, str], ...]

    id: ClassVar[str] = "zero_shot@1"
    needs: ClassVar[type[object]] = Represents
    metric: ClassVar[str] = "accuracy"
    mteb_type: ClassVar[str] = "ZeroShotClassification"
    trivial_name: ClassVar[str] = "words of the name"
    spread: ClassVar[float] = 0.35  # two systems that disagree on an eighth of the texts: sqrt(1 / 8)

    def __post_init__(self) -> None:
        known = [label for label, _ in self.names]
        missing = sorted(set(self.labels) - set(known))
        if len(self.texts) != len(self.labels) or not self.texts or len(set(known)) < max(2, len(known)):
            raise InputError(f"there must be a label a text and two classes or more, named once, got {known[:5]}.")
        if missing:
            raise InputError(f"every class must have a name, got none for {missing[0]!r}.")

    @classmethod
    def read(cls, path: Path, *, label: str = "", template: str = "{}", names: str = "") -> ZeroShot:
        """Read ``text`` and a label of each row of a JSONL, TSV or CSV file.

        Args:
            path: the file.
            label: the column of the class; ``label_text``, else ``label``, by default.
            template: a name is put where ``{}`` stands.
            names: ``class=name`` with commas between, such as ``NUM=number,LOC=place``; by default a class is called
                as its label, with spaces for ``_``, ``.`` and ``-``.

        Raises:
            InputError: a column is missing, the template has no ``{}``, or as for the class.
        """
        if "{}" not in template:
            raise InputError(f"a template must have {{}} where the name goes, got {template!r}.")
        rows = read_rows(path)
        labels = tuple(row.label(*((label,) if label else ("label_text", "label"))) for row in rows)
        given = dict(part.split("=", 1) for part in names.split(",") if "=" in part)
        plain = {one: given.get(one, one.translate(str.maketrans("_.-", "   "))) for one in sorted(set(labels))}
        called = tuple((one, template.replace("{}", name)) for one, name in plain.items())
        return cls(tuple(row.text("text") for row in rows), labels, called)

    def __len__(self) -> int:
        return len(self.texts)

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts, labels and names."""
        return digest(self.id, self.texts, self.labels, self.names)

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """The nearest name. ``seed`` decides nothing here."""
        del seed
        vectors = unit(cast(Represents, system).represent([*(name for _, name in self.names), *self.texts]))
        return self._scored(self._nearest(vectors))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """The class with whose name a text shares most words; of several, or without any, the first."""
        del seed
        counts = Counts.of([*(name for _, name in self.names), *self.texts])
        shared = counts.weighted(np.ones_like(counts.count)).products(len(self.names))
        return self._scored(np.argmax(shared, axis=1).astype(np.int64))

    def _nearest(self, vectors: Matrix) -> Int64[np.ndarray, " t"]:
        k = len(self.names)
        return best(vectors[k:], vectors[:k], 1).ids[:, 0]

    def _scored(self, which: Int64[np.ndarray, " n"]) -> Outcome:
        truth, told = np.array(self.labels), np.array([self.names[i][0] for i in which])
        right = (truth == told).astype(np.float64)
        scores = {"accuracy": float(right.mean()), "f1": f1(truth, told)}
        items = tuple(map(str, range(len(self))))
        return Outcome("accuracy", scores, items, {"accuracy": right}, unit="texts")
