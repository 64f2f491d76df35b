"""HNSW by faiss. The only file that imports faiss."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import CorruptError, FormatError, InputError, MissingExtraError
from nestvec.core.hits import Hits
from nestvec.core.types import ArrayLike, Int64

_MAGIC = b"nestvec hnsw@1\0\0"
_HEAD = struct.Struct("<16sqqqqd")  # magic, rows, dim, ef, k, recall


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as cause:
        raise MissingExtraError("The graph index", "graph") from cause
    return faiss


@dataclass(frozen=True, eq=False)
class HnswGraph:
    """A navigable graph over unit vectors; finds most of the nearest rows in about ``ef log n`` steps.

    It holds copies of the vectors, knows nothing of later changes, and is never changed: a stale one is rebuilt.
    Whoever stores it keeps the fingerprint of its space and a checksum beside it.

    Args:
        index: the faiss index.
        rows: ``[n]`` int64 row ids in the order they were inserted in.
        ef: width of a search; 0 until it has been measured.
        k: the ``k`` at which ``recall`` was measured.
        recall: what was measured at ``ef``, 0 to 1.

    Source: Malkov and Yashunin 2016 (arXiv:1603.09320).
    """

    index: Any
    rows: Int64[np.ndarray, " n"]
    ef: int = 0
    k: int = 10
    recall: float = 0.0

    id: ClassVar[str] = "hnsw@1"

    @property
    def dim(self) -> int:
        """Width of its vectors."""
        return int(self.index.d)

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def build(
        cls,
        values: ArrayLike,
        *,
        rows: Int64[np.ndarray, " n"],
        links: int = 32,
        width: int = 100,
        seed: int | None = 0,
    ) -> HnswGraph:
        """Build over ``values`` ``[n, d]`` with row ids ``rows`` ``[n]``.

        Rows go in shuffled: the order of insertion moves recall by up to 12 points, and the order in which records
        arrive, such as one topic after the other, is among the bad ones (Elliott and Clark 2024, arXiv:2405.17813).

        Args:
            values: float, unit length if the inner product is to be the cosine.
            rows: the row id of each vector.
            links: ``M`` of the paper; twice as many in the lowest layer.
            width: ``efConstruction`` of the paper.
            seed: of the shuffle; None to insert in the order given, which is for measuring what order does. Insertion
                runs in several threads, so two builds are alike, not equal.

        Raises:
            MissingExtraError: faiss is not installed.
            InputError: ``rows`` and ``values`` differ in length.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: about 2,000 rows a second and core at ``d = 384``; the vectors once more in memory.
        """
        values = as_matrix(values, name="values")
        if len(rows) != len(values):
            raise InputError(f"rows must name each of the {len(values)} vectors, got {len(rows)} row ids.")
        faiss = _faiss()
        order = np.arange(len(values)) if seed is None else np.random.default_rng(seed).permutation(len(values))
        index = faiss.IndexHNSWFlat(values.shape[1], links, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = width
        if len(values):
            index.add(values[order])
        return cls(index, rows[order])

    def search(self, queries: ArrayLike, k: int, *, ef: int | None = None) -> Hits:
        """The ``k`` best rows that the walk came across, for each query.

        Args:
            queries: ``[q, d]`` float.
            k: at least 1.
            ef: width of the walk, raised to ``k`` if less; None for the measured one.

        Returns:
            Row ids, best first, equal scores by the smaller id; -1 where the walk found fewer.

        Raises:
            InputError: ``k < 1``, or no ``ef`` is given and none has been measured.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: a few microseconds per query and place of ``ef``. Safe to call from several threads at once.
        """
        queries = as_matrix(queries, name="queries", dim=self.dim)
        ef = ef or self.ef
        if k < 1 or ef < 1:
            raise InputError(f"k and ef must be at least 1, got k={k} and ef={ef}. Call with_ef, or pass ef.")
        wanted = min(k, len(self.rows))
        if not wanted or not len(queries):
            return Hits.empty(len(queries), k)
        parameters = _faiss().SearchParametersHNSW(efSearch=max(ef, wanted))
        scores, at = self.index.search(queries, wanted, params=parameters)
        ids = np.where(at < 0, -1, self.rows[at])
        scores = np.where(at < 0, np.float32(-np.inf), scores)
        order = np.lexsort((ids, -scores), axis=1)  # faiss leaves ties in the order the walk met them
        pad = [(0, 0), (0, k - wanted)]
        return Hits(
            np.pad(np.take_along_axis(ids, order, axis=1), pad, constant_values=-1),
            np.pad(np.take_along_axis(scores, order, axis=1), pad, constant_values=-np.inf),
        )

    def with_ef(self, ef: int, *, k: int, recall: float) -> HnswGraph:
        """The same graph, with what was measured about it."""
        return replace(self, ef=ef, k=k, recall=recall)

    def to_bytes(self) -> bytes:
        """All of it in one string, for :meth:`from_bytes`. The caller keeps a checksum."""
        head = _HEAD.pack(_MAGIC, len(self.rows), self.dim, self.ef, self.k, self.recall)
        return head + self.rows.astype("<i8").tobytes() + bytes(_faiss().serialize_index(self.index).data)

    @classmethod
    def from_bytes(cls, data: bytes) -> HnswGraph:
        """What :meth:`to_bytes` gave. Check its checksum first: faiss reads damaged bytes without a word.

        Raises:
            MissingExtraError: faiss is not installed.
            FormatError: not a graph, or of a later format.
            CorruptError: its parts do not fit together.
        """
        if len(data) < _HEAD.size or not data.startswith(_MAGIC):
            raise FormatError(f"a graph must start with {_MAGIC!r}, got {data[:16]!r}. Rebuild it.")
        _, n, dim, ef, k, recall = _HEAD.unpack_from(data)
        stop = _HEAD.size + 8 * n
        if n < 0 or len(data) <= stop:
            raise CorruptError(f"a graph of {n} rows must be longer than {stop} bytes, got {len(data)}. Rebuild it.")
        rows = np.frombuffer(data, "<i8", n, _HEAD.size).astype(np.int64)
        try:
            index = _faiss().deserialize_index(np.frombuffer(data, np.uint8, offset=stop))
        except RuntimeError as cause:  # what faiss raises for bytes that it cannot follow
            raise CorruptError(f"a graph must be readable by faiss, got: {cause}. Rebuild it.") from cause
        if index.ntotal != n or index.d != dim:
            raise CorruptError(f"a graph must hold {n} rows of {dim}, got {index.ntotal} of {index.d}. Rebuild it.")
        return cls(index, rows, ef, k, recall)
