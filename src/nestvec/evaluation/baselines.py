"""What stands beside every model: systems that know nothing but the words of the task's own texts.

None of them has learnt anything. A model that does not separate from them has not shown that it understands more than
which words two texts share.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nestvec.core import Hits, Record
from nestvec.core.errors import InputError
from nestvec.core.types import Float32, Float64, Matrix
from nestvec.evaluation.lexical import Counts
from nestvec.evaluation.system import Candidates, System, best, cosine_pairs, unit
from nestvec.kernels.topk import merge

_COLUMNS = 2048  # terms of a dense TF-IDF matrix: 16,384 texts then take 128 MiB, and rarer words sort few texts


@dataclass(frozen=True)
class Bm25:
    """Okapi BM25 over lower-case words without plural ``s``; no stop words. Ranks only.

    ``sum_t idf(t) tf (k1 + 1) / (tf + k1 (1 - b + b len / mean len))`` with
    ``idf = ln(1 + (n - df + .5) / (df + .5))``.

    Args:
        k1: how soon more of the same word stops counting.
        b: how much long documents are marked down.

    Source: Robertson and Zaragoza 2009, sec. 3.
    """

    k1: float = 1.2
    b: float = 0.75

    @property
    def name(self) -> str:
        """For tables."""
        return "BM25"

    @property
    def fingerprint(self) -> str:
        """Of its settings."""
        return f"bm25@1 k1={self.k1} b={self.b}"

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """Documents that share a word with the query, best first; those with none are not found."""
        n = len(documents)
        counts = Counts.of([*(record.full_text for record in documents), *queries])
        df = counts.spread(texts=n)
        idf = np.log(1 + (n - df + 0.5) / (df + 0.5))
        length = counts.length()
        norm = self.k1 * (1 - self.b + self.b * length / max(float(length[:n].mean()), 1.0))
        saturated = counts.count * (self.k1 + 1) / (counts.count + norm[counts.text])
        weight = np.where(counts.text < n, saturated * idf[counts.term], counts.count)
        return _ranked(counts.weighted(weight).products(n), k, among)


@dataclass(frozen=True)
class TfIdf:
    """Cosine of sublinear TF-IDF weights, over the words of the task's own texts.

    Source: Salton and Buckley 1988.
    """

    @property
    def name(self) -> str:
        """For tables."""
        return "TF-IDF"

    @property
    def fingerprint(self) -> str:
        """Of its settings."""
        return f"tfidf@1 columns={_COLUMNS}"

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """By cosine; documents without a common word are not found."""
        counts = Counts.of([*(record.full_text for record in documents), *queries]).tf_idf()
        return _ranked(counts.products(len(documents)), k, among)

    def compare(self, a: Sequence[str], b: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """Cosine of the weights."""
        texts = list(dict.fromkeys([*a, *b]))
        place = {text: i for i, text in enumerate(texts)}
        counts = Counts.of(texts).tf_idf()
        ends = np.searchsorted(counts.text, np.arange(len(texts) + 1))
        weights = [
            dict(zip(counts.term[lo:hi].tolist(), counts.count[lo:hi].tolist(), strict=True))
            for lo, hi in pairwise(ends.tolist())
        ]
        pairs = ((weights[place[x]], weights[place[y]]) for x, y in zip(a, b, strict=True))
        return np.array([sum(w * y.get(term, 0.0) for term, w in x.items()) for x, y in pairs], np.float64)

    def represent(self, texts: Sequence[str]) -> Matrix:
        """The weights of the 2,048 words that stand in most texts."""
        return Counts.of(texts).tf_idf().dense(_COLUMNS)


@dataclass(frozen=True)
class RandomProjection:
    """TF-IDF through random signs to ``dim`` numbers: what a dense vector of that width holds without learning.

    Args:
        dim: width.
        seed: of the signs.

    Source: Johnson and Lindenstrauss 1984; Achlioptas 2003.
    """

    dim: int = 384
    seed: int = 0

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise InputError(f"dim must be at least 1, got {self.dim}.")

    @property
    def name(self) -> str:
        """For tables."""
        return f"random projection {self.dim}"

    @property
    def fingerprint(self) -> str:
        """Of its settings."""
        return f"projection@1 dim={self.dim} seed={self.seed}"

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """By cosine."""
        vectors = unit(self.represent([*(record.full_text for record in documents), *queries]))
        return best(vectors[len(documents) :], vectors[: len(documents)], k, among=among)

    def compare(self, a: Sequence[str], b: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """Cosine."""
        return cosine_pairs(self, a, b)

    def represent(self, texts: Sequence[str]) -> Matrix:
        """``[n, dim]``."""
        return Counts.of(texts).tf_idf().projected(self.dim, seed=self.seed)


BASELINES: tuple[System, ...] = (Bm25(), TfIdf(), RandomProjection())
"""Those that run by default, where a task can use them; each task adds a trivial one of its own."""


def _ranked(scores: Float32[np.ndarray, "q n"], k: int, among: Candidates | None) -> Hits:
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    hits = Hits.empty(len(scores), k)
    for row, line in enumerate(scores):
        ids = np.flatnonzero(line > 0) if among is None else np.sort(among[row])
        found, value = merge(ids[None], line[ids][None], k)
        hits.ids[row], hits.scores[row] = found[0], value[0]
    return hits
