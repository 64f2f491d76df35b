"""Fingerprints to row numbers: open addressing in one array of 32-bit entries.

An entry holds a row number and, in the bits that the number does not need, a tag out of the fingerprint; the
fingerprints themselves lie in row order and are compared in full before a row is given out. Nothing here is saved: the
array is built again from the fingerprints, when it grows, when rows are taken away, and when a table is opened.

Source: Knuth 1998, sec. 6.4, algorithm L (linear probing).
"""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Int64
from nestvec.tables.growing.keys import Fingerprints

LOAD = 0.8  # entries in use at most: an unknown key then meets 13 on average, most of them told apart by the tag
_FIRST = 1 << 10
_BLOCK = 1 << 16  # rows placed at a time


class Slots:
    """The index of a table with at most ``most`` rows.

    Args:
        most: rows, less than 2^31.
        known: fingerprints in row order, shared with the table that writes them.
    """

    def __init__(self, most: int, known: Fingerprints) -> None:
        self._most, self._known = most, known
        self._shift = max(most, 1).bit_length()
        self._entries = np.zeros(self._size(0), np.uint32)

    @property
    def nbytes(self) -> int:
        """Bytes of the entries."""
        return self._entries.nbytes

    def find(self, keys: Fingerprints) -> Int64[np.ndarray, " n"]:
        """``[n]`` fingerprints -> row numbers; -1 where there is none."""
        out = np.full(len(keys), -1, np.int64)
        low, high, mask = self._known.low, self._known.high, np.uint32((1 << self._shift) - 1)
        todo, at = np.arange(len(keys)), home(keys.low, len(self._entries))
        tags = keys.high << np.uint32(self._shift)
        while len(todo):  # all keys probe at once; those that are not settled go one entry further
            entry = self._entries[at]
            maybe = np.flatnonzero((entry & ~mask) == tags[todo])
            maybe = maybe[entry[maybe] != 0]
            row, key = (entry[maybe] & mask).astype(np.int64) - 1, todo[maybe]
            same = (low[row] == keys.low[key]) & (high[row] == keys.high[key])
            out[key[same]] = row[same]
            on = entry != 0
            on[maybe[same]] = False
            todo, at = todo[on], (at[on] + 1) % len(self._entries)
        return out

    def place(self, rows: Int64[np.ndarray, " m"], *, held: int) -> None:
        """Enter ``rows`` whose fingerprints, all new, were just written.

        Args:
            rows: the new ones.
            held: rows in the table with them.
        """
        if held > LOAD * len(self._entries):
            self.rebuild(held)
        else:
            self._place(rows)

    def rebuild(self, held: int, used: int | None = None) -> None:
        """Build the entries anew from the fingerprints of all rows that belong to somebody.

        Args:
            held: how many there are.
            used: rows that were ever given out; by default all the fingerprints there is room for.
        """
        size = self._size(held)
        self._entries = np.zeros(0, np.uint32)  # the old ones go before the new ones come
        self._entries = np.zeros(size, np.uint32)
        low = self._known.low[:used]
        for a in range(0, len(low), _BLOCK):
            rows = a + np.flatnonzero(low[a : a + _BLOCK])
            if len(rows):
                self._place(rows)

    def _size(self, held: int) -> int:
        size = _FIRST
        while LOAD * size < held:
            size *= 2
        return min(size, max(_FIRST, int(self._most / LOAD) + 1))

    def _place(self, rows: Int64[np.ndarray, " m"]) -> None:
        size = len(self._entries)
        tags = self._known.high[rows] << np.uint32(self._shift)
        made, at = (rows + 1).astype(np.uint32) | tags, home(self._known.low[rows], size)
        while len(made):  # all rows probe at once; of those that meet at a free entry one takes it
            free = np.flatnonzero(self._entries[at] == 0)
            self._entries[at[free]] = made[free]
            on = self._entries[at] != made
            made, at = made[on], (at[on] + 1) % size


def home(low: Array, size: int) -> Int64[np.ndarray, " n"]:
    """Where probing begins: the upper half of the fingerprint, scaled to ``[0, size)``."""
    return (((low >> np.uint64(32)) * np.uint64(size)) >> np.uint64(32)).astype(np.int64)
