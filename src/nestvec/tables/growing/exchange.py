"""Tables as plain arrays and safetensors files, and two tables as one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nestvec.core.errors import FormatError, InputError
from nestvec.core.types import Array, Int64, Matrix
from nestvec.tables.growing.disk import Disk, disk_errors
from nestvec.tables.growing.keys import Fingerprints
from nestvec.tables.growing.streams import Stream, StreamFile, pieces
from nestvec.tables.growing.table import GrowingTable

_ARRAYS = ("low", "high", "field", "values")


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of a table, with their owners.

    Args:
        owners: ``[n]`` fingerprints.
        field: ``[n]`` uint8, numbers of their fields.
        values: ``[n, dim]`` float32.
    """

    owners: Fingerprints
    field: Array
    values: Matrix


def parts(table: GrowingTable) -> Iterator[Part]:
    """All rows that belong to a key, in the order of their numbers, some thousand at a time."""
    for owners, field, rows in table.owners():
        yield Part(owners, field, table.values(rows))


def export(table: GrowingTable, path: str | Path) -> int:
    """Write a table to one safetensors file that any library reads, and return how many rows it has.

    The file has ``low`` ``[n]`` uint64 and ``high`` ``[n]`` uint32, the two parts of each key's fingerprint; ``field``
    ``[n]`` uint8; and ``values`` ``[n, dim]`` float32. Names of fields and the seed of the hash are in its metadata, as
    JSON. What training keeps of a row is not in it, and neither are rows 0 and 1.

    Raises:
        DiskError: the file cannot be written.
    """
    n = len(table)
    arrays = {
        "low": Stream("uint64", (n,), (part.owners.low for part in parts(table))),
        "high": Stream("uint32", (n,), (part.owners.high for part in parts(table))),
        "field": Stream("uint8", (n,), (part.field for part in parts(table))),
        "values": Stream("float32", (n, table.spec.dim), (part.values for part in parts(table))),
    }
    target, disk = Path(path), Disk()
    beside = target.with_name(f".{target.name}.new")
    with disk_errors(target):
        disk.write(beside, pieces(arrays, {"fields": list(table.fields), "seed": table.spec.seed}))
        disk.move(beside, target)
    return n


def to_arrays(table: GrowingTable) -> dict[str, Array]:
    """The arrays of :func:`export` in memory."""
    every = list(parts(table))
    dim = table.spec.dim
    return {
        "low": np.concatenate([np.empty(0, np.uint64), *(part.owners.low for part in every)]),
        "high": np.concatenate([np.empty(0, np.uint32), *(part.owners.high for part in every)]),
        "field": np.concatenate([np.empty(0, np.uint8), *(part.field for part in every)]),
        "values": np.concatenate([np.empty((0, dim), np.float32), *(part.values for part in every)]),
    }


def take_in(table: GrowingTable, path: str | Path, *, weight: float = 1.0) -> int:
    """Bring the rows of a file of :func:`export` into a table, and return how many there were room for.

    Args:
        table: of the same dim and seed.
        path: of the file.
        weight: of what comes, where a key has a row already: 1 replaces it, 0 leaves it, 0.5 is the mean of both.

    Raises:
        FormatError: it is no such file.
        InputError: it is of a table of another dim or seed, or the weight is not in [0, 1].
    """
    file = _exported(path)
    came = (Part(Fingerprints(low, high), field, values) for low, high, field, values in file.blocks(*_ARRAYS))
    _check(table, file.shape("values")[1], int(file.notes["seed"]), weight)
    return sum(_taken(table, part, [str(name) for name in file.notes["fields"]], weight) for part in came)


def spec_for(path: str | Path) -> tuple[int, int]:
    """``(dim, seed)`` of a table that can take a file of :func:`export` in.

    Raises:
        FormatError: it is no such file.
    """
    file = _exported(path)
    return int(file.shape("values")[1]), int(file.notes["seed"])


def merge(table: GrowingTable, other: GrowingTable, *, weight: float = 0.5) -> int:
    """Bring the rows of another table into one, and return how many there was room for.

    Args:
        table: is changed.
        other: is not; of the same dim and seed.
        weight: of the other's values where both have a row for a key: 1 replaces, 0 keeps, 0.5 is the mean.

    Raises:
        InputError: the two differ in dim or seed, or the weight is not in [0, 1].
    """
    _check(table, other.spec.dim, other.spec.seed, weight)
    return sum(_taken(table, part, list(other.fields), weight) for part in parts(other))


def _exported(path: str | Path) -> StreamFile:
    with disk_errors(Path(path)):
        file = StreamFile(Path(path))
    if any(name not in file for name in _ARRAYS) or not {"seed", "fields"} <= file.notes.keys():
        raise FormatError(f"{path} must hold {', '.join(_ARRAYS)}, fields and the seed, as export writes them.")
    return file


def _check(table: GrowingTable, dim: int, seed: int, weight: float) -> None:
    if (dim, seed) != (table.spec.dim, table.spec.seed):
        raise InputError(
            f"tables must have one dim and one seed to be joined, got dim {dim} and seed {seed} for a table of dim "
            f"{table.spec.dim} and seed {table.spec.seed}."
        )
    if not 0 <= weight <= 1:
        raise InputError(f"weight must be 0 to 1, got {weight}.")


def _taken(table: GrowingTable, part: Part, names: list[str], weight: float) -> int:
    taken = 0
    if len(part.field) and int(part.field.max()) >= len(names):
        raise FormatError(f"fields of rows must be below {len(names)}, got {int(part.field.max())}.")
    for number in np.unique(part.field):
        mine = part.field == number
        owners, values = part.owners.at(mine), part.values[mine]
        rows, new = table.own(owners, field=names[number])
        mixed = np.where(new[:, None], values, weight * values + (1 - weight) * table.values(rows))
        there: Int64[np.ndarray, " m"] = np.flatnonzero(rows > 1)
        table.put(rows[there], mixed[there].astype(np.float32))
        taken += len(there)
    return taken
