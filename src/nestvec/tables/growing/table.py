"""A table that grows with the keys that come: no fitting, no collisions, bounded memory, nothing saved is lost."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, cast

import numpy as np
import xxhash

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import CorruptError, FormatError, InputError, StoreError
from nestvec.core.space import Space
from nestvec.core.types import Array, ArrayLike, Bool, Int64, Matrix
from nestvec.core.vectors import Vectors
from nestvec.tables.growing.book import CHANGED, Book
from nestvec.tables.growing.commits import LISTS, Committer, Listing, check_changes, read_listing
from nestvec.tables.growing.disk import Disk, Lock, disk_errors
from nestvec.tables.growing.keys import Fingerprints, fingerprints
from nestvec.tables.growing.rows import RowFile, first_values
from nestvec.tables.growing.saving import apply, changes
from nestvec.tables.growing.sketch import Sketch
from nestvec.tables.growing.spec import FIRST, NULL, UNKNOWN, GrowingSpec, Occupancy

_MOST_FIELDS = 255
_MADE_ROOM = 0.1  # of the rows: what goes at a time where the least used make room
_FEW_CHANGES = 8  # files that are kept however small the table is
_BATCH = 1 << 15  # keys looked at together


class GrowingTable:
    """Keys to rows that can be learnt. Make one with :meth:`create` or :meth:`open`, in a ``with`` block.

    Row 0 stands for None and NaN, row 1 for keys that have no row of their own; both learn like any other. A key is
    known by a fingerprint of 96 bits and is not kept itself. One thread at a time may use a table.
    """

    def __init__(self, path: Path, spec: GrowingSpec, *, disk: Disk, lock: Lock | None) -> None:
        self.path, self.spec = path, spec
        self._disk, self._lock = disk, lock
        self._committer = Committer(path, disk)
        self._listing: Listing | None = None
        self._fields: list[str] = []
        self._book = Book(spec)
        self._rows = RowFile(path, spec.record, spec.most_rows, mapped=spec.mapped_rows)
        self._sketch = Sketch.empty(spec.sketch_bytes) if spec.admit_after > 1 else None
        self._identity, self._made, self._steps = uuid.uuid4().hex, int(time.time()), 0
        self._refused = self._expired = 0

    @classmethod
    def create(cls, path: str | Path, spec: GrowingSpec, *, disk: Disk | None = None) -> GrowingTable:
        """Make an empty table in a new or empty folder; it is on the disk when this returns.

        Raises:
            InputError: the folder has something in it.
            DiskError: it cannot be written.
        """
        folder = Path(path)
        with disk_errors(folder):
            if folder.exists() and any(folder.iterdir()):
                raise InputError(f"a table must be made in a new or empty folder, got {folder} with files. Open it.")
            folder.mkdir(parents=True, exist_ok=True)
            table = cls(folder, spec, disk=disk or Disk(), lock=Lock(folder))
            table._fresh(np.arange(FIRST), Fingerprints(np.zeros(FIRST, np.uint64), np.zeros(FIRST, np.uint32)))
            table._book.flags[:FIRST] |= CHANGED
            table.save()
        return table

    @classmethod
    def open(
        cls, path: str | Path, *, write: bool = True, cut_back: bool = False, disk: Disk | None = None
    ) -> GrowingTable:
        """Open a table; every byte of it is checked.

        Args:
            path: its folder.
            write: take the writer's lock; without it nothing can be saved, and any number may read.
            cut_back: where a file is damaged, go back to the last commit before it, move what is after it aside, and
                warn, instead of refusing to open.
            disk: the steps of writing.

        Raises:
            NoCollectionError: there is no table.
            CorruptError: a file is damaged.
            FormatError: a later nestvec wrote it.
            LockedError: another process has it open for writing.
        """
        folder = Path(path)
        if cut_back and not write:
            raise InputError("cut_back changes the table, so it must be opened with write=True.")
        with disk_errors(folder):
            listing = read_listing(folder)
            lock = Lock(folder) if write else None
            try:
                listing = _whole(folder, Committer(folder, disk or Disk()), cut_back=cut_back, heal=write)
                table = cls(folder, _spec(listing, folder), disk=disk or Disk(), lock=lock)
                table._restore(listing)
            except BaseException:
                if lock is not None:
                    lock.release()
                raise
        return table

    def close(self) -> None:
        """Give memory, disk and lock back; what was not saved is gone. Calling it twice is allowed."""
        self._rows.close()
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> GrowingTable:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._book)

    def __repr__(self) -> str:
        return f"GrowingTable({str(self.path)!r}, {self.occupancy})"

    # ------------------------------------------------------------------ keys

    @property
    def fields(self) -> tuple[str, ...]:
        """Fields of which a key came, in the order in which they came."""
        return tuple(self._fields)

    @property
    def occupancy(self) -> Occupancy:
        """How full it is, field by field."""
        book = self._book
        memory = book.nbytes + (self._sketch.nbytes if self._sketch else 0)
        held = {name: int(book.held[number]) for number, name in enumerate(self._fields)}
        disk = book.used * self.spec.record.width
        return Occupancy(len(book), book.most - FIRST, held, self._refused, self._expired, memory, disk)

    def fingerprints(self, keys: Sequence[Any] | Array, *, field: str = "") -> Fingerprints:
        """What the table knows keys by; see :func:`~nestvec.tables.growing.keys.fingerprints`."""
        return fingerprints(keys, field=field, seed=self.spec.seed)

    def lookup(self, keys: Sequence[Any] | Array | Fingerprints, *, field: str = "") -> Int64[np.ndarray, " n"]:
        """``[n]`` keys -> ``[n]`` row numbers: 0 for None and NaN, 1 for a key without a row. Changes nothing.

        Raises:
            InputError: a key is of a type that cannot be one.
        """
        found = keys if isinstance(keys, Fingerprints) else self.fingerprints(keys, field=field)
        rows = self._book.find(found)
        rows[rows < 0] = UNKNOWN
        rows[found.null] = NULL
        return rows

    def admit(
        self, keys: Sequence[Any] | Array | Fingerprints, *, field: str = "", now: float | None = None
    ) -> Int64[np.ndarray, " n"]:
        """As :meth:`lookup`, but a key that has come often enough gets a row, and the use of rows is noted.

        A new row starts from values that depend on its key alone. Rows are given out in the order in which keys first
        come.

        Args:
            keys: ``[n]``.
            field: they belong to; at most 255 in a table.
            now: seconds since 1970, for expiry; the clock's by default.

        Raises:
            InputError: a key is of a type that cannot be one, or there are too many fields.
            DiskError: there is no room on the disk for new rows; none of them was given.
        """
        found = keys if isinstance(keys, Fingerprints) else self.fingerprints(keys, field=field)
        number = self._field(field)
        parts = [self._admit(found.at(slice(a, a + _BATCH)), number, now) for a in range(0, len(found), _BATCH)]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def own(self, keys: Fingerprints, *, field: str = "") -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """``(rows, new)`` of different keys that get a row at once, however seldom they came.

        Row 1 where there is no room; ``new`` is True where the row was just given.
        """
        number = self._field(field)
        self._make_room(int(np.count_nonzero(self._book.find(keys) < 0)))
        rows = self._book.find(keys)  # making room may have taken some away
        wanted = np.flatnonzero(rows < 0)
        self._refused += max(len(wanted) - self._book.room, 0)
        new = np.zeros(len(rows), bool)
        new[wanted[: self._book.room]] = True
        rows[wanted] = UNKNOWN
        if new.any():
            rows[new] = self._owned(keys.at(new), number)
        return rows, new

    def owners(self) -> Iterator[tuple[Fingerprints, Array, Int64[np.ndarray, " m"]]]:
        """``(keys, numbers of fields, rows)`` of all rows that belong to a key, ascending, some thousand at a time."""
        for rows in self._book.blocks():
            yield self._book.known.at(rows), self._book.field[rows], rows

    def expire(self, *, unused_for: float | None = None, keep: int | None = None, now: float | None = None) -> int:
        """Take rows away, and return how many; their keys are new keys when they come again.

        Args:
            unused_for: seconds; rows that were last used longer ago go.
            keep: rows that may stay; beyond them those go that were used least, of those the ones used longest ago.
            now: seconds since 1970; the clock's by default.

        Raises:
            InputError: the table was made without ``expiry``.
        """
        if not self.spec.expiry:
            raise InputError("a table must be made with expiry=True to forget rows; this one does not note their use.")
        gone = 0
        if unused_for is not None:
            old = self._book.older_than(max(self._second(now) - int(unused_for), 0))
            gone += self._take_away(old)
        if keep is not None and len(self) > keep:
            gone += self._take_away(self._book.least_used(len(self) - keep))
        self._expired += gone
        return gone

    def _admit(self, keys: Fingerprints, field: int, now: float | None) -> Int64[np.ndarray, " n"]:
        rows = self._book.find(keys)
        rows[keys.null] = NULL
        new = np.flatnonzero(rows < 0)
        if len(new):
            rows[new] = self._given(keys.at(new), field)
        if self.spec.expiry:
            used, times = np.unique(rows[rows >= FIRST], return_counts=True)
            self._book.note(used, times, self._second(now))
        return rows

    def _given(self, keys: Fingerprints, field: int) -> Int64[np.ndarray, " n"]:
        """Rows of keys that have none: new ones where they are due, else that of unknown keys."""
        first, which, times = keys.distinct()
        due = np.ones(len(first), bool)
        if self._sketch is not None:
            due = self._sketch.add(keys.at(first), times) >= self.spec.admit_after
        order = np.flatnonzero(due)
        order = order[np.argsort(first[order])]
        self._make_room(len(order))
        self._refused += max(len(order) - self._book.room, 0)
        order = order[: self._book.room]
        rows = np.full(len(first), UNKNOWN, np.int64)
        if len(order):
            rows[order] = self._owned(keys.at(first[order]), field)
        found: Int64[np.ndarray, " n"] = rows[which]
        return found

    def _owned(self, keys: Fingerprints, field: int) -> Int64[np.ndarray, " n"]:
        rows = self._book.give(keys, field)
        try:
            self._fresh(rows, keys)
        except OSError:
            self._book.take_away(rows)
            raise
        return rows

    def _fresh(self, rows: Int64[np.ndarray, " n"], keys: Fingerprints) -> None:
        values = first_values(keys, self.spec.dim, self.spec.spread)
        values[keys.null] = 0
        records = self.spec.record.made(values, np.zeros(len(rows), np.float32))
        order = np.argsort(rows)
        with disk_errors(self.path):
            self._rows.write(rows[order], records[order])

    def _make_room(self, wanted: int) -> None:
        book = self._book
        if self.spec.full == "least_used" and wanted > book.room:
            tenth = int(_MADE_ROOM * (book.most - FIRST))
            self._expired += self._take_away(book.least_used(max(wanted - book.room, tenth)))
            book.count >>= 1  # so that what was used much long ago can go as well

    def _take_away(self, rows: Int64[np.ndarray, " m"]) -> int:
        if len(rows):
            self._book.take_away(rows)
        return len(rows)

    def _field(self, name: str) -> int:
        if name not in self._fields:
            if len(self._fields) == _MOST_FIELDS:
                raise InputError(f"a table must have at most {_MOST_FIELDS} fields, got one more: {name!r}.")
            self._fields.append(name)
        return self._fields.index(name)

    def _second(self, now: float | None) -> int:
        return max(int((time.time() if now is None else now) - self._made), 0)

    # ------------------------------------------------------------------ values

    @property
    def space(self) -> Space:
        """The space of its rows; another one after every step of training, for rows of before and after differ."""
        weights = xxhash.xxh3_128_hexdigest(f"{self._identity}\0{self._steps}".encode())
        return Space(self.path.name or "table", weights, "row", self.spec.dim, metric="cosine", unit=False)

    def values(self, rows: Int64[np.ndarray, " n"]) -> Matrix:
        """``[n]`` row numbers -> ``[n, dim]`` float32.

        Raises:
            InputError: there is no such row.
        """
        self._check_rows(rows)
        return self.spec.record.values(self._rows.take(rows))

    def vectors(self, keys: Sequence[Any] | Array, *, field: str = "") -> Vectors:
        """``[n]`` keys -> the values of their rows, as vectors that a collection takes."""
        return Vectors(self.values(self.lookup(keys, field=field)), self.space)

    def put(self, rows: Int64[np.ndarray, " n"], values: ArrayLike) -> None:
        """Give different rows new values ``[n, dim]``; what training keeps of them starts again.

        Raises:
            InputError: there is no such row, or one comes twice.
            ShapeError, NotFiniteError: see :func:`~nestvec.core.as_matrix`.
        """
        self._check_rows(rows)
        values = as_matrix(values, name="values", dim=self.spec.dim)
        different, order = np.unique(rows, return_index=True)
        if len(different) != len(rows) or len(rows) != len(values):
            raise InputError(f"rows must be different and as many as values, got {len(rows)} and {len(values)}.")
        self._write(different, self.spec.record.made(values[order], np.zeros(len(rows), np.float32)))

    def learn(
        self, rows: Int64[np.ndarray, " n"], gradients: ArrayLike, *, rate: float = 0.05, eps: float = 1e-8
    ) -> None:
        """One step of row-wise Adagrad: ``a += mean(g^2)``, ``v -= rate * g / (sqrt(a) + eps)``.

        Gradients of a row that comes several times are added up first. Rows that do not come do not change.

        Args:
            rows: ``[n]``.
            gradients: ``[n, dim]``.
            rate: of learning.
            eps: see the formula.

        Raises:
            InputError: there is no such row.
            ShapeError, NotFiniteError: see :func:`~nestvec.core.as_matrix`.

        Source: Duchi et al. 2011, eq. 1 (JMLR 12), with one accumulator a row as in Mudigere et al. 2022,
        sec. 4.1 (arXiv:2104.05158).
        """
        self._check_rows(rows)
        gradients = as_matrix(gradients, name="gradients", dim=self.spec.dim)
        if len(gradients) != len(rows):
            raise InputError(f"there must be one gradient a row, got {len(gradients)} for {len(rows)}.")
        if not len(rows):
            return
        order = np.argsort(rows, kind="stable")
        different, starts = np.unique(rows[order], return_index=True)
        total = np.add.reduceat(gradients[order], starts, axis=0)
        record = self.spec.record
        old = self._rows.take(different)
        state = record.state(old) + np.square(total).mean(axis=1)
        values = record.values(old) - np.float32(rate) * total / (np.sqrt(state) + np.float32(eps))[:, None]
        rng = np.random.default_rng((self.spec.seed, self._steps))
        self._write(different, record.made(values.astype(np.float32), state, rng=rng))

    def _write(self, rows: Int64[np.ndarray, " n"], records: Array) -> None:
        with disk_errors(self.path):
            self._rows.write(rows, records)
        self._book.flags[rows] |= CHANGED
        self._steps += 1

    def _check_rows(self, rows: Int64[np.ndarray, " n"]) -> None:
        if len(rows) and not 0 <= rows.min() <= rows.max() < self._book.used:
            raise InputError(
                f"rows must be 0 to {self._book.used - 1}, as lookup and admit give them, got {rows.min()} to "
                f"{rows.max()}."
            )

    # ------------------------------------------------------------------ on disk

    def save(self) -> int:
        """Make everything durable that changed since the last save, and return the number of the commit.

        Cost: proportional to what changed; now and then, when files of changes hold more than twice the table, all of
        it is written once.

        Raises:
            StoreError: the table was opened for reading.
            DiskError: the disk refuses; what was saved before is safe.
        """
        last = self._listing
        written = sum(change.nbytes for change in last.changes) if last else 0
        room = 2 * len(self._book) * (self.spec.record.width + 17)
        return self._commit(whole=last is not None and len(last.changes) >= _FEW_CHANGES and written > room)

    def compact(self) -> int:
        """Save all of the table in one file, and remove those before it."""
        return self._commit(whole=True)

    def _commit(self, *, whole: bool) -> int:
        if self._lock is None:
            raise StoreError(f"{self.path} was opened for reading; open it with write=True to save.")
        with disk_errors(self.path):
            arrays = changes(self._book, self._rows, self._sketch, whole=whole)
            self._listing = self._committer.commit(
                self._listing, self.spec.to_json(), self._state(), arrays, whole=whole
            )
        self._book.flags[: self._book.used] = 0
        return self._listing.number

    def _state(self) -> dict[str, Any]:
        return {
            "fields": list(self._fields), "identity": self._identity, "made": self._made, "steps": self._steps,
            "arrivals": self._sketch.arrivals if self._sketch else 0,
        }  # fmt: skip

    def _restore(self, listing: Listing) -> None:
        state = cast("dict[str, Any]", dict(listing.state))
        self._fields = list(state["fields"])
        self._identity, self._made, self._steps = state["identity"], state["made"], state["steps"]
        if self._sketch is not None:
            self._sketch.arrivals = state["arrivals"]
        ends = [apply(self.path / c.file, self._book, self._rows, self._sketch) for c in listing.changes]
        if not ends:  # cut back to nothing: the rows of nobody start again
            self._fresh(np.arange(FIRST), Fingerprints(np.zeros(FIRST, np.uint64), np.zeros(FIRST, np.uint32)))
        self._book.restored(max([FIRST, *ends]))
        if not ends:
            self._book.flags[:FIRST] |= CHANGED
        self._listing = listing


def _spec(listing: Listing, folder: Path) -> GrowingSpec:
    try:
        return GrowingSpec(**cast("dict[str, Any]", dict(listing.spec)))
    except TypeError as cause:
        raise FormatError(
            f"{folder} must describe a table that this nestvec knows, got {dict(listing.spec)}."
        ) from cause


def _whole(folder: Path, committer: Committer, *, cut_back: bool, heal: bool) -> Listing:
    """The list of a table whose files are all as they were written."""
    listing = read_listing(folder)
    while True:
        good, why = check_changes(folder, listing)
        if not why:
            break
        newer = read_listing(folder)
        if newer.number != listing.number:  # a writer put all into one file while this reader looked
            listing = newer
        elif cut_back:
            return committer.cut_back(listing, good, why)
        else:
            raise CorruptError(
                f"{why} Restore it from a backup, or open the table with cut_back=True to go back to the last commit "
                f"before it ({good} of {len(listing.changes)} files)."
            )
    if heal:
        if any(not (folder / name).is_file() or (folder / name).read_bytes() != listing.to_bytes() for name in LISTS):
            committer.write_lists(listing)
        committer.tidy(listing)
    return listing
