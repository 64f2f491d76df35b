"""The rows of a table as they are: for what learns from columns instead of reading texts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from nestvec.core.errors import InputError
from nestvec.core.types import JSON
from nestvec.inputs import walk
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.limits import Fields, Limits
from nestvec.inputs.readers import READERS, SUFFIXES
from nestvec.inputs.report import ReadReport

_TABLES = ("delimited@1", "jsonl@1", "parquet@1")


def cells(
    path: str | Path, *, header: bool = True, limits: Limits | None = None, report: ReadReport | None = None
) -> Iterator[dict[str, JSON]]:
    """Column names to values, a row at a time, duplicates included.

    Args:
        path: one file of CSV, TSV, JSON Lines or Parquet; ``.gz`` may follow.
        header: whether the first line of CSV and TSV names the columns.
        limits: see :class:`Limits`.
        report: told about rows that were passed over.

    Raises:
        InputError: there is no such file, it is no table, or it cannot be read at all.
        MissingExtraError: Parquet without pyarrow.
    """
    walk.check(str(path))
    fields = Fields(header=header, as_rows=True)
    incoming = Incoming(
        Path(path), Path(path).name, str(path), limits=limits or Limits(), fields=fields, report=report or ReadReport()
    )
    reader = SUFFIXES.get(incoming.suffix, "")
    if reader not in _TABLES or Path(path).is_dir():
        raise InputError(f"{path} must be one file of CSV, TSV, JSON Lines or Parquet, and its name must say which.")
    try:
        for record in READERS[reader](incoming):
            yield dict(record.metadata)
    except UnreadableError as cause:
        raise InputError(f"{path} must be a readable table: {cause.reason.value}, {cause.detail}.") from cause
