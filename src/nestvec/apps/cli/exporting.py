"""``nestvec export``: a collection as files that other programs read."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

import json as codec
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestvec.apps.cli.config import Quiet
from nestvec.apps.cli.console import AsJSON, Output, several, size
from nestvec.apps.cli.progress import Meter, meter
from nestvec.apps.cli.searching import AtVersion, Folder, record_json
from nestvec.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from nestvec.core.record import Record
    from nestvec.core.types import Matrix
    from nestvec.store import Snapshot

_BATCH = 4096  # rows held at once


class Format(StrEnum):
    """What can be written."""

    JSONL = "jsonl"
    NPY = "npy"
    PARQUET = "parquet"


def export(
    folder: Folder,
    to: Annotated[str, typer.Option("--to", metavar="FILE", help="Where to; - for standard output (jsonl).")],
    form: Annotated[
        Format | None,
        typer.Option("--format", "-f", metavar="jsonl|npy|parquet", help="By the ending of FILE if left out."),
    ] = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="Vectors too (npy has nothing else).")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")] = False,
    version: AtVersion = None,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Write records, or their vectors, to a file.

    jsonl has one record a line; npy the vectors [n, d] as float32, their ids in order in FILE.ids.json; parquet one
    row a record. A file is there whole or not at all.
    """
    from nestvec.search.settings import ARRAY
    from nestvec.store import Store

    chosen = form or _by_ending(to)
    if to == "-" and (chosen is not Format.JSONL or json):
        raise typer.BadParameter("standard output takes jsonl only, without --json.")
    out = Output(as_json=json, quiet=quiet or to == "-")
    written = [Path(to), *([Path(f"{to}.ids.json")] if chosen is Format.NPY else [])]
    if not written[0].parent.is_dir():
        raise InputError(f"FILE must be in a folder that is there, got {to!r}.")
    for path in written:
        if to != "-" and path.exists() and not force:
            raise InputError(f"{path} is there already. Choose another name, or give --force to replace it.")
    with Store.open(folder, version=version) as store, store.read() as snapshot:
        dim = store.arrays[ARRAY]
        with meter(out, "records", total=len(snapshot)) as shown:
            rows = _Rows(snapshot, ARRAY if vectors or chosen is Format.NPY else "", dim, shown)
            if to == "-":
                _jsonl(rows, sys.stdout.write)
            else:
                _WRITERS[chosen](rows, Path(to))
        count, number = len(snapshot), snapshot.version
    if to == "-":
        return
    total = sum(path.stat().st_size for path in written)
    out.json({"files": [str(p) for p in written], "format": chosen.value, "records": count, "version": number})
    if out.talks:
        out.line(f"{several(count, 'record')} of version {number} in {' and '.join(map(str, written))}, {size(total)}")


def _by_ending(to: str) -> Format:
    ending = Path(to).suffix.removeprefix(".").lower()
    if to == "-" or ending in ("json", "ndjson"):
        return Format.JSONL
    if ending not in set(Format):
        raise typer.BadParameter(f"FILE must end in .jsonl, .npy or .parquet, got {to!r}; or give --format.")
    return Format(ending)


class _Rows:
    """Batches of records of one version, with their vectors where an array is named."""

    def __init__(self, snapshot: Snapshot, array: str, dim: int, shown: Meter) -> None:
        self._snapshot, self._array, self._shown = snapshot, array, shown
        self.dim = dim if array else 0
        self.count = len(snapshot)

    def __iter__(self) -> Iterator[tuple[list[Record], Matrix | None]]:
        import numpy as np

        rows, done = self._snapshot.rows(), 0
        while some := list(islice(rows, _BATCH)):
            rids = np.array([rid for rid, _ in some], np.int64)
            yield [record for _, record in some], self._snapshot.vectors(self._array, rids) if self._array else None
            done += len(some)
            self._shown(done)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A name to write to; what was written there becomes ``path`` when the block ends well, else it vanishes."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield fresh
        with fresh.open("rb") as file:
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _jsonl(rows: _Rows, write: Callable[[str], object]) -> None:
    for records, vectors in rows:
        for number, record in enumerate(records):
            line: dict[str, Any] = dict(record_json(record))
            if vectors is not None:
                line["vector"] = [float(f"{value:.9g}") for value in vectors[number].tolist()]  # exact in float32
            write(codec.dumps(line) + "\n")


def _to_jsonl(rows: _Rows, path: Path) -> None:
    with _whole(path) as fresh, fresh.open("w", encoding="utf-8") as file:
        _jsonl(rows, file.write)


def _to_npy(rows: _Rows, path: Path) -> None:
    import numpy as np

    names = path.with_name(f"{path.name}.ids.json")
    with (
        _whole(path) as fresh,
        _whole(names) as fresh_names,
        fresh_names.open("w", encoding="utf-8") as ids,
        fresh.open("wb") as file,
    ):
        head = {"descr": "<f4", "fortran_order": False, "shape": (rows.count, rows.dim)}
        np.lib.format.write_array_header_1_0(file, head)
        ids.write("[")
        done = 0
        for records, vectors in rows:
            file.write(np.ascontiguousarray(vectors, "<f4").tobytes())
            ids.writelines((",\n" if done + n else "\n") + codec.dumps(r.id) for n, r in enumerate(records))
            done += len(records)
        ids.write("\n]\n")


def _to_parquet(rows: _Rows, path: Path) -> None:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as cause:
        raise MissingExtraError("Writing parquet", "parquet") from cause
    fields = [("id", pa.string()), ("document", pa.string()), ("title", pa.string()), ("text", pa.string())]
    fields += [("metadata", pa.string()), ("place", pa.string())]
    if rows.dim:
        fields.append(("vector", pa.list_(pa.float32(), rows.dim)))
    schema = pa.schema(fields)
    # page checksums: without them a flipped bit in a Parquet file is read as if nothing were wrong
    with _whole(path) as fresh, pq.ParquetWriter(fresh, schema, write_page_checksum=True) as writer:
        for records, vectors in rows:
            plain: list[dict[str, Any]] = [dict(record_json(record)) for record in records]
            columns = [
                pa.array([row[name] for row in plain], pa.string()) for name in ("id", "document", "title", "text")
            ]
            columns += [
                pa.array([codec.dumps(row[name]) for row in plain], pa.string()) for name in ("metadata", "place")
            ]
            if vectors is not None:
                columns.append(pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), rows.dim))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


_WRITERS = {Format.JSONL: _to_jsonl, Format.NPY: _to_npy, Format.PARQUET: _to_parquet}
