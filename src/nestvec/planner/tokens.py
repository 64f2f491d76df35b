"""A vector for every token of documents and queries, as the planner sees them: on the disk, in one place."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.types import Array, Float32, Float64, Int64
from nestvec.core.vectors import MultiVectors
from nestvec.kernels import ragged
from nestvec.kernels.maxsim import maxsim_many
from nestvec.search.several import TokenEncoder

FINEST = "float16@1"
"""The finest codec that keeps several vectors: the full size is kept by it."""

_BLOCK = 1 << 16  # vectors that are brought into memory together: 100 MB at 384 dimensions
_CHUNK = 256  # documents encoded together


@dataclass(frozen=True, eq=False)
class TokenView:
    """Token vectors of documents and queries at one depth, at all dimensions of it.

    Args:
        documents: an item a document; values may be a memory map.
        queries: an item a query.
        encode_seconds: ``[s]`` seconds that single queries took to encode in both forms, as a search needs them.
    """

    documents: MultiVectors
    queries: MultiVectors
    encode_seconds: Float64[np.ndarray, " s"] = field(default_factory=lambda: np.zeros(0))

    @classmethod
    def of(
        cls,
        tokens: TokenEncoder,
        records: Sequence[Record],
        asked: Sequence[str],
        *,
        encode_seconds: Float64[np.ndarray, " s"],
    ) -> TokenView:
        """What an encoder gives; vectors of documents lie in a temporary file, as there may be gigabytes of them.

        Args:
            tokens: the encoder.
            records: documents.
            asked: queries.
            encode_seconds: of queries in both forms.
        """
        return cls(_spilled(tokens, records), tokens.encode_query(asked), encode_seconds)

    @property
    def dim(self) -> int:
        """``d``."""
        return self.documents.space.dim

    @cached_property
    def exact(self) -> Float32[np.ndarray, "q n"]:
        """MaxSim of every query with every document over all tokens, those of documents rounded to half precision.

        Made once: it is the yardstick of a plan, and 16 bits are the finest that a collection keeps several vectors in.

        Cost: an inner product for every pair of tokens; ``4 q n`` bytes.
        """
        out = np.empty((len(self.queries), len(self.documents)), np.float32)
        for lo, hi, part in self.blocks():
            halves = part.values.astype(np.float16).astype(np.float32)
            out[:, lo:hi] = maxsim_many(self.queries.values, self.queries.offsets, halves, part.offsets)
        return out

    def nearest(self, k: int) -> Int64[np.ndarray, "q k"]:
        """The ``k`` best documents of each query by :attr:`exact`, equal scores by the smaller number, padded by -1."""
        scores = self.exact
        order: Array = np.argsort(-scores, axis=1, kind="stable")[:, :k].astype(np.int64)
        order[np.isneginf(np.take_along_axis(scores, order, axis=1))] = -1
        return np.pad(order, ((0, 0), (0, max(k - order.shape[1], 0))), constant_values=-1)

    def blocks(self) -> Iterator[tuple[int, int, MultiVectors]]:
        """Documents ``lo`` to ``hi``, and their vectors in memory, from the first to the last."""
        where = self.documents.offsets
        for lo, hi in ragged.blocks(where, _BLOCK):
            values = np.array(self.documents.values[where[lo] : where[hi]], np.float32)
            yield lo, hi, MultiVectors(values, where[lo : hi + 1] - where[lo], self.documents.space)

    def kept(self, vectors: int | str) -> int:
        """How many vectors all documents keep together where each keeps so many."""
        size = Size(vectors=vectors)
        lengths, counts = np.unique(np.diff(self.documents.offsets), return_counts=True)
        return sum(size.kept(length) * count for length, count in zip(lengths.tolist(), counts.tolist(), strict=True))


def _spilled(tokens: TokenEncoder, records: Sequence[Record]) -> MultiVectors:
    """Vectors of documents, written chunk by chunk to a file that is gone when nobody reads it any more."""
    lengths = [np.zeros(1, np.int64)]
    with tempfile.TemporaryFile() as file:
        for lo in range(0, len(records), _CHUNK):
            made = tokens.encode(records[lo : lo + _CHUNK])
            file.write(np.ascontiguousarray(made.values, np.float32).data)
            lengths.append(np.diff(made.offsets))
        file.flush()
        offsets = np.concatenate(lengths).cumsum()
        shape = int(offsets[-1]), tokens.space.dim
        if not shape[0]:  # there is no map of nothing
            return MultiVectors(np.zeros(shape, np.float32), offsets, tokens.space)
        return MultiVectors(np.asarray(np.memmap(file, np.float32, "r", shape=shape)), offsets, tokens.space)
