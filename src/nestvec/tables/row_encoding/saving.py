"""A row encoder on disk: one checksummed file in the folder of its table, which names it in its list.

So a save is one commit of both. See docs/format/growing-table-v1.md.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from nestvec.core import Space
from nestvec.core.errors import CorruptError, FormatError, NoCollectionError, NotFoundError
from nestvec.core.types import JSON, Array
from nestvec.tables import saving
from nestvec.tables.growing.commits import read_listing
from nestvec.tables.growing.disk import disk_errors
from nestvec.tables.growing.table import GrowingTable
from nestvec.tables.row_encoding.fields import RowFields

NOTE = "rows"
"""Under which a table notes the name of the file."""
_SUFFIX = ".encoder"
_FORMAT = "1"
_AXES = {"mean": 1, "deviation": 1, "numbers": 2, "words": 2, "centre": 1}


@dataclass(frozen=True, eq=False)
class SavedRows:
    """What is kept of a row encoder beside its table.

    Args:
        fields: that are read.
        arrays: see :class:`~nestvec.tables.row_encoding.RowEncoder`.
        text: ``(source, size, space)`` of the text encoder; None where there is none.
    """

    fields: RowFields
    arrays: Mapping[str, Array] = field(repr=False)
    text: tuple[str, str, Space] | None = None


def save_beside(table: GrowingTable, saved: SavedRows) -> None:
    """Write the file, save the table with its name in it, and remove the file that was named before.

    Raises:
        StoreError: the table was opened for reading.
        DiskError: the disk refuses.
    """
    table.check_writable()
    text = None if saved.text is None else [saved.text[0], saved.text[1], saved.text[2].to_json()]
    about = json.dumps({"fields": asdict(saved.fields), "text": text})
    digest = xxhash.xxh3_64(about.encode())
    for name in _AXES:
        digest.update(np.ascontiguousarray(saved.arrays[name]).data)
    name = f"{NOTE}-{digest.hexdigest()}{_SUFFIX}"
    saving.write(table.path / name, saved.arrays, {"format": _FORMAT, "about": about})
    table.notes[NOTE] = name
    table.save()
    with disk_errors(table.path):
        for path in table.path.glob(f"{NOTE}-*{_SUFFIX}"):
            if path.name != name:
                path.unlink()


def read_saved(folder: str | Path) -> SavedRows | None:
    """The row encoder that was saved with the table in a folder; None where there is none.

    Raises:
        CorruptError: it, or the list of the table, is damaged.
        FormatError: it is of another format.
    """
    try:
        notes = read_listing(Path(folder)).state.get("notes")
    except NoCollectionError:
        return None
    return read_beside(Path(folder), notes) if isinstance(notes, dict) and NOTE in notes else None


def read_beside(folder: Path, notes: Mapping[str, JSON]) -> SavedRows:
    """The row encoder that a table names in its notes.

    Raises:
        NotFoundError: it names none.
        CorruptError: the file is damaged or missing.
        FormatError: it is of another format.
    """
    if NOTE not in notes:
        raise NotFoundError(f"{folder} must hold a row encoder, got a table without one. Fit one and save it.")
    path = folder / str(notes[NOTE])
    if not path.is_file():
        raise CorruptError(f"{path} must be there, for the table names it, and is missing. Restore it from a backup.")
    arrays, said = saving.read(path)
    if said.get("format") != _FORMAT:
        raise FormatError(f"{path} must be a row encoder of format {_FORMAT}, got {said.get('format')!r}.")
    about: dict[str, Any] = json.loads(said["about"])
    text = about["text"] and (about["text"][0], about["text"][1], Space.from_json(about["text"][2]))
    fields = RowFields(**{name: tuple(names) for name, names in about["fields"].items()})
    return SavedRows(fields, {name: arrays[name].copy() for name in _AXES}, text)
