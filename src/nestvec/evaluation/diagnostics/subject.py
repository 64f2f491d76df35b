"""What is looked at: vectors in memory or in a collection, and what is known beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import CorruptError, FormatError, InputError, MissingExtraError
from nestvec.core.record import Record
from nestvec.core.types import JSON, Array, ArrayLike, Int64, Matrix
from nestvec.search.backends.faiss import HnswGraph
from nestvec.search.flat import Flat, Rows
from nestvec.search.graph import Graph
from nestvec.search.settings import ARRAY, Settings
from nestvec.store import Store

_GRAPH = "graph"
_BLOCK = 16_384  # rows copied out at a time


@dataclass(frozen=True, eq=False)
class Subject:
    """Vectors by position from 0, and what is known beside them.

    Args:
        name: for people.
        flat: exact search over all of them.
        rows: ``[n]`` the row id of each position, ascending.
        texts: gives the texts at positions; None where there are none.
        ids: gives the ids at positions; None where positions are all there is.
        metadata: gives the metadata at positions; None where there is none.
        graph: an approximate index over these rows.
        graph_note: why there is no graph.
    """

    name: str
    flat: Flat
    rows: Int64[np.ndarray, " n"]
    texts: Callable[[Sequence[int]], list[str]] | None = None
    ids: Callable[[Sequence[int]], list[str]] | None = None
    metadata: Callable[[Sequence[int]], list[Mapping[str, JSON]]] | None = None
    graph: Graph | None = None
    graph_note: str = "there is no graph beside these vectors"

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def dim(self) -> int:
        """``d``."""
        return self.flat.dim

    @classmethod
    def from_array(cls, x: ArrayLike, *, name: str = "vectors", texts: Sequence[str] | None = None) -> Subject:
        """Vectors ``[n, d]`` in memory or in a memory map.

        Raises:
            InputError: not one text a vector.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        values = as_matrix(x, name=name)
        if texts is not None and len(texts) != len(values):
            raise InputError(f"there must be one text a vector, got {len(texts)} and {len(values)}.")
        rows = np.arange(len(values))
        read = None if texts is None else (lambda at: [texts[i] for i in at])
        return cls(name, Flat((Rows(rows, values),), values.shape[1]), rows, texts=read)

    @classmethod
    @contextmanager
    def from_collection(cls, path: str | Path) -> Iterator[Subject]:
        """The vectors of a collection, held open as one version while the block runs. Needs no encoder.

        Raises:
            StoreError: there is no collection, or it cannot be read.
        """
        with Store.open(path) as store, store.read() as snapshot:
            dim = Settings.from_json(store.settings).space.dim
            flat = Flat(snapshot.segments(ARRAY), dim, snapshot.state.dead)
            graph, note = _graph(store)
            live = flat.live

            def read(at: Sequence[int]) -> list[Record]:
                return snapshot.records(live[list(at)])

            yield cls(
                str(path),
                flat,
                live,
                texts=lambda at: [record.full_text for record in read(at)],
                ids=lambda at: [record.id for record in read(at)],
                metadata=lambda at: [record.metadata for record in read(at)],
                graph=graph,
                graph_note=note,
            )

    def take(self, positions: Array) -> Matrix:
        """The vectors at ascending positions, copied."""
        return self.flat.vectors(self.rows[positions])

    def blocks(self) -> Iterator[tuple[int, Matrix]]:
        """Every vector, a block at a time, with the position of the first."""
        for start in range(0, len(self), _BLOCK):
            yield start, self.take(np.arange(start, min(start + _BLOCK, len(self))))

    def sample(self, size: int, *, seed: int) -> Int64[np.ndarray, " s"]:
        """Ascending positions, drawn without replacement; all of them if there are no more than ``size``."""
        if len(self) <= size:
            return np.arange(len(self))
        return np.sort(np.random.default_rng(seed).choice(len(self), size, replace=False))

    def label(self, positions: Sequence[int]) -> list[str]:
        """What to call the items at positions: their ids, or where they stand."""
        return self.ids(positions) if self.ids else [f"row {i}" for i in positions]


def basis(used: int, n: int, seed: int, what: str = "vectors") -> str:
    """A sentence on how much was looked at."""
    return f"all {n:,} {what}" if used >= n else f"{used:,} of {n:,} {what}, drawn with seed {seed}"


def _graph(store: Store) -> tuple[Graph | None, str]:
    try:
        kept = store.get_derived(_GRAPH)
        return (None, "the collection has no graph") if kept is None else (HnswGraph.from_bytes(kept[0]), "")
    except (CorruptError, FormatError, MissingExtraError) as cause:
        return None, str(cause)
