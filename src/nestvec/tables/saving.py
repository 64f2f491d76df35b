"""Tables on disk: one safetensors file whose header carries the description and a checksum of every array.

A saved table can be read by any safetensors library. Here it is memory-mapped, so that opening costs nothing and
processes share its pages. See docs/format/table-v1.md.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from nestvec.core.errors import CorruptError, DiskError, FormatError
from nestvec.core.types import JSON, Array

_KINDS = {
    "float64": "F64", "float32": "F32", "float16": "F16", "uint8": "U8", "int8": "I8", "int64": "I64", "int32": "I32",
    "uint16": "U16", "uint32": "U32", "uint64": "U64",
}  # fmt: skip
_NAMES = {kind: name for name, kind in _KINDS.items()}
_NO_CHECKSUM = "0" * 16
_MOST_HEADER = 1 << 26  # a header longer than this is no header


def header(
    arrays: Mapping[str, tuple[str, tuple[int, ...]]], notes: Mapping[str, str], sums: Mapping[str, str]
) -> bytes:
    """The first bytes of the file: length, JSON, and spaces up to a multiple of 64.

    Arrays lie one after another in the order of falling item size, each at a multiple of its own. ``header`` among the
    notes is the checksum of this text with zeros in its place.
    """
    known = {**notes, "xxh3": json.dumps(dict(sums), separators=(",", ":")), "header": _NO_CHECKSUM}
    table: dict[str, Any] = {"__metadata__": known}
    at = 0
    for name, (dtype, shape) in arrays.items():
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        table[name] = {"dtype": _KINDS[dtype], "shape": list(shape), "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-(len(text) + 8) % 64)
    signed = text.replace(_header_sum(_NO_CHECKSUM), _header_sum(xxhash.xxh3_64_hexdigest(text)), 1)
    return len(text).to_bytes(8, "little") + signed


def ordered(arrays: Mapping[str, Any], size: Mapping[str, int]) -> list[str]:
    """Names, largest items first, then by name."""
    return sorted(arrays, key=lambda name: (-size[name], name))


def file_bytes(shapes: Mapping[str, tuple[str, tuple[int, ...]]], notes: Mapping[str, str]) -> int:
    """Length of the file that such arrays make, before there are any."""
    names = ordered(shapes, {name: np.dtype(dtype).itemsize for name, (dtype, _) in shapes.items()})
    inside = {name: shapes[name] for name in names}
    data = sum(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize for dtype, shape in shapes.values())
    return len(header(inside, notes, dict.fromkeys(names, _NO_CHECKSUM))) + data


def write(path: str | os.PathLike[str], arrays: Mapping[str, Array], notes: Mapping[str, str]) -> None:
    """Write the file beside ``path`` and move it there, so that ``path`` is the old file or the new one, never half.

    Raises:
        DiskError: the disk refuses.
    """
    names = ordered(arrays, {name: value.dtype.itemsize for name, value in arrays.items()})
    inside = {name: np.ascontiguousarray(arrays[name]) for name in names}
    sums = {name: xxhash.xxh3_64_hexdigest(_raw(value)) for name, value in inside.items()}
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(header({n: (v.dtype.name, v.shape) for n, v in inside.items()}, notes, sums))
            for value in inside.values():
                file.write(_raw(value))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(target)
    except OSError as cause:
        beside.unlink(missing_ok=True)
        raise DiskError(f"{target} must be writable, got: {cause.strerror or cause}.") from cause


def read(path: str | os.PathLike[str], *, verify: bool = True) -> tuple[dict[str, Array], dict[str, str]]:
    """Memory maps of the arrays, and the notes.

    Args:
        path: the file.
        verify: compare every array with its checksum, which reads the whole file once.

    Raises:
        DiskError: there is no such file, or it cannot be read.
        FormatError: it is no file of this kind.
        CorruptError: an array is not what was written, or the file is cut off.
    """
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            text = file.read(length) if length <= min(_MOST_HEADER, size) else b""
    except OSError as cause:
        raise DiskError(f"{path} must be a readable file, got: {cause.strerror or cause}.") from cause
    table = _parse(text, path)
    notes = {str(k): str(v) for k, v in table.pop("__metadata__").items()}
    own = notes.pop("header", "")
    if xxhash.xxh3_64_hexdigest(text.replace(_header_sum(own), _header_sum(_NO_CHECKSUM), 1)) != own:
        raise CorruptError(f"the header of {path} must be as it was written, and its checksum differs.")
    sums = json.loads(notes.pop("xxh3"))
    whole = np.memmap(path, np.uint8, "r") if size else np.empty(0, np.uint8)
    arrays = {name: _array(whole, 8 + length, name, entry, path) for name, entry in table.items()}
    if verify:
        for name, value in arrays.items():
            if xxhash.xxh3_64_hexdigest(_raw(value)) != sums.get(name):
                raise CorruptError(f"array {name!r} of {path} must be as it was written, and its checksum differs.")
    return arrays, notes


def _header_sum(digits: str) -> bytes:
    return f'"header":"{digits}"'.encode()


def _raw(value: Array) -> memoryview | bytes:
    return value.data.cast("B") if value.size else b""


def _parse(text: bytes, path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        table: JSON = json.loads(text)
    except ValueError as cause:
        raise FormatError(f"{path} must be a saved table (safetensors), and has no header of one.") from cause
    if not isinstance(table, dict) or not isinstance(table.get("__metadata__"), dict):
        raise FormatError(f"{path} must be a saved table, and has no description; it may be another safetensors file.")
    return table


def _array(whole: Array, start: int, name: str, entry: dict[str, Any], path: str | os.PathLike[str]) -> Array:
    try:
        dtype, shape = np.dtype(_NAMES[entry["dtype"]]), tuple(int(n) for n in entry["shape"])
        low, high = (start + int(at) for at in entry["data_offsets"])
        fits = high - low == int(np.prod(shape, dtype=np.int64)) * dtype.itemsize and start <= low <= high
    except (KeyError, TypeError, ValueError) as cause:
        raise FormatError(f"array {name!r} of {path} must have a known type, a shape and a place.") from cause
    if not fits:
        raise FormatError(f"array {name!r} of {path} must be as long as its shape says.")
    if high > len(whole):
        raise CorruptError(f"{path} must be whole, and ends {high - len(whole)} bytes before array {name!r} does.")
    return np.asarray(whole[low:high]).view(dtype).reshape(shape)
