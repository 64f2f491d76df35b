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
from nestvec.core.errors import InputError, StoreError
from nestvec.core.space import Space
from nestvec.core.types import JSON, Array, ArrayLike, Bool, Int64, Matrix
from nestvec.core.vectors import Vectors
from nestvec.tables.growing.admission import Admission
from nestvec.tables.growing.book import CHANGED, Book
from nestvec.tables.growing.commits import Committer, Listing, read_listing, whole_listing
from nestvec.tables.growing.disk import Disk, Lock, disk_errors
from nestvec.tables.growing.keys import Fingerprints, fingerprints
from nestvec.tables.growing.rows import RowFile, first_values
from nestvec.tables.growing.saving import apply, changes
from nestvec.tables.growing.spec import FIRST, NULL, UNKNOWN, GrowingSpec, Occupancy, spec_of

_MOST_FIELDS = 255
_FEW_CHANGES = 8  # files that are kept however small the table is
_BATCH = 1 << 15  # keys looked at together


class GrowingTable:
    """Keys to rows that can be learnt. Make one with :meth:`create` or :meth:`open`, in a ``with`` block.

    Row 0 stands for None and NaN, row 1 for keys that have no row of their own; both learn like any other. A key is
    known by a fingerprint of 96 bits and is not kept itself. One thread at a time may use a table.

    ``notes`` are names to JSON values that others keep with it; they are saved when it is.
    """

    def __init__(self, path: Path, spec: GrowingSpec, *, disk: Disk, lock: Lock | None) -> None:
        self.path, self.spec = path, spec
        self._disk, self._lock = disk, lock
        self._committer = Committer(path, disk)
        self._listing: Listing | None = None
        self._fields: list[str] = []
        self.notes: dict[str, JSON] = {}
        self._book = Book(spec)
        self._rows = RowFile(path, spec.record, spec.most_rows, mapped=spec.mapped_rows)
        self._admission = Admission(spec, self._book, self._fresh)
        self._identity, self._made, self._steps = uuid.uuid4().hex, int(time.time()), 0

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
            read_listing(folder)  # says now that there is no table, before a lock is made for it
            lock = Lock(folder) if write else None
            try:
                listing = whole_listing(Committer(folder, disk or Disk()), cut_back=cut_back, heal=write)
                table = cls(folder, spec_of(listing.spec, where=folder), disk=disk or Disk(), lock=lock)
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
        book, sketch = self._book, self._admission.sketch
        memory = book.nbytes + (sketch.nbytes if sketch else 0)
        held = {name: int(book.held[number]) for number, name in enumerate(self._fields)}
        disk, counted = book.used * self.spec.record.width, self._admission
        return Occupancy(len(book), book.most - FIRST, held, counted.refused, counted.expired, memory, disk)

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
        number, second = self._field(field), self._second(now)
        batches = (found.at(slice(a, a + _BATCH)) for a in range(0, len(found), _BATCH))
        parts = [self._admission.admit(batch, number, second) for batch in batches]
        return np.concatenate(parts) if parts else np.empty(0, np.int64)

    def own(self, keys: Fingerprints, *, field: str = "") -> tuple[Int64[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
        """``(rows, new)`` of different keys that get a row at once, however seldom they came.

        Row 1 where there is no room; ``new`` is True where the row was just given.
        """
        return self._admission.own(keys, self._field(field))

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
        before = None if unused_for is None else max(self._second(now) - int(unused_for), 0)
        return self._admission.expire(before=before, keep=keep)

    def _fresh(self, rows: Int64[np.ndarray, " n"], keys: Fingerprints) -> None:
        """Write the first values of rows that were just given."""
        values = first_values(keys, self.spec.dim, self.spec.spread)
        values[keys.null] = 0
        records = self.spec.record.made(values, np.zeros(len(rows), np.float32))
        order = np.argsort(rows)
        with disk_errors(self.path):
            self._rows.write(rows[order], records[order])

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

    def check_writable(self) -> None:
        """Return if the table can be saved.

        Raises:
            StoreError: it was opened for reading.
        """
        if self._lock is None:
            raise StoreError(f"{self.path} was opened for reading; open it with write=True to save.")

    def _commit(self, *, whole: bool) -> int:
        self.check_writable()
        with disk_errors(self.path):
            arrays = changes(self._book, self._rows, self._admission.sketch, whole=whole)
            self._listing = self._committer.commit(
                self._listing, self.spec.to_json(), self._state(), arrays, whole=whole
            )
        self._book.flags[: self._book.used] = 0
        return self._listing.number

    def _state(self) -> dict[str, Any]:
        sketch = self._admission.sketch
        return {
            "fields": list(self._fields), "identity": self._identity, "made": self._made, "steps": self._steps,
            "arrivals": sketch.arrivals if sketch else 0, "notes": self.notes,
        }  # fmt: skip

    def _restore(self, listing: Listing) -> None:
        state = cast("dict[str, Any]", dict(listing.state))
        self._fields, self.notes = list(state["fields"]), dict(state.get("notes", {}))
        self._identity, self._made, self._steps = state["identity"], state["made"], state["steps"]
        sketch = self._admission.sketch
        if sketch is not None:
            sketch.arrivals = state["arrivals"]
        ends = [apply(self.path / change.file, self._book, self._rows, sketch) for change in listing.changes]
        if not ends:  # cut back to nothing: the rows of nobody start again
            self._fresh(np.arange(FIRST), Fingerprints(np.zeros(FIRST, np.uint64), np.zeros(FIRST, np.uint32)))
        self._book.restored(max([FIRST, *ends]))
        if not ends:
            self._book.flags[:FIRST] |= CHANGED
        self._listing = listing
