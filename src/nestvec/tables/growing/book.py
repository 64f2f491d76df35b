"""Who owns which row: fingerprints in row order, the index over them, and when and how often a row was used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nestvec.core.types import Bool, Int64
from nestvec.tables.growing.keys import Fingerprints
from nestvec.tables.growing.slots import Slots
from nestvec.tables.growing.spec import FIRST, GrowingSpec

BLOCK = 1 << 14
"""Rows whose numbers are in memory at a time."""

CHANGED, USED = np.uint8(1), np.uint8(2)
"""Flags of a row: its record or owner is not saved yet; when and how often it was used is not."""


class Book:
    """The rows of a table by their owners.

    All arrays have the length of the table from the start; the system gives memory as they are written to.

    Args:
        spec: of the table.
    """

    def __init__(self, spec: GrowingSpec) -> None:
        most = spec.most_rows
        self.most, self.used = most, FIRST
        self.known = Fingerprints(np.zeros(most, np.uint64), np.zeros(most, np.uint32))
        self.field = np.zeros(most, np.uint8)
        self.flags = np.zeros(most, np.uint8)
        self.seen = np.zeros(most if spec.expiry else 0, np.uint32)
        self.count = np.zeros(most if spec.expiry else 0, np.uint32)
        self.held = np.zeros(256, np.int64)
        self._free = np.empty(0, np.int64)
        self._slots = Slots(most, self.known)

    def __len__(self) -> int:
        return int(self.held.sum())

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays, touched or not."""
        arrays = (self.known.low, self.known.high, self.field, self.flags, self.seen, self.count, self._free)
        return sum(array.nbytes for array in arrays) + self._slots.nbytes

    @property
    def room(self) -> int:
        """Rows that nobody owns."""
        return self.most - self.used + len(self._free)

    def find(self, keys: Fingerprints) -> Int64[np.ndarray, " n"]:
        """Row numbers, -1 where a key has none."""
        return self._slots.find(keys)

    def give(self, keys: Fingerprints, field: int) -> Int64[np.ndarray, " n"]:
        """Rows for ``[n]`` different keys without one, at most as many as there is :attr:`room` for.

        Rows that were taken away are given out first, the smallest number first.
        """
        again, self._free = self._free[: len(keys)], self._free[len(keys) :]
        fresh = np.arange(self.used, self.used + len(keys) - len(again))
        rows = np.concatenate([again, fresh])
        self.used += len(fresh)
        self.known.low[rows], self.known.high[rows] = keys.low, keys.high
        self.field[rows] = field
        self.flags[rows] |= CHANGED
        if len(self.count):
            self.count[rows] = 0
        self.held[field] += len(rows)
        self._slots.place(rows, held=len(self))
        return rows

    def take_away(self, rows: Int64[np.ndarray, " m"]) -> None:
        """Make ``rows`` belong to nobody."""
        self.held -= np.bincount(self.field[rows], minlength=256)
        self.known.low[rows] = 0
        self.flags[rows] |= CHANGED
        self._free = np.sort(np.concatenate([self._free, rows]))
        self._slots.rebuild(len(self), self.used)

    def note(self, rows: Int64[np.ndarray, " m"], times: Int64[np.ndarray, " m"], now: int) -> None:
        """Different ``rows`` were used so many times at second ``now``."""
        if len(self.count):
            self.seen[rows] = now
            self.count[rows] = np.minimum(self.count[rows] + times, np.iinfo(np.uint32).max).astype(np.uint32)
            self.flags[rows] |= USED

    def blocks(self, flag: np.uint8 | None = None) -> Iterator[Int64[np.ndarray, " m"]]:
        """Rows that belong to somebody, or those with a flag, ascending and some at a time."""
        for a in range(0, self.used, BLOCK):
            part = slice(a, min(a + BLOCK, self.used))
            yield a + np.flatnonzero(self.known.low[part] if flag is None else self.flags[part] & flag)

    def total(self, flag: np.uint8 | None = None) -> int:
        """How many rows :meth:`blocks` gives."""
        return sum(len(rows) for rows in self.blocks(flag))

    def least_used(self, n: int) -> Int64[np.ndarray, " n"]:
        """The ``n`` rows that were used least, of those the ones used longest ago, then the smaller numbers."""
        n = min(n, len(self))
        left, open_, chosen = n, self.known.low[: self.used] != 0, np.zeros(self.used, bool)
        for values in (self.count[: self.used], self.seen[: self.used]):
            if left:
                edge = np.partition(values[open_], left - 1)[left - 1]
                chosen |= open_ & (values < edge)
                open_ &= values == edge
                left = n - int(np.count_nonzero(chosen))
        return np.sort(np.concatenate([where(chosen, n), where(open_, left)]))

    def older_than(self, second: int) -> Int64[np.ndarray, " m"]:
        """Rows last used before ``second``."""
        old = (self.known.low[: self.used] != 0) & (self.seen[: self.used] < second)
        return np.flatnonzero(old)

    def restored(self, used: int) -> None:
        """After the arrays were filled from files: count, find what is free, and build the index."""
        self.used = used
        self.held = sum(
            (np.bincount(self.field[rows], minlength=256) for rows in self.blocks()), np.zeros(256, np.int64)
        )
        self._free = FIRST + np.flatnonzero(self.known.low[FIRST:used] == 0)
        self._slots.rebuild(len(self), used)
        self.flags[:used] = 0


def where(mask: Bool[np.ndarray, " n"], most: int) -> Int64[np.ndarray, " m"]:
    """The first ``most`` positions at which ``mask`` is true; only as many numbers are made."""
    parts, found = [np.empty(0, np.int64)], 0
    for a in range(0, len(mask), BLOCK):
        if found >= most:
            break
        parts.append(a + np.flatnonzero(mask[a : a + BLOCK])[: most - found])
        found += len(parts[-1])
    return np.concatenate(parts)
