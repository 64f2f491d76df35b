"""A durable shelf for records and named arrays of vectors: transactional, checksummed, versioned.

It knows nothing of encoders, codecs or searches. One process at a time writes, any number read, and a
reader sees one version whole while a writer makes the next. The files are specified in
docs/format/collection-v1.md.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from nestvec.core.errors import CorruptError, InputError, StoreError, VersionError
from nestvec.core.record import Record
from nestvec.core.types import JSON, ArrayLike, Int64
from nestvec.store import derived, layout
from nestvec.store.committing import Commit, checked, commit, earlier
from nestvec.store.compact import Compaction, compact, merge_small
from nestvec.store.disk import Disk, sqlite_errors, storage_errors
from nestvec.store.head import Head, create_head, newest, read_head
from nestvec.store.lock import WriterLock
from nestvec.store.ragged import Ragged, RaggedSegment, as_block
from nestvec.store.repair import missing_rows
from nestvec.store.rewrite import Values, change_settings, rewrite
from nestvec.store.schema import connect, disconnect
from nestvec.store.segment import Segment
from nestvec.store.snapshot import Snapshot, State
from nestvec.store.writer import Writer, newest_version, oldest_version, open_segment, segment_list


@dataclass(frozen=True)
class Version:
    """One line of the history. ``at`` is UTC in ISO 8601.

    ``what`` is create, commit, compact, repair, settings (other settings, the same vectors) or resize (both are new).
    """

    version: int
    at: str
    what: str
    count: int
    added: int
    removed: int


class Store:
    """An open collection on disk. Make one with :meth:`create` or :meth:`open`; close it, or use ``with``.

    Every method may be called from several threads. Reads go through :meth:`read`; the methods that
    change something need a store opened with ``write=True``.
    """

    def __init__(self, path: Path, *, write: bool, version: int | None, disk: Disk) -> None:
        self.path = path
        self.disk = disk
        self.pinned = version
        self._created = layout.read_settings(path, write=write)
        self.settings: dict[str, JSON] = self._created
        self._lock = WriterLock(path / layout.LOCK) if write else None
        self._writing = threading.RLock()
        self._idle: list[apsw.Connection] = []  # connections for reading that no thread uses just now
        self._pool = threading.Lock()
        self._holding = threading.RLock()
        self._state: State | None = None
        self._closed = False
        self._writer: Writer | None = None
        self._held: apsw.Connection | None = None  # of a pinned version: its transaction stays open

    @classmethod
    def create(cls, path: str | Path, *, settings: Mapping[str, JSON], disk: Disk | None = None) -> Store:
        """Make an empty collection in a new or empty folder and open it for writing.

        Args:
            path: the folder; its parents are made too.
            settings: JSON about the whole collection; ``settings["arrays"]`` maps each array's name to its dim.
            disk: stands in for the disk in tests.

        Raises:
            StoreError: the folder has something in it.
            DiskError: it cannot be written.
        """
        path = Path(path)
        disk = disk or Disk()
        with storage_errors(path):
            layout.create(path, settings, disk)
        return cls.open(path, write=True, disk=disk)

    @classmethod
    def open(
        cls, path: str | Path, *, write: bool = False, version: int | None = None, disk: Disk | None = None
    ) -> Store:
        """Open a collection.

        Args:
            path: its folder.
            write: take the writer lock, and clean up after a writer that was interrupted.
            version: read this version instead of the newest; not together with ``write``.
            disk: stands in for the disk in tests.

        Raises:
            NoCollectionError: there is none at ``path``.
            FormatError: it was written by a newer nestvec.
            LockedError: somebody else is writing.
            CorruptError: the settings or HEAD are damaged, or the database lost acknowledged versions.
            VersionError: no such version, or it was compacted away.
        """
        if write and version is not None:
            raise InputError("only the newest version can be written to; leave out version or write.")
        with storage_errors(Path(path)):
            store = cls(Path(path), write=write, version=version, disk=disk or Disk())
        try:
            with storage_errors(store.path):
                store._start()
        except BaseException:
            store.close()
            raise
        return store

    def _start(self) -> None:
        if self._lock is not None:
            db = connect(self.path / layout.DATABASE, write=True)
            self._writer = Writer(self.path, db, self.disk, self.settings)
            layout.finish_creation(db, self.path, self.disk)
        with self._reader() as db:
            slots = read_head(self.path / layout.HEAD)
            self._check_head(db, newest(slots))
            current = newest_version(db)
            self.settings = layout.settings_in(db) or self.settings
        if self._writer is not None:
            self._writer.settings = self.settings
            layout.copy_settings(self.path, self.settings, self.disk)
            # an interrupted writer may have committed without writing HEAD, or have torn one slot of it
            if current not in slots or None in slots:
                create_head(self.path / layout.HEAD, current, self.disk)
            self._writer.sweep()
        if self.pinned is not None:
            self._held = self._hold()

    def _check_head(self, db: apsw.Connection, head: Head | None) -> None:
        layout.check_format(db, self.path)
        if head is None:
            raise CorruptError(f"{self.path / layout.HEAD} is damaged or missing. Run: nestvec repair {self.path}")
        there = newest_version(db).version
        if there < head.version:
            raise CorruptError(
                f"{self.path} must hold version {head.version}, which was acknowledged, but its database ends with "
                f"version {there}. Restore {layout.DATABASE} from a backup, or run: nestvec repair {self.path}"
            )

    def _hold(self) -> apsw.Connection:
        """A connection whose transaction keeps an older version readable, come what may."""
        db = connect(self.path / layout.DATABASE, write=False)
        try:
            self._begin(db)
        except BaseException:
            disconnect(db)
            raise
        return db

    def close(self) -> None:
        """Give everything back; the log is folded into the database. Calling it twice is allowed."""
        with self._writing, self._pool:
            self._closed = True
            for db in [*self._idle, *([self._held] if self._held else [])]:
                disconnect(db)
            self._idle.clear()
            self._held = None
            if self._writer is not None:
                disconnect(self._writer.db)
                self._writer = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def arrays(self) -> dict[str, int]:
        """The dim of every array, by name."""
        return dict(self.settings["arrays"])  # type: ignore[arg-type]  # checked by layout.read_settings

    # ------------------------------------------------------------------ reading

    @contextmanager
    def read(self) -> Iterator[Snapshot]:
        """The newest version, or the pinned one, unchanging until the block ends.

        Raises:
            CorruptError: a page, or the frame of a segment, is damaged.
        """
        with sqlite_errors(self.path):  # not storage_errors: the block is the caller's, who may have a disk of his own
            if self._held is not None:  # one connection, so one reader at a time
                with self._holding:
                    yield Snapshot(self._held, self._state_of(self._held))
                return
            with self._reader() as db:
                with storage_errors(self.path):
                    state = self._begin(db)
                try:
                    yield Snapshot(db, state)
                finally:
                    _end(db)

    def versions(self) -> list[Version]:
        """All versions that can be opened, oldest first."""
        with storage_errors(self.path), self._reader() as db:
            query = "SELECT version, at, what, count, added, removed FROM version WHERE version >= ? ORDER BY version"
            return [Version(*row) for row in db.execute(query, (oldest_version(db),))]

    @contextmanager
    def _reader(self) -> Iterator[apsw.Connection]:
        with self._pool:
            if self._closed:
                raise StoreError(f"{self.path} is closed; open it again.")
            db = self._idle.pop() if self._idle else None
        db = db or connect(self.path / layout.DATABASE, write=False)
        try:
            yield db
        finally:
            self._give_back(db)

    def _give_back(self, db: apsw.Connection) -> None:
        with self._pool:
            if self._closed:  # while this one was out
                disconnect(db)
            else:
                self._idle.append(db)

    def _begin(self, db: apsw.Connection) -> State:
        """Start a transaction for reading, and open what it sees."""
        while True:
            db.execute("BEGIN")
            try:
                return self._state_of(db)
            except CorruptError:
                seen = segment_list(db)
                _end(db)
                if segment_list(db) == seen:
                    raise
                # else a merge took files away after they were listed and before they were opened: look again
            except BaseException:
                _end(db)
                raise

    def _state_of(self, db: apsw.Connection) -> State:
        """The state of the version this transaction sees; files are opened once and kept."""
        current = newest_version(db).version
        version = current if self.pinned is None else self.pinned
        if not (oldest := oldest_version(db)) <= version <= current:
            raise VersionError(
                f"version must be {oldest} to {current}, got {version}. "
                "Versions before the oldest were given up when the collection was compacted."
            )
        known = self._state
        if known is not None and known.version == version:
            return known
        opened = {s.info.name: s for group in known.segments.values() for s in group} if known else {}
        groups: dict[str, list[Segment | RaggedSegment]] = {}
        for info in segment_list(db):
            groups.setdefault(info.array, []).append(opened.get(info.name) or open_segment(self.path, info))
        count, last = db.execute("SELECT count, last_rid FROM version WHERE version = ?", (version,)).get
        unborn = f"SELECT rid FROM row WHERE rid > {int(last)} UNION " if version != current else ""
        gone = db.execute(f"{unborn} SELECT rid FROM row WHERE died <= ? ORDER BY 1", (version,))
        dead = np.fromiter((rid for (rid,) in gone), np.int64)
        if any(sum(map(len, group)) != count + len(dead) for group in groups.values()):
            # a compaction is under way or was interrupted: rows are gone whose vectors are still there
            dead = np.union1d(dead, _strays(db, groups))
        held = {name: tuple(group) for name, group in groups.items()}
        state = State(version, count, last, held, dead, layout.settings_in(db) or self._created)
        self._state = state  # another thread may have made the same; either will do
        return state

    # ------------------------------------------------------------------ writing

    @property
    def writer(self) -> Writer:
        """The writing side.

        Raises:
            StoreError: the store is closed, or open for reading only.
        """
        if self._writer is None:
            how = "is closed" if self._closed else "was opened for reading"
            raise StoreError(f"{self.path} {how}; open it with write=True to change it.")
        return self._writer

    def commit(
        self,
        records: Sequence[Record] = (),
        arrays: Mapping[str, ArrayLike | Ragged] | None = None,
        *,
        remove: Iterable[str] = (),
        commit_id: str | None = None,
    ) -> Commit:
        """Add records with their vectors, and take others away, as one version; return when it is durable.

        Order: segment files, their folder, one SQLite transaction, HEAD; each synced before the next.

        Args:
            records: a record whose id is in the collection replaces the one there; of two with the same
                id in one commit the later wins.
            arrays: for every array of the collection one vector per record, ``[n, d]``, or its codes.
            remove: ids to take away; those that are not there are no error.
            commit_id: makes a retry safe: a second commit with the same id does nothing.

        Raises:
            InputError: an array is missing or unknown; a record cannot be stored.
            ShapeError, NotFiniteError: an array does not fit; see :func:`nestvec.core.as_matrix`.
            DiskError: nothing was committed; what was there before still is.
        """
        with self._writing, storage_errors(self.path):
            if commit_id is not None and (before := earlier(self.writer, commit_id)) is not None:
                return before
            result = commit(
                self.writer, *checked(self.writer, records, arrays or {}, dims=self.arrays), set(remove), commit_id
            )
            try:
                merged = merge_small(self.writer)
            except (OSError, apsw.Error):  # the commit is durable all the same, and the merge is tried after the next
                merged = True
            if merged:
                self._state = None
            return result

    def compact(self) -> Compaction:
        """Give back the space of deleted rows and small files; older versions are given up.

        Raises:
            DiskError: the collection is as it was, or partly compacted, and valid either way.
        """
        with self._writing, storage_errors(self.path):
            try:
                return compact(self.writer)
            finally:
                self._state = None

    def change_settings(self, settings: Mapping[str, JSON]) -> Version:
        """Replace the settings, as a version of its own; arrays, their dims and all vectors stay.

        Raises:
            InputError: the settings name other arrays or dims.
            DiskError: nothing was changed.
        """
        with self._writing, storage_errors(self.path):
            change_settings(self.writer, settings)
            return self._resettled()

    def rewrite(self, settings: Mapping[str, JSON], values: Mapping[str, Values]) -> Version:
        """Replace all vectors and the settings together, as one version; older versions are given up.

        Readers see the old vectors under the old settings, or the new under the new. A stop at any moment leaves
        one of the two. Rows keep their ids; dead ones are gone afterwards, and so are derived files.

        Args:
            settings: in place of the old; they may give the arrays other dims.
            values: by array: from living row ids ``[m]``, some thousand at a time, to their vectors ``[m, d]``.

        Raises:
            InputError: an array is missing or unknown.
            ShapeError, NotFiniteError: vectors do not fit.
            DiskError: nothing was changed.
        """
        with self._writing, storage_errors(self.path):
            rewrite(self.writer, settings, values)
            return self._resettled()

    def _resettled(self) -> Version:
        self.settings, self._state = self.writer.settings, None
        return self.versions()[-1]

    def missing(self, array: str) -> Int64[np.ndarray, " m"]:
        """Row ids, ascending, of living rows that have lost their vector in ``array`` to damage and repair."""
        with storage_errors(self.path), self._reader() as db:
            return missing_rows(db, self.path, array)

    def restore(self, array: str, rids: Int64[np.ndarray, " m"], values: ArrayLike | Ragged) -> None:
        """Give rows that have lost their vector a new one. Makes no version: the records are as they were.

        Args:
            array: which array.
            rids: ``[m]`` int64, ascending, out of :meth:`missing`.
            values: ``[m, d]``, or codes of ``m`` rows.

        Raises:
            InputError: one of the rows has a vector.
        """
        with self._writing, storage_errors(self.path):
            block = as_block(values, name=array, dim=self.arrays[array], ragged=self.writer.is_ragged(array))
            if len(block) != len(rids) or not np.isin(rids, self.missing(array)).all():
                raise InputError(
                    f"restore takes one vector for each missing row, got {len(block)} for {len(rids)} rows."
                )
            if not len(rids):
                return
            segment = self.writer.write_segment(array, rids, iter([block]))
            self.writer.sync_segments()
            with self.writer.transaction():
                self.writer.list_segments([segment])
            self._state = None

    # ------------------------------------------------------------------ derived files

    def put_derived(self, name: str, data: bytes | memoryview, info: Mapping[str, JSON]) -> None:
        """Keep a file that can be made again from the rest (an index, codes); it replaces the one of that name."""
        with self._writing, storage_errors(self.path):
            derived.put(self.writer, name, data, info)

    def drop_derived(self, name: str) -> None:
        """Take a derived file away. No error if there is none."""
        with self._writing, storage_errors(self.path):
            derived.drop(self.writer, name)

    def get_derived(self, name: str) -> tuple[bytes, dict[str, Any]] | None:
        """The file kept under a name, and its info; None if there is none.

        Raises:
            CorruptError: the file does not match its checksum. It can be made again.
        """
        with storage_errors(self.path), self._reader() as db:
            return derived.get(db, self.path, name)

    def derived_names(self) -> list[str]:
        """Names of all derived files, in order."""
        with storage_errors(self.path), self._reader() as db:
            return [name for name, _ in derived.names(db)]

    def derived_info(self, name: str) -> dict[str, Any] | None:
        """What is known of a derived file, without reading it; None if there is none."""
        with storage_errors(self.path), self._reader() as db:
            return derived.info(db, name)


def _end(db: apsw.Connection) -> None:
    if db.in_transaction:  # an error may have ended it
        db.execute("ROLLBACK")


def _strays(db: apsw.Connection, groups: Mapping[str, Sequence[Segment | RaggedSegment]]) -> Int64[np.ndarray, " m"]:
    """Row ids that have vectors in some segment and no row."""
    known = np.fromiter((rid for (rid,) in db.execute("SELECT rid FROM row ORDER BY rid")), np.int64)
    held = [segment.rows for group in groups.values() for segment in group]
    return np.setdiff1d(np.concatenate([np.zeros(0, np.int64), *held]), known)
