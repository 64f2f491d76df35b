"""Which keys get a row, and which rows go to make room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nestvec.core.types import Bool, Int64
from nestvec.tables.growing.book import Book
from nestvec.tables.growing.keys import Fingerprints
from nestvec.tables.growing.sketch import Sketch
from nestvec.tables.growing.spec import FIRST, NULL, UNKNOWN, GrowingSpec

_MADE_ROOM = 0.1  # of the rows: what goes at a time where the least used make room

Begin = Callable[[Int64[np.ndarray, " n"], Fingerprints], None]
"""Writes the first values of rows that were just given; when it raises, they are taken back."""


class Admission:
    """Decides about keys by the spec of a table, and keeps count.

    Args:
        spec: of the table.
        book: of its rows, changed in place.
        begin: called with new rows and their owners.
    """

    def __init__(self, spec: GrowingSpec, book: Book, begin: Begin) -> None:
        self.spec, self._book, self._begin = spec, book, begin
        self.sketch = Sketch.empty(spec.sketch_bytes) if spec.admit_after > 1 else None
        self.refused = self.expired = 0

    def admit(self, keys: Fingerprints, field: int, second: int) -> Int64[np.ndarray, " n"]:
        """``[n]`` keys -> their rows; those that have come often enough get one, and use is noted."""
        rows = self._book.find(keys)
        rows[keys.null] = NULL
        new = np.flatnonzero(rows < 0)
        if len(new):
            rows[new] = self._given(keys.at(new), field)
        if self.spec.expiry:
            used, times = np.unique(rows[rows >= FIRST], return_counts=True)
            self._book.note(used, times, second)
        return rows

    def own(self, keys: Fingerprints, field: int) -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """``(rows, new)`` of different keys that get a row at once; the row of unknown keys where there is no room."""
        self._make_room(int(np.count_nonzero(self._book.find(keys) < 0)))
        rows = self._book.find(keys)  # making room may have taken some away
        wanted = np.flatnonzero(rows < 0)
        self.refused += max(len(wanted) - self._book.room, 0)
        new = np.zeros(len(rows), bool)
        new[wanted[: self._book.room]] = True
        rows[wanted] = UNKNOWN
        if new.any():
            rows[new] = self._owned(keys.at(new), field)
        return rows, new

    def expire(self, *, before: int | None, keep: int | None) -> int:
        """Take rows away that were last used before a second, and all but ``keep``; returns how many went."""
        gone = 0
        if before is not None:
            gone += self._take_away(self._book.older_than(before))
        if keep is not None and len(self._book) > keep:
            gone += self._take_away(self._book.least_used(len(self._book) - keep))
        return gone

    def _given(self, keys: Fingerprints, field: int) -> Int64[np.ndarray, " n"]:
        """Rows of keys that have none: new ones where they are due, else that of unknown keys."""
        first, which, times = keys.distinct()
        due = np.ones(len(first), bool)
        if self.sketch is not None:
            due = self.sketch.add(keys.at(first), times) >= self.spec.admit_after
        order = np.flatnonzero(due)
        order = order[np.argsort(first[order])]
        self._make_room(len(order))
        self.refused += max(len(order) - self._book.room, 0)
        order = order[: self._book.room]
        rows = np.full(len(first), UNKNOWN, np.int64)
        if len(order):
            rows[order] = self._owned(keys.at(first[order]), field)
        found: Int64[np.ndarray, " n"] = rows[which]
        return found

    def _owned(self, keys: Fingerprints, field: int) -> Int64[np.ndarray, " n"]:
        rows = self._book.give(keys, field)
        try:
            self._begin(rows, keys)
        except OSError:
            self._book.take_away(rows)
            raise
        return rows

    def _make_room(self, wanted: int) -> None:
        book = self._book
        if self.spec.full == "least_used" and wanted > book.room:
            tenth = int(_MADE_ROOM * (book.most - FIRST))
            self._take_away(book.least_used(max(wanted - book.room, tenth)))
            book.count >>= 1  # so that what was used much long ago can go as well

    def _take_away(self, rows: Int64[np.ndarray, " m"]) -> int:
        if len(rows):
            self._book.take_away(rows)
        self.expired += len(rows)
        return len(rows)
