"""Find the groups of texts that people made, without being told what they are."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.evaluation.learners import clusters
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, read_rows
from nestvec.evaluation.system import Represents, System
from nestvec.metrics import ari, clustering_accuracy, nmi, v_measure

_METRICS = {"v_measure": v_measure, "nmi": nmi, "ari": ari, "clustering_accuracy": clustering_accuracy}


@dataclass(frozen=True)
class Clustering:
    """Texts with groups. k-means with as many clusters as groups runs on samples of the texts; a sample is an item.

    Samples are drawn with replacement from the same texts, and so are the same for every system. They show how much
    the choice of texts and the start of k-means matter; ten of them are few, and an interval is rough.

    Args:
        texts: what is clustered.
        labels: the group of each.
        samples: how many.
        size: of a sample; all texts are not taken twice on purpose, but may be.

    Raises:
        InputError: not as many labels, fewer than two groups, or a number below its least.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    samples: int = 10
    size: int = 16_384

    id: ClassVar[str] = "clustering@1"
    needs: ClassVar[type[object]] = Represents
    metric: ClassVar[str] = "V-measure"
    mteb_type: ClassVar[str] = "Clustering"
    trivial_name: ClassVar[str] = "random groups"
    spread: ClassVar[float] = 0.01  # of differences between samples of some thousand texts; fewer texts, wider

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels) or len(set(self.labels)) < 2:
            raise InputError(
                f"there must be a label a text and two groups or more, got {len(self.texts)} texts, "
                f"{len(self.labels)} labels and {len(set(self.labels))} groups."
            )
        if self.samples < 1 or self.size < len(set(self.labels)):
            raise InputError(f"samples must be at least 1, and larger than the groups, got {self.samples, self.size}.")

    @classmethod
    def read(cls, path: Path, *, text: tuple[str, ...] = ("text",), label: str = "", samples: int = 10) -> Clustering:
        """Read ``text`` and a label of each row of a JSONL, TSV or CSV file.

        Args:
            path: the file.
            text: columns of the text; of several, those that are not empty are joined by a line break.
            label: the column of the group; ``label_text``, else ``label``, by default.
            samples: see the class.

        Raises:
            InputError: a column is missing or empty, or as for the class.
        """
        rows = read_rows(path)
        columns = (label,) if label else ("label_text", "label")
        return cls(tuple(row.joined(*text) for row in rows), tuple(row.label(*columns) for row in rows), samples)

    def __len__(self) -> int:
        return self.samples

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts and groups, and the sampling."""
        return digest(self.id, self.samples, self.size, self.texts, self.labels)

    def measure(self, system: System, *, seed: int = 42) -> Outcome:
        """Cluster each sample. ``seed`` draws the samples and starts k-means."""
        vectors = cast(Represents, system).represent(self.texts)
        k = len(set(self.labels))
        return self._scored(lambda rows: clusters(vectors[rows], k, seed=seed), seed)

    def trivial(self, *, seed: int = 42) -> Outcome:
        """Every text in a group drawn at random."""
        rng, k = np.random.default_rng(seed), len(set(self.labels))
        return self._scored(lambda rows: rng.integers(0, k, len(rows)), seed)

    def _scored(self, group: Callable[[Array], Array], seed: int) -> Outcome:
        rng, n = random.Random(seed), len(self.texts)  # noqa: S311  # draws what MTEB draws; nothing is secret here
        labels = np.unique(self.labels, return_inverse=True)[1]
        found: dict[str, list[float]] = {name: [] for name in _METRICS}
        for _ in range(self.samples):
            rows = np.array(rng.choices(range(n), k=self.size), np.int64)
            told = group(rows)
            for name, metric in _METRICS.items():
                found[name].append(metric(labels[rows], told))
        columns = {name: np.array(values, np.float64) for name, values in found.items()}
        scores = {name: float(values.mean()) for name, values in columns.items()}
        items = tuple(f"sample {i}" for i in range(self.samples))
        notes = (f"items are {self.samples} samples of {self.size:,} from {n:,} texts",)
        return Outcome("v_measure", scores, items, columns, unit="samples", notes=notes)
