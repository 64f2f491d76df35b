"""The folder of a collection: which files there are, how it begins, and which formats can be read."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import apsw
import xxhash

from nestvec.core.errors import CorruptError, FormatError, InputError, NoCollectionError, StoreError
from nestvec.core.types import JSON
from nestvec.store.disk import Disk
from nestvec.store.head import Head, create_head
from nestvec.store.schema import FORMAT, LEXICON, RESIZED, SETTINGS_TABLE, TABLES

SETTINGS = "collection.json"
DATABASE = "space.db"
HEAD = "HEAD"
LOCK = "writer.lock"
SEGMENTS = "segments"
DERIVED = "derived"
QUARANTINE = "quarantine"

BANDS = "bands"
"""Segments whose leading dimensions stand apart from the others."""
_MOST_BANDS = 16  # their widths have to find room in the header of a segment
RAGGED = "ragged"
"""Segments whose rows hold several codes each."""
FEATURES: frozenset[str] = frozenset({BANDS, RAGGED})
"""Names of additions to format 1 that this nestvec knows. A file that lists another one is refused."""


def create(path: Path, settings: Mapping[str, JSON], disk: Disk) -> None:
    """Lay out an empty collection. ``collection.json`` comes last: without it there is no collection yet.

    Raises:
        InputError: the settings do not name their arrays.
        StoreError: the folder has something in it.
    """
    check_arrays(settings)
    path.mkdir(parents=True, exist_ok=True)
    strangers = [p for p in path.iterdir() if p.name not in (SEGMENTS, DERIVED, QUARANTINE, SETTINGS + ".new")]
    if strangers:
        raise StoreError(f"{path} must be a new or empty folder, but it holds {strangers[0].name}. Choose another.")
    for name in (SEGMENTS, DERIVED, QUARANTINE):
        (path / name).mkdir(exist_ok=True)
    content = {
        "format": FORMAT,
        "reader_features": _features(settings),
        "writer_features": [],
        "created": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "settings": dict(settings),
    }
    fresh = path / f"{SETTINGS}.new"
    disk.remove(fresh)
    disk.write_new(fresh, [_with_sum(content)])
    disk.sync(fresh)
    disk.move(fresh, path / SETTINGS)
    disk.sync(path)
    disk.sync(path.parent)


def finish_creation(db: apsw.Connection, path: Path, disk: Disk) -> None:
    """Make the tables and HEAD of a collection that has none yet; a creation that was interrupted goes on here."""
    if db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'version'").get == 0:
        if (path / HEAD).exists():
            return  # this is no new collection but one that lost its database; opening says so
        first = Head(1, xxhash.xxh3_128_digest((path / SETTINGS).read_bytes()))
        with db:
            db.execute(TABLES)
            db.execute(LEXICON)
            now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
            db.execute("INSERT INTO version VALUES (1, NULL, ?, ?, 'create', 0, 0, 0, 0)", (first.digest, now))
            db.pragma("user_version", FORMAT)
    if not (path / HEAD).exists():
        version, digest = db.execute("SELECT version, digest FROM version ORDER BY version DESC LIMIT 1").get
        if version == 1:
            create_head(path / HEAD, Head(version, digest), disk)


def read_settings(path: Path, *, write: bool = False) -> dict[str, JSON]:
    """What ``collection.json`` says: what a collection was created with, or resized to.

    Args:
        path: its folder.
        write: True if it is to be changed, which needs more of its features to be known than reading does.

    Raises:
        NoCollectionError: there is none at ``path``.
        CorruptError: the file is damaged.
        FormatError: a newer nestvec wrote it.
    """
    content = _content(path / SETTINGS, path)
    needed = content["reader_features"] + (content["writer_features"] if write else [])
    unknown = [feature for feature in needed if feature not in FEATURES]
    if content["format"] != FORMAT or unknown:
        raise FormatError(
            f"{path} has format {content['format']} with {unknown or 'no'} additions, and this nestvec reads "
            f"format {FORMAT}. Upgrade nestvec to open it."
        )
    check_arrays(content["settings"])
    return dict(content["settings"])


def _content(file: Path, path: Path) -> dict[str, Any]:
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        what = "nothing there" if not path.exists() else f"no {SETTINGS} in it"
        raise NoCollectionError(
            f"{path} must be a collection, but there is {what}. Make one with: nestvec index PATH --to {path}"
        ) from None
    body = data.rstrip(b"\n").rpartition(b"\n")[0]
    if data != _summed(body):
        raise CorruptError(f"{file} does not match its checksum. Run: nestvec repair {path}")
    return dict(json.loads(body))


def check_format(db: apsw.Connection, path: Path) -> None:
    """Return if the database is one of ours.

    Raises:
        CorruptError: it has no tables.
        FormatError: a newer nestvec wrote it.
    """
    version = db.pragma("user_version")
    if version == 0:
        raise CorruptError(f"{path / DATABASE} has no tables. Run: nestvec repair {path}")
    if version not in (FORMAT, RESIZED):
        raise FormatError(
            f"{path / DATABASE} has format {version}, and this nestvec reads {FORMAT} and {RESIZED}; upgrade it."
        )


def settings_in(db: apsw.Connection) -> dict[str, JSON] | None:
    """The settings that stand in the database; None while those in ``collection.json`` hold."""
    if db.pragma("user_version") != RESIZED:
        return None
    return dict(json.loads(db.execute("SELECT json FROM settings").get))


def put_settings(db: apsw.Connection, settings: Mapping[str, JSON]) -> None:
    """Inside a transaction: put settings into the database, which an older nestvec refuses to read from then on."""
    db.execute(SETTINGS_TABLE)
    db.execute("INSERT OR REPLACE INTO settings VALUES (1, ?)", (json.dumps(dict(settings), ensure_ascii=False),))
    db.pragma("user_version", RESIZED)


def copy_settings(path: Path, settings: Mapping[str, JSON], disk: Disk) -> None:
    """Bring ``collection.json`` up to the settings in the database, for the day on which that is lost."""
    there = _content(path / SETTINGS, path)
    if there["settings"] == settings:
        return
    check_arrays(settings)
    features = sorted({*there["reader_features"], *_features(settings)})  # old segments may still need what was needed
    fresh = path / f"{SETTINGS}.new"
    disk.remove(fresh)
    disk.write_new(fresh, [_with_sum({**there, "reader_features": features, "settings": dict(settings)})])
    disk.sync(fresh)
    disk.move(fresh, path / SETTINGS)
    disk.sync(path)


def _features(settings: Mapping[str, JSON]) -> list[str]:
    """What a reader has to know to read segments written under these settings."""
    return [name for name in (BANDS, RAGGED) if settings.get(name)]


def _with_sum(content: Mapping[str, object]) -> bytes:
    return _summed(json.dumps(content, indent=2, ensure_ascii=False).encode())


def _summed(body: bytes) -> bytes:
    return body + b"\nxxh3 " + xxhash.xxh3_64_hexdigest(body).encode() + b"\n"


def check_arrays(settings: Mapping[str, JSON]) -> None:
    """Return if the settings name their arrays, cut none into bands that do not fit it, and call known ones ragged.

    Raises:
        InputError: they do not.
    """
    arrays = settings.get("arrays")
    if not isinstance(arrays, dict) or not all(
        name.isidentifier() and isinstance(dim, int) and 0 < dim <= 1 << 20 for name, dim in arrays.items()
    ):
        raise InputError(f"settings must name their arrays and dims, as in {{'dense': 384}}, got {arrays!r}.")
    bands = settings.get("bands") or {}
    if not isinstance(bands, dict) or not all(_fit(widths, arrays.get(name)) for name, widths in bands.items()):
        raise InputError(
            f"bands must give an array at most {_MOST_BANDS} widths that add up to its dim, as in "
            f"{{'dense': [64, 64, 256]}} for {arrays}, got {bands!r}."
        )
    ragged = settings.get("ragged") or []
    if not isinstance(ragged, list) or not set(ragged) <= set(arrays) - set(bands):
        raise InputError(f"ragged must name arrays without bands, as in ['tokens'], for {arrays}, got {ragged!r}.")


def _fit(widths: object, dim: object) -> bool:
    if not isinstance(widths, list | tuple) or not 0 < len(widths) <= _MOST_BANDS:
        return False
    return all(isinstance(width, int) and width > 0 for width in widths) and sum(widths) == dim
