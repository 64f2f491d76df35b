"""A segment: vectors of a range of rows in one immutable, checksummed file.

Layout, little-endian (the specification is docs/format/collection-v1.md)::

    512 bytes      magic, header as JSON, zeros, xxh3-64 of the 504 bytes before
    n * d values   one row after the other
    n * 8 bytes    row ids, int64, ascending; left out where they are first, first + 1, …
    8 bytes each   xxh3-64 of every block of rows; of the row ids, if they are there
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from nestvec.core.errors import CorruptError, FormatError, NestvecError
from nestvec.core.types import Array, Float32, Int64
from nestvec.store.disk import Disk

_MAGIC = b"NVSEG\0\0\1"
_HEADER = 512
_BLOCK = 1 << 20
"""Bytes under one checksum: small enough that a first look at one row is cheap, large enough to be noise on disk."""


@dataclass(frozen=True)
class SegmentInfo:
    """What the database knows of a segment file.

    Args:
        name: file name.
        array: which named array of the collection it holds rows of.
        n: rows.
        first: smallest row id.
        last: largest row id.
        length: bytes of the file.
        digest: 16 bytes, xxh3-128 of the header and the checksums; with them it fixes every byte.
    """

    name: str
    array: str
    n: int
    first: int
    last: int
    length: int
    digest: bytes


def write_segment(
    path: Path,
    array: str,
    rows: Int64[np.ndarray, " n"],
    blocks: Iterator[Float32[np.ndarray, "_ d"]],
    *,
    dim: int,
    disk: Disk,
    generation: int = 0,
) -> SegmentInfo:
    """Write a new segment file from ``blocks`` (together ``[n, dim]`` float32) and sync it; the folder is not synced.

    ``generation`` says how often the vectors of the whole collection had been replaced before.

    Memory: one block. Returns what the database should keep.
    """
    n, first, last = len(rows), int(rows[0]), int(rows[-1])
    dense = last - first == n - 1
    per_block = max(1, _BLOCK // (4 * dim))
    facts = {"n": n, "dim": dim, "block_rows": per_block, "first": first if dense else None}
    header = _header(array, facts | ({"generation": generation} if generation else {}))
    sums: list[bytes] = []

    def pieces() -> Iterator[bytes | memoryview]:
        yield header
        for block in _regroup(blocks, per_block):
            sums.append(xxhash.xxh3_64_digest(block.data))
            yield block.data
        if not dense:
            ids = np.ascontiguousarray(rows, "<i8")
            sums.append(xxhash.xxh3_64_digest(ids.data))
            yield ids.data
        yield b"".join(sums)

    length = disk.write_new(path, pieces())
    disk.sync(path)
    digest = xxhash.xxh3_128_digest(header + b"".join(sums))
    return SegmentInfo(path.name, array, n, first, last, length, digest)


@dataclass(frozen=True)
class Segment:
    """An open segment: row ids and values as memory maps, checked block by block when first touched.

    Args:
        info: what the database says.
        path: the file.
        rows: ``[n]`` int64, ascending.
        values: ``[n, d]`` float32, a read-only memory map.
        generation: how often the vectors of the whole collection had been replaced when it was written.
    """

    info: SegmentInfo
    path: Path
    rows: Int64[np.ndarray, " n"]
    values: Float32[np.ndarray, "n d"]
    generation: int
    _block_rows: int
    _sums: Array
    _checked: Array  # one bool a block; set only ever from False to True, so threads may race harmlessly
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def open(cls, folder: Path, info: SegmentInfo) -> Segment:
        """Map a file, checking its length, its header and its table of checksums.

        Raises:
            FileNotFoundError: it is gone.
            CorruptError: one of the three does not match what the database says.
            FormatError: a layout that this nestvec does not know.
        """
        path = folder / info.name
        data = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        if len(data) != info.length or info.length < _HEADER:
            raise _damaged(path, f"it has {len(data)} bytes instead of {info.length}")
        header = data[:_HEADER].tobytes()
        known = read_header(path, header)
        n, dim, per_block = known["n"], known["dim"], known["block_rows"]
        stop = _HEADER + 4 * n * dim
        rows_stop = stop if known["first"] is not None else stop + 8 * n
        sums = data[rows_stop:].tobytes()
        if xxhash.xxh3_128_digest(header + sums) != info.digest:
            raise _damaged(path, "its table of checksums does not match")
        if known["first"] is not None:
            rows = np.arange(known["first"], known["first"] + n, dtype=np.int64)
        else:
            rows = data[stop:rows_stop].view("<i8")
            if xxhash.xxh3_64_digest(rows.tobytes()) != sums[-8:]:
                raise _damaged(path, "its row ids do not match their checksum")
        values = data[_HEADER:stop].view("<f4").reshape(n, dim)
        table = np.frombuffer(sums, dtype="V8")
        checked = np.zeros(-(-n // per_block), bool)
        return cls(info, path, rows, values, known.get("generation", 0), per_block, table, checked)

    def __len__(self) -> int:
        return len(self.rows)

    def touch(self, start: int, stop: int) -> None:
        """Check the blocks that hold rows ``start`` to ``stop`` (positions, not row ids), those not yet checked.

        Raises:
            CorruptError: a checksum does not match.
        """
        blocks = slice(start // self._block_rows, -(-stop // self._block_rows))
        if self._checked[blocks].all():
            return
        for number in range(blocks.start, blocks.stop):
            if not self._checked[number]:
                if not self.block_is_good(number):
                    raise _damaged(self.path, f"block {number} does not match its checksum")
                self._checked[number] = True

    def block_is_good(self, number: int) -> bool:
        """Read one block and compare its checksum, whether or not it was checked before."""
        block = self.values[number * self._block_rows : (number + 1) * self._block_rows]
        return bool(xxhash.xxh3_64_digest(block.data) == self._sums[number].tobytes())

    def bad_positions(self) -> Int64[np.ndarray, " m"]:
        """Positions of all rows that stand in a damaged block; reads the whole file."""
        bad = [number for number in range(len(self._checked)) if not self.block_is_good(number)]
        spans = [np.arange(b * self._block_rows, min(len(self), (b + 1) * self._block_rows)) for b in bad]
        return np.concatenate([np.zeros(0, np.int64), *spans])


def recover_segment(path: Path) -> SegmentInfo | None:
    """What the database should say of a file, made from the file alone; None if its frame is damaged.

    The checksums inside still guard every value; only a whole file swapped for another would not be noticed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER)
        try:
            known = read_header(path, header)
        except NestvecError:
            return None
        n, per_block = known["n"], known["block_rows"]
        stop = _HEADER + 4 * n * known["dim"]
        blocks = -(-n // per_block)
        length = stop + 8 * blocks if known["first"] is not None else stop + 8 * n + 8 + 8 * blocks
        if size != length:
            return None
        file.seek(stop)
        ids = None if known["first"] is not None else np.frombuffer(file.read(8 * n), "<i8")
        sums = file.read()
    if ids is not None and xxhash.xxh3_64_digest(ids.tobytes()) != sums[-8:]:
        return None
    first, last = (known["first"], known["first"] + n - 1) if ids is None else (int(ids[0]), int(ids[-1]))
    return SegmentInfo(path.name, known["array"], n, first, last, size, xxhash.xxh3_128_digest(header + sums))


def read_header(path: Path, header: bytes) -> dict[str, Any]:
    """The header of a segment file, from its first 512 bytes.

    Raises:
        CorruptError: the checksum of the header does not match.
        FormatError: a layout that this nestvec does not know.
    """
    if len(header) != _HEADER or xxhash.xxh3_64_digest(header[:-8]) != header[-8:]:
        raise _damaged(path, "its header does not match its checksum")
    if header[:8] != _MAGIC:
        raise FormatError(f"{path} must be a segment of format 1; upgrade nestvec to read it.")
    known = json.loads(header[8:-8].rstrip(b"\0"))
    if known["dtype"] != "<f4" or known["layout"] != "rows":
        raise FormatError(f"{path} has layout {known['layout']}/{known['dtype']}; upgrade nestvec to read it.")
    return dict(known)


def _header(array: str, facts: Mapping[str, int | None]) -> bytes:
    known = {"array": array, "dtype": "<f4", "layout": "rows", **facts}
    body = (_MAGIC + json.dumps(known).encode()).ljust(_HEADER - 8, b"\0")
    return body + xxhash.xxh3_64_digest(body)


def _regroup(blocks: Iterator[Array], size: int) -> Iterator[Array]:
    """The same rows in blocks of exactly ``size``, but for the last."""
    held: list[Array] = []
    count = 0
    for block in blocks:
        rest = np.ascontiguousarray(block, "<f4")
        while len(rest):
            piece, rest = rest[: size - count], rest[size - count :]
            held.append(piece)
            count += len(piece)
            if count == size:
                yield held[0] if len(held) == 1 else np.concatenate(held)
                held, count = [], 0
    if held:
        yield held[0] if len(held) == 1 else np.concatenate(held)


def _damaged(path: Path, what: str) -> CorruptError:
    return CorruptError(
        f"{path} must hold what was written to it, but {what}. Run: nestvec repair {path.parent.parent}"
    )
