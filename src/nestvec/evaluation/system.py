"""What can be measured, as protocols: a system ranks documents, compares pairs, or represents texts as vectors.

A baseline without vectors (BM25) only ranks; an encoder does all three. A task says which of the three it needs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import xxhash

from nestvec.core import Hits, Record, Space
from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Float32, Float64, Int64, Matrix
from nestvec.kernels.topk import merge

Candidates = Sequence[Int64[np.ndarray, " _"]]
_SCORES = 1 << 22  # scores held at a time: 16 MiB


@runtime_checkable
class System(Protocol):
    """Anything that is measured."""

    @property
    def name(self) -> str:
        """For people, and for the folder of its results: ``owner/model`` or a plain name."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for two systems exactly when their results must be equal."""
        ...


@runtime_checkable
class Ranks(System, Protocol):
    """A system that finds documents for queries."""

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """``[q, k]`` positions in ``documents``, best first, -1 where there are fewer.

        Args:
            queries: what is looked for.
            documents: all there is.
            k: how many, at least 1.
            among: for each query, the positions that may be found; None for all.
        """
        ...


@runtime_checkable
class Compares(System, Protocol):
    """A system that says how alike two texts are."""

    def compare(self, a: Sequence[str], b: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """``[n]`` likeness of ``a[i]`` and ``b[i]``."""
        ...


@runtime_checkable
class Represents(System, Protocol):
    """A system that makes a vector of a text."""

    def represent(self, texts: Sequence[str]) -> Matrix:
        """``[n, d]`` float32."""
        ...


@dataclass(frozen=True)
class Model:
    """An encoder, ready to be measured. Documents go through ``encode``, queries through ``encode_query``.

    Args:
        encoder: any :class:`~nestvec.core.protocols.Encoder`.
        label: its name in results; that of its space by default.
    """

    encoder: Encoder
    label: str = ""

    @property
    def name(self) -> str:
        """The label, else the name of the encoder, with its size if that is not full."""
        size = str(getattr(self.encoder, "size", "") or "")
        plain = self.encoder.space.encoder
        return self.label or (f"{plain}@{size}" if size not in ("", "full") and size not in plain else plain)

    @property
    def fingerprint(self) -> str:
        """That of its space."""
        return self.encoder.space.fingerprint

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """Exact search by the metric of the space."""
        space = self.encoder.space
        found = _as_compared(self.encoder.encode(documents).values, space)
        return best(_as_compared(self.encoder.encode_query(queries).values, space), found, k, among=among)

    def compare(self, a: Sequence[str], b: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """Cosine; each different text is encoded once."""
        return cosine_pairs(self, a, b)

    def represent(self, texts: Sequence[str]) -> Matrix:
        """The vectors of documents, as the encoder gives them."""
        return self.encoder.encode(list(texts)).values


@runtime_checkable
class Answer(Protocol):
    """One result of a text search."""

    @property
    def document(self) -> str:
        """Id of the document it belongs to."""
        ...

    @property
    def score(self) -> float:
        """Higher is better."""
        ...


@runtime_checkable
class TextSearch(Protocol):
    """What a collection can do: find documents for texts. :class:`nestvec.search.Collection` does."""

    @property
    def space(self) -> Space:
        """The space of its vectors."""
        ...

    @property
    def version(self) -> int:
        """Changes when what it holds changes."""
        ...

    def search_many(self, queries: Sequence[str], k: int, *, per_document: bool) -> Sequence[Sequence[Answer]]:
        """The best documents of each query."""
        ...


@dataclass(frozen=True)
class Held:
    """A collection, measured as it is: index, codes, passages and all. It must hold the documents of the task.

    Args:
        collection: open, with an encoder.
        label: its name in results.
    """

    collection: TextSearch
    label: str

    @property
    def name(self) -> str:
        """The label."""
        return self.label

    @cached_property
    def fingerprint(self) -> str:
        """Of its space, its version and where it lies."""
        where = str(getattr(self.collection, "path", ""))
        told = f"{self.collection.space.fingerprint} {self.collection.version} {where}"
        return xxhash.xxh3_128_hexdigest(told.encode())

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """What the collection finds; documents that the task does not know keep their ranks, with ids past the last.

        Raises:
            InputError: candidates are given: a collection searches all that it holds.
        """
        if among is not None:
            raise InputError("a collection searches everything it holds; measure its encoder on reranking instead.")
        place = {record.id: i for i, record in enumerate(documents)}
        hits = Hits.empty(len(queries), k)
        for row, answers in enumerate(self.collection.search_many(list(queries), k, per_document=True)):
            for column, answer in enumerate(answers):
                hits.ids[row, column] = place.setdefault(answer.document, len(place))
                hits.scores[row, column] = answer.score
        return hits


def best(queries: Float32[np.ndarray, "q d"], documents: Matrix, k: int, *, among: Candidates | None = None) -> Hits:
    """``[q, d]`` and ``[n, d]`` -> the ``k`` largest inner products of each query, ties to the smaller position.

    Args:
        queries: one row a query.
        documents: one row a document.
        k: at least 1.
        among: for each query, the positions that may be found.

    Raises:
        InputError: ``k < 1``.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    hits = Hits.empty(len(queries), k)
    step = max(1, _SCORES // max(len(documents), 1))
    every = np.arange(len(documents), dtype=np.int64)
    for lo in range(0, len(queries), step):
        scores = queries[lo : lo + step] @ documents.T
        for row, line in enumerate(scores, start=lo):
            ids = every if among is None else np.sort(among[row])
            if among is None and k < len(line):
                ids = np.flatnonzero(line >= np.partition(line, -k)[-k])  # all that tie with the k-th are looked at
            hits.ids[row], hits.scores[row] = (x[0] for x in merge(ids[None], line[ids][None], k))
    return hits


def unit(x: Matrix) -> Matrix:
    """Rows of length 1; a row of zeros stays."""
    found: Matrix = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-12))
    return found


def cosine_pairs(system: Represents, a: Sequence[str], b: Sequence[str]) -> Float64[np.ndarray, " n"]:
    """Cosine of the vectors of ``a[i]`` and ``b[i]``; each different text is represented once."""
    texts = list(dict.fromkeys([*a, *b]))
    place = {text: i for i, text in enumerate(texts)}
    vectors = unit(system.represent(texts))
    left, right = ([place[text] for text in side] for side in (a, b))
    found: Float64[np.ndarray, " n"] = (vectors[left].astype(np.float64) * vectors[right]).sum(axis=1)
    return found


def _as_compared(x: Matrix, space: Space) -> Matrix:
    return unit(x) if space.metric == "cosine" else x
