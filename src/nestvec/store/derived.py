"""Files that can be made again from the rest: kept with a checksum, replaced freely, never a reason to fail."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsw
import xxhash

from nestvec.core.errors import CorruptError, InputError
from nestvec.core.types import JSON
from nestvec.store import layout
from nestvec.store.writer import Writer, newest_version


def put(writer: Writer, name: str, data: bytes | memoryview, info: Mapping[str, JSON]) -> None:
    """Write, sync, and list a file; then take the one that it replaces away.

    Raises:
        InputError: the name is no plain word.
    """
    if not name.isidentifier():
        raise InputError(f"the name of a derived file must be a plain word, got {name!r}.")
    file = f"{name}-{secrets.token_hex(4)}.bin"
    path = writer.path / layout.DERIVED / file
    length = writer.disk.write_new(path, [data])
    writer.disk.sync(path)
    writer.disk.sync(path.parent)
    version = newest_version(writer.db).version
    old = writer.db.execute("SELECT file FROM derived WHERE name = ?", (name,)).get
    row = (name, file, length, xxhash.xxh3_128_digest(data), version, json.dumps(dict(info)))
    with writer.transaction():
        writer.db.execute("INSERT OR REPLACE INTO derived VALUES (?, ?, ?, ?, ?, ?)", row)
    if old:
        writer.disk.remove(writer.path / layout.DERIVED / old)


def drop(writer: Writer, name: str) -> None:
    """Take a file off the list, then away."""
    old = writer.db.execute("SELECT file FROM derived WHERE name = ?", (name,)).get
    if old:
        with writer.transaction():
            writer.db.execute("DELETE FROM derived WHERE name = ?", (name,))
        writer.disk.remove(writer.path / layout.DERIVED / old)


def info(db: apsw.Connection, name: str) -> dict[str, Any] | None:
    """What is known of a file, without reading it."""
    row = db.execute("SELECT length, version, info FROM derived WHERE name = ?", (name,)).get
    return None if row is None else {**json.loads(row[2]), "bytes": row[0], "version": row[1]}


def names(db: apsw.Connection) -> list[tuple[str, str]]:
    """Every derived file as ``(name, file)``."""
    return [(str(name), str(file)) for name, file in db.execute("SELECT name, file FROM derived ORDER BY name")]


def get(db: apsw.Connection, path: Path, name: str) -> tuple[bytes, dict[str, Any]] | None:
    """Read a file and compare its checksum.

    Raises:
        CorruptError: it is missing, or does not match.
    """
    query = "SELECT file, length, digest, version, info FROM derived WHERE name = ?"
    row = db.execute(query, (name,)).get
    if row is None:
        return None
    file, length, digest, version, info = row
    try:
        data = (path / layout.DERIVED / file).read_bytes()
    except FileNotFoundError:
        if db.execute(query, (name,)).get != row:  # it was replaced just now: take the one in its place
            return get(db, path, name)
        data = b""
    if len(data) != length or xxhash.xxh3_128_digest(data) != digest:
        raise CorruptError(f"{path / layout.DERIVED / file} is missing or damaged; it can be made again from the rest.")
    return data, {**json.loads(info), "version": version}
