"""Safetensors files that are written and read in pieces, so that a table of any size passes through little memory."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import CorruptError, FormatError
from nestvec.core.types import JSON, Array

_KINDS = {"float32": "F32", "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64", "int64": "I64"}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_MOST_HEADER = 100 << 20  # what the safetensors library allows

BLOCK = 1 << 14
"""Rows that are in memory at a time."""


@dataclass(frozen=True, eq=False)
class Stream:
    """An array that comes in blocks.

    Args:
        dtype: its name.
        shape: of all of it.
        blocks: along the first axis, together as long as ``shape[0]``.
    """

    dtype: str
    shape: tuple[int, ...]
    blocks: Iterable[Array]

    @classmethod
    def of(cls, value: Array) -> Stream:
        """An array that is there already."""
        return cls(value.dtype.name, value.shape, (value[a : a + BLOCK] for a in range(0, len(value), BLOCK)))


def pieces(arrays: Mapping[str, Stream], notes: Mapping[str, JSON]) -> Iterator[bytes | memoryview]:
    """The bytes of a safetensors file with those arrays; each note becomes a string of JSON in its metadata."""
    table: dict[str, Any] = {"__metadata__": {name: json.dumps(value) for name, value in notes.items()}}
    end = 0
    ordered = sorted(arrays.items(), key=lambda item: (-np.dtype(item[1].dtype).itemsize, item[0]))  # each aligned
    for name, stream in ordered:
        start, end = end, end + int(np.prod(stream.shape, dtype=np.int64)) * np.dtype(stream.dtype).itemsize
        table[name] = {"dtype": _KINDS[stream.dtype], "shape": list(stream.shape), "data_offsets": [start, end]}
    text = json.dumps(table).encode()
    text += b" " * (-(len(text) + 8) % 64)
    yield len(text).to_bytes(8, "little") + text
    for _, stream in ordered:
        for block in stream.blocks:
            if block.size:
                yield np.ascontiguousarray(block).data.cast("B")


class StreamFile:
    """A safetensors file that is read in blocks of rows.

    Raises:
        FormatError: it is none, or holds kinds of numbers that nestvec does not write.
        CorruptError: it is shorter than it says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            length, whole = int.from_bytes(file.read(8), "little"), path.stat().st_size
            text = file.read(length) if length <= min(_MOST_HEADER, whole) else b""
        try:
            said = json.loads(text)
            self.notes: dict[str, Any] = {name: json.loads(v) for name, v in said.pop("__metadata__", {}).items()}
            self._arrays = {
                name: (np.dtype(_NAMES[e["dtype"]]), tuple(e["shape"]), 8 + length + int(e["data_offsets"][0]))
                for name, e in said.items()
            }
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            raise FormatError(f"{path} must be a file of a growing table, got {cause!r} in its header.") from cause
        for name, (dtype, shape, start) in self._arrays.items():
            if start + int(np.prod(shape, dtype=np.int64)) * dtype.itemsize > whole:
                raise CorruptError(f"{path} must hold all of {name!r}, got a file that is cut off.")

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def shape(self, name: str) -> tuple[int, ...]:
        """Of an array.

        Raises:
            FormatError: there is none of that name.
        """
        return self._found(name)[1]

    def blocks(self, *names: str) -> Iterator[tuple[Array, ...]]:
        """Arrays of one length side by side, some thousand rows at a time."""
        found = [self._found(name) for name in names]
        rows = {shape[0] for _, shape, _ in found}
        if len(rows) != 1:
            raise FormatError(f"{', '.join(names)} of {self.path} must be of one length, got {sorted(rows)}.")
        (total,) = rows
        with self.path.open("rb") as file:
            for a in range(0, total, BLOCK):
                part = []
                for dtype, shape, start in found:
                    width = int(np.prod(shape[1:], dtype=np.int64))
                    file.seek(start + a * width * dtype.itemsize)
                    n = min(BLOCK, total - a)
                    part.append(np.fromfile(file, dtype, n * width).reshape(n, *shape[1:]))
                yield tuple(part)

    def array(self, name: str) -> Array:
        """All of one array."""
        dtype, shape, start = self._found(name)
        with self.path.open("rb") as file:
            file.seek(start)
            return np.fromfile(file, dtype, int(np.prod(shape, dtype=np.int64))).reshape(shape)

    def _found(self, name: str) -> tuple[Any, tuple[int, ...], int]:
        if name not in self._arrays:
            raise FormatError(f"{self.path} must hold the array {name!r}, got {', '.join(sorted(self._arrays))}.")
        return self._arrays[name]
