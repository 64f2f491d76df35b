"""Pointers to clusters, made anew while the rows learn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets
from nestvec.kernels.kmeans import kmeans, nearest
from nestvec.tables.adaptive import Index, Indexes, Learning, narrow
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_TURNS = (0.25, 0.5, 0.75)
"""Shares of the training after which ids are clustered; the rest is for the last clusters to learn."""
_SAMPLE = 64
"""Ids a cluster that k-means looks at. The paper takes 200; 64 give the same clusters but for noise."""
_ROUNDS = 8
_AT_ONCE = 1 << 14


@dataclass(frozen=True)
class CCE:
    """``row(i) = concat_c (T_c[p_c(i)] + H_c[h_c(i)])``: in each chunk the centre of a cluster, plus a hashed row.

    Both rows are hashed at first. After a quarter, a half and three quarters of the training, the sums are clustered:
    ``T`` becomes the centres, the pointers ``p`` name an id's cluster, and ``H`` begins again, under a new hash, with
    the mean of what is left. Ids that behave alike thus come to share rows, where hashing mixes any. A pointer is
    stored for each id and chunk, in one byte for up to 256 rows and two beyond, and counted.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes and the clustering.
        buckets: rows in each of the two tables of a chunk.
        chunks: pieces of a row. The paper's 4 have four bytes of pointers an id.

    Source: Tsang and Ahle 2023, sec. 3 (arXiv:2210.05974).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    chunks: int = 4

    id: ClassVar[str] = "cce@1"
    watches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets, chunks=self.chunks)
        if self.chunks > self.dim:
            raise InputError(f"chunks must be at most dim={self.dim}, got {self.chunks}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row to one an id."""
        return Knob("buckets", 1, sizes.total)

    def parts(self) -> Mapping[str, Part]:
        """``centres`` and ``hashed``, smaller at first so that a sum is as large as one row of a full table."""
        part = Part(self.chunks * self.buckets, -(-self.dim // self.chunks), spread=0.05 / 2**0.5)
        return {"centres": part, "hashed": part}

    def indexes(self) -> Mapping[str, Index]:
        """``pointers``, and ``turn``: how often ids were clustered, which decides about the hash."""
        return {
            "pointers": Index((self.sizes.total, self.chunks), narrow(self.buckets - 1)),
            "turn": Index((1,), "uint8"),
        }

    @cached_property
    def _first(self) -> dict[str, Array]:
        flat = np.arange(self.sizes.total, dtype=np.int64)
        at = [buckets(flat, self.buckets, salt=self.seed + c) for c in range(self.chunks)]
        return {"pointers": np.stack(at, axis=1).astype(np.int32), "turn": np.zeros(1, np.int64)}

    def first_indexes(self) -> dict[str, Array]:
        """Hashes."""
        return {name: value.copy() for name, value in self._first.items()}

    def locate(self, ids: Ids, indexes: Indexes | None = None) -> Places:
        """Where the pointers point, and where the hash of this turn does."""
        found = self._first if indexes is None else indexes
        first = np.arange(self.chunks) * self.buckets
        turn = int(found["turn"][0])
        hashed = np.stack([self._hashed(ids.flat, chunk, turn) for chunk in range(self.chunks)], axis=1)
        return {"centres": first + np.take(found["pointers"], ids.flat, axis=0), "hashed": first + hashed}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Sums side by side; what is too wide is cut."""
        return (read.rows("centres") + read.rows("hashed")).reshape(len(ids), -1)[:, : self.dim]

    def settled(self, indexes: Indexes) -> bool:
        """Always: it is as small from the beginning."""
        return "pointers" in indexes

    def settle(self, learning: Learning) -> None:
        """Nothing to do."""

    def adapt(self, learning: Learning) -> None:
        """Cluster, if it is time to."""
        if any(learning.reaches(share) for share in _TURNS):
            turn = int(learning.indexes["turn"][0])
            for chunk in range(self.chunks):
                self._cluster(chunk, turn, learning)
            learning.indexes["turn"][0] = turn + 1

    def _hashed(self, flat: Array, chunk: int, turn: int) -> Array:
        return buckets(flat, self.buckets, salt=self.seed + self.chunks * (turn + 1) + chunk)

    def _cluster(self, chunk: int, turn: int, learning: Learning) -> None:
        own = slice(chunk * self.buckets, (chunk + 1) * self.buckets)
        centres, hashed = learning.values["centres"][own], learning.values["hashed"][own]
        pointers = learning.indexes["pointers"]

        def sums(flat: Array) -> Array:
            rows: Array = centres[pointers[flat, chunk]] + hashed[self._hashed(flat, chunk, turn)]
            return rows

        total, seed = self.sizes.total, self.seed + turn
        drawn = np.random.default_rng((seed, chunk)).permutation(total)[: _SAMPLE * self.buckets]
        made = kmeans(sums(np.sort(drawn)), min(self.buckets, total), rounds=_ROUNDS, seed=seed)
        new = np.empty(total, pointers.dtype)
        left, times = np.zeros((self.buckets, centres.shape[1])), np.zeros(self.buckets)
        for start in range(0, total, _AT_ONCE):
            flat = np.arange(start, min(start + _AT_ONCE, total), dtype=np.int64)
            x = sums(flat)
            new[flat] = nearest(x, made)
            bucket = self._hashed(flat, chunk, turn + 1)
            np.add.at(left, bucket, x - made[new[flat]])
            times += np.bincount(bucket, minlength=self.buckets)
        pointers[:, chunk] = new
        centres[: len(made)] = made
        hashed[:] = left / np.maximum(times, 1)[:, None]
