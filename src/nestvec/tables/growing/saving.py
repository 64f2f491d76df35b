"""Changes of a table as arrays in files, and back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nestvec.core.errors import FormatError
from nestvec.core.types import Array
from nestvec.tables.growing.book import BLOCK, CHANGED, USED, Book
from nestvec.tables.growing.rows import RowFile
from nestvec.tables.growing.sketch import Sketch
from nestvec.tables.growing.streams import Stream, StreamFile


def changes(book: Book, file: RowFile, sketch: Sketch | None, *, whole: bool = False) -> dict[str, Stream]:
    """What is not saved yet, or all of the table.

    ========== ================ ==================================================================
    name       shape            meaning
    ========== ================ ==================================================================
    ``rows``   [m] uint32       numbers of rows that are new, changed or taken away, ascending
    ``low``    [m] uint64       first half of the owner's fingerprint; 0 where there is no owner
    ``high``   [m] uint32       the rest of it
    ``field``  [m] uint8        number of the owner's field
    ``record`` [m, width] uint8 values and state of training
    ``used``   [u] uint32       rows that were used, with expiry
    ``seen``   [u] uint32       … when last, in seconds since the table was made
    ``count``  [u] uint32       … and how often
    ``sketch`` [4, w] uint16    counts of keys without a row, where they are counted
    ========== ================ ==================================================================
    """

    def changed() -> Iterator[Array]:
        if not whole:
            return book.blocks(CHANGED)
        return (np.arange(a, min(a + BLOCK, book.used)) for a in range(0, book.used, BLOCK))

    def used() -> Iterator[Array]:
        return book.blocks(None if whole else USED)

    n = book.used if whole else book.total(CHANGED)
    found = {
        "rows": Stream("uint32", (n,), (rows.astype(np.uint32) for rows in changed())),
        "low": Stream("uint64", (n,), (book.known.low[rows] for rows in changed())),
        "high": Stream("uint32", (n,), (book.known.high[rows] for rows in changed())),
        "field": Stream("uint8", (n,), (book.field[rows] for rows in changed())),
        "record": Stream("uint8", (n, file.record.width), (file.take(rows) for rows in changed())),
    }
    if len(book.count):
        m = book.total(None if whole else USED)
        found["used"] = Stream("uint32", (m,), (rows.astype(np.uint32) for rows in used()))
        found["seen"] = Stream("uint32", (m,), (book.seen[rows] for rows in used()))
        found["count"] = Stream("uint32", (m,), (book.count[rows] for rows in used()))
    if sketch is not None:
        found["sketch"] = Stream.of(sketch.counters)
    return found


def apply(path: Path, book: Book, rows: RowFile, sketch: Sketch | None) -> int:
    """Bring what :func:`changes` gave back into the arrays; returns one past the largest row number.

    Raises:
        FormatError: the file does not fit the table.
    """
    file, end = StreamFile(path), 0
    if file.shape("record")[1:] != (rows.record.width,):
        raise FormatError(f"{path} must have records of {rows.record.width} bytes, got {file.shape('record')}.")
    for numbers, low, high, field, record in file.blocks("rows", "low", "high", "field", "record"):
        _check(path, numbers, book.most)
        book.known.low[numbers], book.known.high[numbers] = low, high
        book.field[numbers] = field
        rows.write(numbers.astype(np.int64), record)
        end = max(end, int(numbers[-1]) + 1)
    if len(book.count) and "used" in file:
        for numbers, seen, count in file.blocks("used", "seen", "count"):
            _check(path, numbers, book.most)
            book.seen[numbers], book.count[numbers] = seen, count
    if sketch is not None and "sketch" in file:
        sketch.counters[:] = file.array("sketch")
    return end


def _check(path: Path, numbers: Array, most: int) -> None:
    if len(numbers) and (numbers.max() >= most or (np.diff(numbers.astype(np.int64)) <= 0).any()):
        raise FormatError(f"{path} must have ascending row numbers below {most}, got others.")
