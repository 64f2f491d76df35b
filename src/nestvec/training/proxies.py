"""What a size keeps of the full model, on texts that were held out and without any label."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from nestvec.core.types import Array, Matrix
from nestvec.training.corpus import Corpus
from nestvec.training.monitor import Geometry
from nestvec.training.sampling import Rows, Special, windows

Encode = Callable[[Rows], Mapping[str, Matrix]]
_ROWS = 256  # texts in a batch


@dataclass(frozen=True)
class Kept:
    """What one size keeps.

    Args:
        neighbours: part of the full model's ten best texts for a short query that are among this size's ten best.
        order: Spearman correlation of cosines, this size's with the full model's, over pairs near and far.
        cosine: mean cosine of a vector with the full one; None where dimensions differ.
        geometry: of its vectors by themselves.
    """

    neighbours: float
    order: float
    cosine: float | None
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class Proxy:
    """Held-out queries and texts, and the full model's vectors of them.

    Args:
        queries: rows of short texts.
        texts: rows of long texts, by length.
        full_queries: ``[q, d]`` unit.
        full_texts: ``[n, d]`` unit.
        own: ``[q]`` which text a query was cut from; it does not count as its neighbour.
    """

    queries: tuple[Rows, ...]
    texts: tuple[Rows, ...]
    full_queries: Array
    full_texts: Array
    own: Array

    @classmethod
    def of(
        cls, corpus: Corpus, encode: Encode, special: Special, *, queries: int = 500, width: int = 256, seed: int = 0
    ) -> Proxy:
        """Draw queries from a held-out corpus: titles where there are some, else beginnings of texts.

        Args:
            corpus: held out.
            encode: of the full model; gives one matrix, called ``full``.
            special: ids around texts.
            queries: at most; never more than a quarter of the texts.
            width: tokens of a text that are read.
            seed: of what is drawn.
        """
        order = np.random.default_rng(seed).permutation(len(corpus))
        titled = order[corpus.titles[order] >= 2]
        asked = np.concatenate([titled, order])[: max(1, min(queries, len(corpus) // 4))]
        by_length = np.argsort(corpus.lengths, kind="stable")
        short = tuple(
            windows(corpus, special, width=24, rows=part, titles=bool((corpus.titles[part] >= 2).all()))
            for part in _parts(asked)
        )
        long = tuple(windows(corpus, special, width=width, rows=part) for part in _parts(by_length))
        own = np.argsort(by_length)[asked]
        full = [_unit(np.concatenate([encode(rows)["full"] for rows in rows_])) for rows_ in (short, long)]
        return cls(short, long, full[0], full[1], own)

    def measure(self, encode: Encode) -> dict[str, Kept]:
        """What each size keeps that ``encode`` gives, by its name."""
        q = [encode(rows) for rows in self.queries]
        n = [encode(rows) for rows in self.texts]
        return {
            name: self.compare(np.concatenate([x[name] for x in q]), np.concatenate([x[name] for x in n]))
            for name in q[0]
        }

    def compare(self, queries: Array, texts: Array) -> Kept:
        """What vectors ``[q, e]`` and ``[n, e]`` of the same rows keep."""
        queries, texts = _unit(queries), _unit(texts)
        mine, full = queries @ texts.T, self.full_queries @ self.full_texts.T
        for scores in (mine, full):
            scores[np.arange(len(scores)), self.own] = -np.inf
        k = min(10, full.shape[1] - 1)
        best, best_full = (np.argsort(-scores, axis=1, kind="stable")[:, :k] for scores in (mine, full))
        same = (best[:, :, None] == best_full[:, None, :]).any(axis=2).mean()
        rng = np.random.default_rng(0)
        far = rng.integers(0, full.shape[1], (len(full), k))
        pairs = np.concatenate([best_full, far], axis=1)
        rows = np.arange(len(full))[:, None]
        a, b = full[rows, pairs].ravel(), mine[rows, pairs].ravel()
        fine = np.isfinite(a) & np.isfinite(b)
        order = float(np.corrcoef(_ranks(a[fine]), _ranks(b[fine]))[0, 1]) if len(set(b[fine])) > 1 else 0.0
        cosine = None
        if texts.shape[1] == self.full_texts.shape[1]:
            cosine = float((texts * self.full_texts).sum(axis=1).mean())
        return Kept(float(same), order, cosine, Geometry.of(queries, texts, self.own))

    @property
    def geometry(self) -> Geometry:
        """Of the full model's vectors."""
        return Geometry.of(self.full_queries, self.full_texts, self.own)


def _parts(rows: Array) -> list[Array]:
    return [rows[start : start + _ROWS] for start in range(0, len(rows), _ROWS)]


def _unit(x: Matrix) -> Matrix:
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.maximum(lengths, 1e-12), np.float32)


def _ranks(x: Array) -> Array:
    ranks = np.empty(len(x))
    ranks[np.argsort(x, kind="stable")] = np.arange(len(x))
    return ranks
