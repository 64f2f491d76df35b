"""The tables of ``space.db``, and how a connection to it is made."""

from __future__ import annotations

import ctypes
import json
import zlib
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from nestvec.core.errors import InputError
from nestvec.core.record import Place, Record
from nestvec.store import pages

FORMAT = 1
RESIZED = 2
"""``user_version`` of a database that holds settings of its own, newer than those in ``collection.json``."""
_APPLICATION = 0x6E767631  # "nvv1", so that `file` and SQLite's tools know whose database this is

TABLES = """
CREATE TABLE row (
    rid    INTEGER PRIMARY KEY,  -- never used twice
    id     TEXT NOT NULL,
    title  TEXT,
    text   BLOB,                 -- TEXT, or zlib where that is smaller; any other affinity makes 7 of '007'
    meta   TEXT NOT NULL,        -- JSON object
    parent TEXT,                 -- NULL: the row is a whole document
    place  TEXT,                 -- JSON [start, end, number, heading]
    digest BLOB NOT NULL,        -- xxh3-128 of what the encoder read
    born   INTEGER NOT NULL,     -- version that added it
    died   INTEGER               -- version that took it away
);
CREATE UNIQUE INDEX row_id ON row(id) WHERE died IS NULL;
CREATE INDEX row_parent ON row(parent) WHERE parent IS NOT NULL AND died IS NULL;
CREATE INDEX row_died ON row(died) WHERE died IS NOT NULL;
CREATE TABLE segment (
    name   TEXT PRIMARY KEY,
    array  TEXT NOT NULL,
    n      INTEGER NOT NULL,
    first  INTEGER NOT NULL,
    last   INTEGER NOT NULL,
    length INTEGER NOT NULL,
    digest BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE version (
    version   INTEGER PRIMARY KEY,
    commit_id TEXT UNIQUE,
    digest    BLOB NOT NULL,     -- chained: it covers the digest of the version before
    at        TEXT NOT NULL,     -- UTC, ISO 8601
    what      TEXT NOT NULL,     -- create, commit, compact, repair, settings, resize
    last_rid  INTEGER NOT NULL,
    count     INTEGER NOT NULL,  -- rows alive in this version
    added     INTEGER NOT NULL,
    removed   INTEGER NOT NULL
);
CREATE TABLE derived (
    name    TEXT PRIMARY KEY,
    file    TEXT NOT NULL,
    length  INTEGER NOT NULL,
    digest  BLOB NOT NULL,       -- xxh3-128 of the file
    version INTEGER NOT NULL,    -- of the collection when it was made
    info    TEXT NOT NULL        -- JSON object, its maker's business
) WITHOUT ROWID;
"""
LEXICON = """
-- text comes first because positions in the first column take a byte less each: a third of the index
CREATE VIRTUAL TABLE lexicon USING fts5(
    text, title, content='', contentless_delete=1, tokenize='porter unicode61 remove_diacritics 2'
);
"""
SETTINGS_TABLE = """
CREATE TABLE IF NOT EXISTS settings (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    json TEXT NOT NULL           -- JSON object, in place of the settings in collection.json
);
"""
ROW_COLUMNS = "id, title, text, meta, parent, place"
INSERT_ROW = "INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
ALIVE = "(row.born <= :v AND (row.died IS NULL OR row.died > :v))"

MAX_ROW_BYTES = 64 << 20
"""Text and metadata of one row; a document longer than this is split before it gets here."""
_PATIENCE = 30_000  # milliseconds to wait for another connection's lock, which is held for one transaction
_COMPRESS_FROM = 128  # bytes; below it zlib rarely wins


def connect(path: Path, *, write: bool) -> apsw.Connection:
    """Open ``space.db`` with page checksums; a folder that cannot be written to is read all the same.

    Raises:
        apsw.Error: as SQLite reports it.
    """
    vfs = pages.register()
    if write:
        db = _open(str(path), apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE, vfs)
        if db.pragma("page_count") == 0:
            room = ctypes.c_int(pages.RESERVED)  # Connection.reserve_bytes came only with apsw 3.53
            db.file_control("main", apsw.SQLITE_FCNTL_RESERVE_BYTES, ctypes.addressof(room))
            db.pragma("page_size", pages.PAGE)
            db.pragma("auto_vacuum", 2)  # incremental: compaction gives space back in steps
            db.pragma("application_id", _APPLICATION)
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", 2)  # FULL: a commit is on the disk when it returns
        db.pragma("secure_delete", 1)  # deleted text is overwritten, not left in free pages
        db.pragma("journal_size_limit", 64 << 20)
    else:
        db = _connect_reader(path, vfs)
    db.pragma("cache_size", -32_768)  # KiB
    return db


def _connect_reader(path: Path, vfs: str) -> apsw.Connection:
    try:
        # opened for writing where possible, so that the last to close can fold the log into the database
        db = _open(str(path), apsw.SQLITE_OPEN_READWRITE, vfs)
        db.pragma("query_only", 1)
        db.pragma("schema_version")  # the first read is what needs the shared-memory file
    except (apsw.CantOpenError, apsw.ReadOnlyError):
        log = path.with_name(path.name + "-wal")
        if not path.exists() or (log.exists() and log.stat().st_size):
            raise
        # a read-only folder and no log to replay: nobody can be writing, so no locks are needed
        uri = f"file:{str(path).replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?immutable=1"
        db = _open(uri, apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI, vfs)
        db.pragma("schema_version")
    return db


def _open(name: str, flags: int, vfs: str) -> apsw.Connection:
    """A connection that waits for locks from its first statement on: others may be replaying the log just then."""
    db = apsw.Connection(name, flags=flags, vfs=vfs)
    db.set_busy_timeout(_PATIENCE)
    return db


def fold_log(db: apsw.Connection) -> None:
    """Write the log back into the database and empty it, as far as readers of older versions allow, without waiting."""
    db.set_busy_timeout(0)
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    db.set_busy_timeout(_PATIENCE)


def disconnect(db: apsw.Connection) -> None:
    """Close a connection, giving up what transaction it may be in."""
    # a connection to a read-only file fails to lock it for the last checkpoint; SQLite itself ignores that
    with suppress(apsw.IOError):
        db.close()


def to_row(record: Record, rid: int, version: int) -> tuple[Any, ...]:
    """The values of :data:`INSERT_ROW` for a record.

    Raises:
        InputError: its metadata is not JSON, or its text is not Unicode, or both are too large.
    """
    try:
        meta = json.dumps(dict(record.metadata), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        raw = record.text.encode()
        where = record.place and [record.place.start, record.place.end, record.place.number, [*record.place.heading]]
        place = json.dumps(where, ensure_ascii=False, separators=(",", ":")) if where else None
        parent = record.place.parent if record.place and record.place.parent != record.id else None
        ((place or "") + (parent or "")).encode()
        size = len(raw) + len(meta.encode()) + len(record.title.encode()) + len(record.id.encode())
        _check_json(record.metadata)
    except (TypeError, ValueError, RecursionError) as cause:
        raise InputError(
            f"a record must have valid Unicode text and metadata of plain JSON values, got {cause} in {record.id!r}."
        ) from cause
    if size > MAX_ROW_BYTES:
        raise InputError(f"a record may take at most {MAX_ROW_BYTES} bytes, got {size} in {record.id!r}; split it.")
    packed: str | bytes = record.text
    if len(raw) >= _COMPRESS_FROM:
        squeezed = zlib.compress(raw, 6)
        packed = squeezed if len(squeezed) < len(raw) else packed
    return rid, record.id, record.title or None, packed, meta, parent, place, record.digest, version


def from_row(row: tuple[Any, ...]) -> Record:
    """The record in the columns :data:`ROW_COLUMNS`."""
    id_, title, text, meta, parent, place = row
    where = None
    if place is not None:
        start, end, number, heading = json.loads(place)
        where = Place(parent or id_, start, end, tuple(heading), number)
    body = zlib.decompress(text).decode() if isinstance(text, bytes) else text
    return Record(id_, body, json.loads(meta), title or "", where)


def is_unicode(text: str) -> bool:
    """Whether SQLite can be asked for it: half a surrogate pair is in no collection, and cannot be bound."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_json(value: object) -> None:
    """Refuse what JSON can write but not give back the same: keys that are no strings, integers past 64 bits."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise TypeError(f"the field name {name!r}, which is not a string,")
            _check_json(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            _check_json(inner)
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(f"the integer {value}, which does not fit into 64 bits,")
