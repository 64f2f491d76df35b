"""Making a damaged collection usable again, keeping every byte that is still good and deleting none that is not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import numpy as np

from nestvec.core.errors import CorruptError, NestvecError, StoreError
from nestvec.core.types import JSON, Int64
from nestvec.store import derived, layout, pages
from nestvec.store.disk import Disk, storage_errors
from nestvec.store.head import Head, create_head, newest, read_head
from nestvec.store.lock import WriterLock
from nestvec.store.ragged import open_file, recover_file
from nestvec.store.schema import FORMAT, LEXICON, TABLES, connect, disconnect, from_row
from nestvec.store.segment import SegmentInfo
from nestvec.store.writer import Writer, newest_version, segment_list

_ROW = "rid, id, title, text, meta, parent, place, digest, born, died"


@dataclass
class Repair:
    """What a repair did.

    Args:
        actions: one sentence each, in the order in which they were done.
        quarantined: files moved into ``quarantine/``.
        lost_rows: rows whose text could not be read any more.
        missing: by array, how many rows have lost their vector and need to be encoded again.
    """

    actions: list[str] = field(default_factory=list)
    quarantined: list[str] = field(default_factory=list)
    lost_rows: int = 0
    missing: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {
            "actions": list(self.actions),
            "quarantined": list(self.quarantined),
            "lost_rows": self.lost_rows,
            "missing": dict(self.missing),
        }


def repair(path: str | Path, *, disk: Disk | None = None) -> Repair:
    """Bring a collection into a state that opens and verifies, and say what was done and what is lost.

    A damaged segment goes to ``quarantine/`` and the rows of its good blocks into a new one. A database with
    damaged pages goes there too, and the rows that can still be read into a new one; older versions are
    given up then. Derived files that are damaged are taken off the list. Rows without vectors remain, with
    their text: encode them again (``Collection.repair`` does).

    Raises:
        NoCollectionError: there is no collection at ``path``.
        LockedError: somebody is writing to it.
        CorruptError: ``collection.json`` itself is damaged; it never changes, so restore it from any copy.
    """
    path, disk = Path(path), disk or Disk()
    settings = layout.read_settings(path, write=True)
    done = Repair()
    lock = WriterLock(path / layout.LOCK)
    try:
        with storage_errors(path):
            writer = _open_database(path, settings, disk, done)
            try:
                _repair_segments(writer, done)
                _repair_derived(writer, done)
                _repair_head(writer, done)
                layout.copy_settings(path, writer.settings, disk)
                done.missing = {a: len(m) for a in writer.arrays if len(m := missing_rows(writer.db, writer.path, a))}
            finally:
                disconnect(writer.db)
    finally:
        lock.release()
    return done


def missing_rows(db: apsw.Connection, path: Path, array: str) -> Int64[np.ndarray, " m"]:
    """Row ids of living rows that have no vector in ``array``, ascending."""
    alive = np.fromiter((r for (r,) in db.execute("SELECT rid FROM row WHERE died IS NULL ORDER BY rid")), np.int64)
    rows = [open_file(path / layout.SEGMENTS, info).rows for info in segment_list(db, array)]
    return np.setdiff1d(alive, np.concatenate([np.zeros(0, np.int64), *rows]), assume_unique=True)


def _open_database(path: Path, created: dict[str, JSON], disk: Disk, done: Repair) -> Writer:
    file = path / layout.DATABASE
    head = newest(read_head(path / layout.HEAD))
    try:
        with storage_errors(path):
            db = connect(file, write=True)
            try:
                sound = _is_sound(db, path, head)
            except BaseException:
                disconnect(db)
                raise
        if sound:
            return Writer(path, db, disk, layout.settings_in(db) or created)
        disconnect(db)
    except StoreError as cause:
        done.actions.append(f"{layout.DATABASE} cannot be opened: {cause}")
    broken = _quarantine(path, file, disk, done)
    for suffix in ("-wal", "-shm"):
        if (extra := path / (layout.DATABASE + suffix)).exists():
            disk.move(extra, broken.with_name(broken.name + suffix))
    fresh = connect(file, write=True)
    with fresh:
        fresh.execute(TABLES)
        fresh.execute(LEXICON)
        fresh.pragma("user_version", FORMAT)
        if (settings := _last_settings(broken)) is not None:
            layout.put_settings(fresh, settings)
    writer = Writer(path, fresh, disk, settings or created)
    _salvage(writer, broken, head, done)
    return writer


def _is_sound(db: apsw.Connection, path: Path, head: Head | None) -> bool:
    layout.check_format(db, path)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    whole = [line for (line,) in db.execute("PRAGMA integrity_check")] == ["ok"]
    complete = head is None or newest_version(db).version >= head.version
    return whole and complete and not list(pages.damaged_pages(path / layout.DATABASE))


def _salvage(writer: Writer, broken: Path, head: Head | None, done: Repair) -> None:
    """Copy what can still be read into the new database."""
    saved = lost = 0
    with writer.transaction():
        for row in _readable_rows(broken):
            try:
                record = from_row(row[1:7])
                writer.db.execute("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", row[:9])
            except (apsw.ConstraintError, NestvecError, ValueError):
                lost += 1
                continue
            words = (row[0], record.text, record.title)
            writer.db.execute("INSERT INTO lexicon (rowid, text, title) VALUES (?, ?, ?)", words)
            saved += 1
        found = [i for f in sorted((writer.path / layout.SEGMENTS).glob("*.seg")) if (i := recover_file(f))]
        listed = _without_overlap(writer, found)
        writer.list_segments(listed)
        last_rid = max([info.last for info in listed] + [int(writer.db.execute("SELECT max(rid) FROM row").get or 0)])
        version = max(head.version if head else 0, int(writer.db.execute("SELECT max(born) FROM row").get or 0)) + 1
        digest = head.digest if head else bytes(16)
        at = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime())
        line = (version, None, digest, at, "repair", last_rid, saved, saved, lost)
        writer.db.execute("INSERT INTO version VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", line)
    done.lost_rows += max(lost, _last_count(broken) - saved)
    done.actions.append(f"a new {layout.DATABASE} was made from {saved} rows that could be read")


def _readable_rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """Living rows of a damaged database, found by row id, stepping over pages that cannot be read."""
    # a page that does not match its checksum raises, so what comes back is what was written
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=pages.register())
        top = db.execute("SELECT max(rid) FROM row").get or 0
    except apsw.Error:
        return
    start, step = 1, 4096
    while start <= top:
        try:
            query = f"SELECT {_ROW} FROM row NOT INDEXED WHERE rid BETWEEN ? AND ? AND died IS NULL ORDER BY rid"
            rows = db.execute(query, (start, start + step - 1)).fetchall()
        except apsw.Error:
            if step > 1:
                step //= 2
                continue
            rows = []
        yield from rows
        start += step
        step = min(step * 2, 4096)
    disconnect(db)


def _last_settings(path: Path) -> dict[str, JSON] | None:
    """The settings in a damaged database; None if there are none, or they cannot be read either."""
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=pages.register())
        return dict(json.loads(db.execute("SELECT json FROM settings").get))
    except (apsw.Error, TypeError, ValueError):
        return None


def _last_count(path: Path) -> int:
    """How many rows a damaged database says it held; 0 if that cannot be read either."""
    try:
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=pages.register())
        return int(db.execute("SELECT count FROM version ORDER BY version DESC LIMIT 1").get or 0)
    except apsw.Error:
        return 0


def _without_overlap(writer: Writer, found: list[SegmentInfo]) -> list[SegmentInfo]:
    """Of segments that hold the same rows (a merge was interrupted, say) the longer; the others stay where they are.

    Segments of another dim, or of another generation, are of vectors that a resize replaced or had not yet.
    """
    kept: list[SegmentInfo] = []
    seen = {name: np.zeros(0, np.int64) for name in writer.arrays}
    for info in sorted(found, key=lambda i: -i.n):
        segment = open_file(writer.path / layout.SEGMENTS, info)
        same = sum(segment.widths) == writer.arrays.get(info.array) and segment.generation == writer.generation
        if same and not np.isin(segment.rows, seen[info.array]).any():
            seen[info.array] = np.concatenate([seen[info.array], segment.rows])
            kept.append(info)
    return kept


def _repair_segments(writer: Writer, done: Repair) -> None:
    known = np.fromiter((rid for (rid,) in writer.db.execute("SELECT rid FROM row ORDER BY rid")), np.int64)
    for info in segment_list(writer.db):
        path = writer.path / layout.SEGMENTS / info.name
        try:
            segment = open_file(path.parent, info)
            orphans = np.flatnonzero(~np.isin(segment.rows, known))
            bad = np.union1d(segment.bad_positions(), orphans)
        except FileNotFoundError:
            done.actions.append(f"segments/{info.name} is missing; its {info.n} rows have lost their vectors")
            _swap(writer, info, [])
            continue
        except NestvecError as cause:
            done.actions.append(f"segments/{info.name} cannot be read: {cause}")
            _swap(writer, info, [])
            _quarantine(writer.path, path, writer.disk, done)
            continue
        if len(bad):
            good = np.setdiff1d(np.arange(len(segment)), bad)
            kept = []
            if len(good):
                blocks = (segment.take(good[i : i + 4096]) for i in range(0, len(good), 4096))
                kept = [writer.write_segment(info.array, np.asarray(segment.rows[good]), blocks)]
                writer.sync_segments()
            _swap(writer, info, kept)
            _quarantine(writer.path, path, writer.disk, done)
            done.actions.append(f"segments/{info.name}: kept the vectors of {len(good)} rows, lost those of {len(bad)}")


def _swap(writer: Writer, old: SegmentInfo, new: list[SegmentInfo]) -> None:
    with writer.transaction():
        writer.list_segments(new, instead_of=[old])


def _repair_derived(writer: Writer, done: Repair) -> None:
    for name, file in derived.names(writer.db):
        try:
            derived.get(writer.db, writer.path, name)
        except CorruptError:
            with writer.transaction():
                writer.db.execute("DELETE FROM derived WHERE name = ?", (name,))
            with suppress(FileNotFoundError):
                _quarantine(writer.path, writer.path / layout.DERIVED / file, writer.disk, done)
            done.actions.append(f"derived/{file} is taken off the list; it will be made again when it is needed")


def _repair_head(writer: Writer, done: Repair) -> None:
    current = newest_version(writer.db)
    slots = read_head(writer.path / layout.HEAD)
    if None in slots or newest(slots) != current:
        create_head(writer.path / layout.HEAD, current, writer.disk)
        done.actions.append(f"{layout.HEAD} is written anew for version {current.version}")


def _quarantine(path: Path, file: Path, disk: Disk, done: Repair) -> Path:
    (path / layout.QUARANTINE).mkdir(exist_ok=True)
    to = path / layout.QUARANTINE / f"{time.strftime('%Y%m%dT%H%M%S')}-{time.monotonic_ns() % 10**6:06d}-{file.name}"
    disk.move(file, to)
    disk.sync(path / layout.QUARANTINE)
    disk.sync(file.parent)
    done.quarantined.append(to.name)
    return to
