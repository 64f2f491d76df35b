"""What a size is worth: rank correlation on sentence pairs, and ranking quality on collections with judgements."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import retrieval
from benchmarks.harness import data
from nestvec.core.types import Array, Matrix
from nestvec.metrics import Interval, bootstrap_mean, judge, ndcg, spearman

K = 10
Encode = Callable[[Sequence[str]], Mapping[str, Matrix]]


@dataclass(frozen=True)
class Pairs:
    """Sentence pairs with scores by people.

    Args:
        first: one sentence of each pair.
        second: the other.
        scores: ``[n]``.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: Array

    @classmethod
    def load(cls, path: Path, *, most: int | None = None) -> Pairs:
        """Read ``s1``, ``s2`` and ``score`` of each line."""
        with path.open(encoding="utf-8") as file:
            rows = [json.loads(line) for line in file][:most]
        scores = np.array([row["score"] for row in rows], np.float64)
        return cls(tuple(row["s1"] for row in rows), tuple(row["s2"] for row in rows), scores)

    def measure(self, encode: Encode) -> dict[str, Interval]:
        """Spearman correlation of cosine and score for each size that ``encode`` gives, with a percentile interval."""
        a, b = encode(self.first), encode(self.second)
        return {name: self.correlation(cosine(a[name], b[name])) for name in a}

    def correlation(self, cosines: Array) -> Interval:
        """Spearman, and where 95 % of 1,000 resamples of the pairs lie."""
        rng = np.random.default_rng(0)
        found = []
        for _ in range(1000):
            rows = rng.integers(0, len(cosines), len(cosines))
            found.append(spearman(cosines[rows], self.scores[rows]))
        low, high = np.quantile(found, [0.025, 0.975])
        return Interval(spearman(cosines, self.scores), float(low), float(high), len(cosines))


def measure(judged: retrieval.Judged, encode: Encode) -> dict[str, Array]:
    """nDCG@10 of every query for each size, on whole documents (title, space, text), by cosine."""
    documents = encode([record.full_text for record in judged.documents])
    queries = encode(judged.queries)
    ids = [record.id for record in judged.documents]
    values = {}
    for name, vectors in documents.items():
        scores = unit(queries[name]) @ unit(vectors).T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        values[name] = ndcg(*judge([[ids[i] for i in row] for row in best], judged.judgements, k=K))
    return values


def collection(name: str, *, quick: bool) -> retrieval.Judged | None:
    """A collection of the data folder, or None if it is not there."""
    folder = data(name)
    return None if folder is None else retrieval.load(folder, quick=quick)


def interval(values: Array) -> Interval:
    """Mean over queries and its bootstrap interval."""
    return bootstrap_mean(values)


def cosine(a: Matrix, b: Matrix) -> Array:
    """Row by row."""
    found: Array = (unit(a) * unit(b)).sum(axis=1)
    return found


def unit(x: Matrix) -> Matrix:
    """Rows of length 1."""
    found: Matrix = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)
    return found
