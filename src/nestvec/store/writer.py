"""What every change to a collection is made of: segments written, one transaction, one line of history, HEAD."""

from __future__ import annotations

import datetime as dt
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import apsw
import numpy as np
import xxhash

from nestvec.core.errors import CorruptError
from nestvec.core.types import Float32, Int64
from nestvec.store import layout
from nestvec.store.disk import Disk
from nestvec.store.head import Head, advance_head
from nestvec.store.ragged import Ragged, RaggedSegment, open_file, write_ragged
from nestvec.store.segment import Segment, SegmentInfo, write_segment

Block = Float32[np.ndarray, "_ d"] | Ragged
"""Values of some rows of an array: vectors, or codes."""

_SEGMENT_COLUMNS = "name, array, n, first, last, length, digest"


class Writer:
    """The writing side of a collection, for whoever holds its lock.

    Args:
        path: the folder.
        db: the connection that writes.
        disk: the file operations.
        settings: of the collection; they name the arrays and their dims.
    """

    def __init__(self, path: Path, db: apsw.Connection, disk: Disk, settings: Mapping[str, Any]) -> None:
        self.path, self.db, self.disk = path, db, disk
        self.settings = dict(settings)

    @property
    def arrays(self) -> dict[str, int]:
        """The dim of every array, by name."""
        return dict(self.settings["arrays"])

    def widths(self, array: str) -> tuple[int, ...]:
        """How many dimensions stand in each band of the segments that are written for an array."""
        return tuple((self.settings.get("bands") or {}).get(array) or (self.arrays[array],))

    def is_ragged(self, array: str) -> bool:
        """Whether the rows of an array hold several codes each; its dim is the bytes of one."""
        return array in (self.settings.get("ragged") or ())

    @property
    def generation(self) -> int:
        """How often the vectors of the whole collection were replaced."""
        return int(self.settings.get("generation", 0))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One SQLite transaction: committed and on the disk when the block ends well, undone otherwise."""
        self.disk.point("begin")
        self.db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.disk.point("commit")
            self.db.execute("COMMIT")
        except BaseException:
            if self.db.in_transaction:
                self.db.execute("ROLLBACK")
            raise
        self.disk.point("committed")

    def write_segment(self, array: str, rows: Int64[np.ndarray, " n"], blocks: Iterator[Block]) -> SegmentInfo:
        """Write and sync one segment file under a name of its own; nothing refers to it yet."""
        path = self.path / layout.SEGMENTS / f"{array}-{int(rows[0]):012d}-{secrets.token_hex(4)}.seg"
        widths, generation = self.widths(array), self.generation
        try:
            if self.is_ragged(array):
                several = cast("Iterator[Ragged]", blocks)
                return write_ragged(path, array, rows, several, width=widths[0], disk=self.disk, generation=generation)
            one = cast("Iterator[Float32[np.ndarray, '_ d']]", blocks)
            return write_segment(path, array, rows, one, widths=widths, disk=self.disk, generation=generation)
        except BaseException:
            self.disk.remove(path)  # a full disk needs the space back now
            raise

    def sync_segments(self) -> None:
        """Make the names of new segment files durable."""
        self.disk.sync(self.path / layout.SEGMENTS)

    def list_segments(self, segments: Sequence[SegmentInfo], *, instead_of: Sequence[SegmentInfo] = ()) -> None:
        """Inside a transaction: put segments on the list, and take others off it."""
        self.db.executemany("DELETE FROM segment WHERE name = ?", [(s.name,) for s in instead_of])
        rows = [(s.name, s.array, s.n, s.first, s.last, s.length, s.digest) for s in segments]
        self.db.executemany("INSERT INTO segment VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def remove_segments(self, segments: Sequence[SegmentInfo]) -> None:
        """Take files away that are off the list; readers that have them open keep them."""
        for info in segments:
            self.disk.remove(self.path / layout.SEGMENTS / info.name)

    def open_segment(self, info: SegmentInfo) -> Segment | RaggedSegment:
        """Map a segment file; see :func:`open_segment`."""
        return open_segment(self.path, info)

    def add_version(
        self, what: str, added: int, removed: int, *, last_rid: int | None = None, commit_id: str | None = None
    ) -> Head:
        """Inside a transaction: write the next line of the history, and return what HEAD must say after it."""
        parent = newest_version(self.db)
        count, last = self.db.execute("SELECT count, last_rid FROM version WHERE version = ?", (parent.version,)).get
        last = last if last_rid is None else last_rid
        count += added - removed
        at = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        line = (parent.version + 1, commit_id, at, what, last, count, added, removed)
        head = Head(parent.version + 1, xxhash.xxh3_128_digest(parent.digest + repr(line).encode()))
        values = (*line[:2], head.digest, *line[2:])
        self.db.execute("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
        return head

    def acknowledge(self, head: Head) -> None:
        """Write HEAD; what it names is committed, and from here on its loss would be noticed."""
        advance_head(self.path / layout.HEAD, head, self.disk)

    def sweep(self) -> int:
        """Remove files that no version refers to, left by an interrupted writer; return how many."""
        known = {s.name for s in segment_list(self.db)} | {f for (f,) in self.db.execute("SELECT file FROM derived")}
        folders = (self.path / layout.SEGMENTS, self.path / layout.DERIVED)
        left = [file for folder in folders for file in folder.iterdir() if file.name not in known]
        for file in left:
            self.disk.remove(file)
        return len(left)


def newest_version(db: apsw.Connection) -> Head:
    """Number and digest of the newest version in the database."""
    return Head(*db.execute("SELECT version, digest FROM version ORDER BY version DESC LIMIT 1").get)


def oldest_version(db: apsw.Connection) -> int:
    """The oldest version whose rows are all still there: the last one that gave rows up, or the first."""
    query = "SELECT coalesce(max(version), 1) FROM version WHERE what IN ('create', 'compact', 'repair', 'resize')"
    return int(db.execute(query).get)


def segment_list(db: apsw.Connection, array: str | None = None) -> list[SegmentInfo]:
    """What the database says of the segment files, in the order of their rows."""
    query = f"SELECT {_SEGMENT_COLUMNS} FROM segment WHERE :a IS NULL OR array = :a ORDER BY array, first, last"
    return [SegmentInfo(*row) for row in db.execute(query, {"a": array})]


def open_segment(path: Path, info: SegmentInfo) -> Segment | RaggedSegment:
    """Map a segment file of the collection at ``path``.

    Raises:
        CorruptError: it is missing, or damaged.
    """
    try:
        return open_file(path / layout.SEGMENTS, info)
    except FileNotFoundError as cause:
        raise CorruptError(f"{cause.filename} is missing. Run: nestvec repair {path}") from cause


def checked_values(
    segment: Segment | RaggedSegment, positions: Int64[np.ndarray, " m"] | None = None
) -> Iterator[Block]:
    """The values of a segment, or of some of its rows, in pieces, each verified before it is given out."""
    step = 4096
    count = len(segment) if positions is None else len(positions)
    for start in range(0, count, step):
        stop = min(start + step, count)
        if positions is None:
            segment.touch(start, stop)
            yield segment.take(slice(start, stop))
        else:
            some = positions[start:stop]
            segment.touch(int(some[0]), int(some[-1]) + 1)
            yield segment.take(some)
