"""Rows to records: what JSON Lines, CSV, TSV, Parquet and plain dictionaries have in common."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

from nestvec.core import Record
from nestvec.core.types import JSON
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.limits import Fields
from nestvec.inputs.report import ReadReport, Reason

ID_NAMES = ("id", "_id")
TITLE_NAMES = ("title",)
TEXT_NAMES = ("text", "content", "body", "abstract", "description", "summary")

MAX_DEPTH = 64
"""Levels of nesting in a metadata value. Far above any real table, far below Python's recursion limit."""


def clean(value: Any, *, depth: int = 0) -> JSON:  # noqa: PLR0911  # one line a type
    """``value`` as JSON that every program can read.

    NaN and infinity become null; integers beyond 64 bits, dates, decimals and other objects become strings; raw
    bytes become null; lone surrogates and null characters become U+FFFD.

    Raises:
        UnreadableError: lists and objects are nested more than ``MAX_DEPTH`` deep.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, int):
        return value if -(1 << 63) <= value < 1 << 63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        raise UnreadableError(Reason.TOO_DEEP, f"more than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {clean_text(str(key)): clean(inner, depth=depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [clean(inner, depth=depth + 1) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return None
    if isinstance(value, dt.date | dt.time):  # a datetime is a date
        return value.isoformat()
    return clean_text(str(value))


def clean_text(text: str) -> str:
    """``text`` that UTF-8 and SQLite can hold: lone surrogates and null characters become U+FFFD."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        # a pair of surrogates that JSON spelled as two escapes is one character, and the codec joins it again
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _as_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple) and value and all(isinstance(part, str) for part in value):
        return "\n\n".join(value)
    return ""


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> str:
    """The first of ``names`` that ``row`` has text under, also with other capitals; else an empty string."""
    for name in names:
        if _as_text(row.get(name)).strip():
            return name
    if any(not key.islower() for key in row):
        small = {key.lower(): key for key in reversed(list(row))}
        return next((small[name] for name in names if name in small and _as_text(row[small[name]]).strip()), "")
    return ""


def _texts(row: Mapping[str, Any], fields: Fields, taken: set[str]) -> tuple[str, set[str]]:
    """The text of a row, and the columns that it used up (those of the fallback stay in the metadata)."""
    names: tuple[str, ...] = fields.texts
    if not names:
        names = tuple(filter(None, [_first(row, TEXT_NAMES)]))
    parts = [_as_text(row.get(name)) for name in names]
    if not names:
        parts = [value for key, value in row.items() if key not in taken and isinstance(value, str)]
    return "\n\n".join(part for part in parts if part.strip()), set(names)


def row_record(row: Mapping[str, Any], *, fallback_id: str, source: str, fields: Fields, report: ReadReport) -> Record:
    """One record from one row.

    Args:
        row: column names to values.
        fallback_id: its id if it has none of its own; also where the report says it was.
        source: for ``metadata["source"]``; a column of that name is kept as ``source_column``.
        fields: see :class:`Fields`.
        report: told about replaced characters and ids.

    Raises:
        UnreadableError: there is no text in it, or its values are nested too deeply.
    """
    row = {str(key): value for key, value in row.items()}
    if fields.as_rows:
        whole = {clean_text(key): clean(value) for key, value in row.items()}
        own = _own_id(row.get(fields.id), fallback_id=fallback_id, report=report) if fields.id else fallback_id
        return Record(own, fallback_id, metadata=whole)
    id_name = fields.id or next((name for name in ID_NAMES if name in row), "")
    title_name = fields.title or _first(row, TITLE_NAMES)
    title = _as_text(row.get(title_name))
    text, used = _texts(row, fields, {id_name, title_name})
    if not text:
        text, title = title, ""  # a row with nothing but a title is found by its title
    if not text.strip():
        wanted = " or ".join(repr(name) for name in fields.texts or TEXT_NAMES[:4])
        raise UnreadableError(Reason.NO_TEXT, f"no text under {wanted}; it has {', '.join(map(repr, [*row][:12]))}")
    sound, sound_title = clean_text(text), clean_text(title)
    if sound != text or sound_title != title:
        report.repair(Reason.CHARACTER, fallback_id, "null characters or lone surrogates became U+FFFD")
    metadata: dict[str, JSON] = {"source": source}
    for key, value in row.items():
        if key not in used and key not in (id_name, title_name):
            metadata["source_column" if key == "source" else clean_text(key)] = clean(value)
    own_id = _own_id(row.get(id_name), fallback_id=fallback_id, report=report) if id_name else fallback_id
    return Record(own_id, sound, metadata=metadata, title=sound_title)


def _own_id(value: Any, *, fallback_id: str, report: ReadReport) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, str) and value and clean_text(value) == value:
        return value
    report.repair(Reason.ID, fallback_id, f"{value!r} cannot be an id, {fallback_id!r} is used")
    return fallback_id
