"""A segment: vectors of a range of rows in one immutable, checksummed file.

Layout, little-endian (the specification is docs/format/collection-v1.md)::

    512 bytes      magic, header as JSON, zeros, xxh3-64 of the 504 bytes before
    n * w values   of each band of w dimensions, one row after the other; one band of all d, if nothing else is said
    n * 8 bytes    row ids, int64, ascending; left out where they are first, first + 1, …
    8 bytes each   xxh3-64 of every block of rows, band after band; of the row ids, if they are there
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from nestvec.core.errors import CorruptError, FormatError, NestvecError
from nestvec.core.types import Array, Float32, Int64
from nestvec.store.disk import Disk

MAGIC = b"NVSEG\0\0\1"
HEADER = 512
"""Bytes before the values."""
LAYOUTS = {"rows": "<f4", "bands": "<f4", "ragged": "|u1"}
"""Ways in which values may lie in a segment, and the type of a value in each; the last is that of
:mod:`nestvec.store.ragged`."""
BLOCK = 1 << 20
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
    widths: tuple[int, ...],
    disk: Disk,
    generation: int = 0,
) -> SegmentInfo:
    """Write a new segment file from ``blocks`` (together ``[n, d]`` float32) and sync it; the folder is not synced.

    ``widths`` says how many dimensions stand in each band, together ``d``; ``generation``, how often the vectors of the
    whole collection had been replaced before.

    Memory: two blocks. Returns what the database should keep.
    """
    n, first, last = len(rows), int(rows[0]), int(rows[-1])
    dense = last - first == n - 1
    frame = _Frame(n, widths, max(1, BLOCK // (4 * sum(widths))), first if dense else None)
    header = frame.header(array, generation)
    sums: list[list[bytes]] = [[] for _ in widths]
    table = b""

    def pieces() -> Iterator[tuple[int, bytes | memoryview]]:
        nonlocal table
        yield 0, header
        for number, block in enumerate(_regroup(blocks, frame.block_rows)):
            for band, (lo, hi) in enumerate(pairwise(accumulate(widths, initial=0))):
                part = np.ascontiguousarray(block[:, lo:hi])
                sums[band].append(xxhash.xxh3_64_digest(part.data))
                yield frame.starts[band] + 4 * (hi - lo) * frame.block_rows * number, part.data
        table = b"".join(digest for band in sums for digest in band)
        if not dense:
            ids = np.ascontiguousarray(rows, "<i8")
            table += xxhash.xxh3_64_digest(ids.data)
            yield frame.starts[-1], ids.data
        yield frame.sums_start, table

    length = disk.write_placed(path, pieces())
    disk.sync(path)
    return SegmentInfo(path.name, array, n, first, last, length, xxhash.xxh3_128_digest(header + table))


@dataclass(frozen=True)
class Segment:
    """An open segment: row ids and values as memory maps, checked block by block when first touched.

    Args:
        info: what the database says.
        path: the file.
        rows: ``[n]`` int64, ascending.
        bands: leading dimensions first, ``[n, w]`` float32 each, read-only memory maps; together all ``d``.
        generation: how often the vectors of the whole collection had been replaced when it was written.
    """

    info: SegmentInfo
    path: Path
    rows: Int64[np.ndarray, " n"]
    bands: tuple[Float32[np.ndarray, "n _"], ...]
    generation: int
    _block_rows: int
    _sums: Array
    _checked: Array  # one bool a band and block; set only ever from False to True, so threads may race harmlessly
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
        if len(data) != info.length or info.length < HEADER:
            raise damaged(path, f"it has {len(data)} bytes instead of {info.length}")
        header = data[:HEADER].tobytes()
        known = read_header(path, header)
        frame = _Frame.of(known)
        stop, rows_stop = frame.starts[-1], frame.sums_start
        sums = data[rows_stop:].tobytes()
        if xxhash.xxh3_128_digest(header + sums) != info.digest:
            raise damaged(path, "its table of checksums does not match")
        if frame.first is not None:
            rows = np.arange(frame.first, frame.first + frame.n, dtype=np.int64)
        else:
            rows = data[stop:rows_stop].view("<i8")
            if xxhash.xxh3_64_digest(rows.tobytes()) != sums[-8:]:
                raise damaged(path, "its row ids do not match their checksum")
        spans = zip(pairwise(frame.starts), frame.widths, strict=True)
        bands = tuple(data[lo:hi].view("<f4").reshape(frame.n, width) for (lo, hi), width in spans)
        checked = np.zeros((len(bands), frame.blocks), bool)
        table = np.frombuffer(sums, "V8")[: checked.size].reshape(checked.shape)
        return cls(info, path, rows, bands, known.get("generation", 0), frame.block_rows, table, checked)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def widths(self) -> tuple[int, ...]:
        """Dimensions of each band."""
        return tuple(band.shape[1] for band in self.bands)

    @property
    def values(self) -> Float32[np.ndarray, "n d"]:
        """All vectors ``[n, d]``, not verified: the memory map where there is one band, else a copy."""
        return self.bands[0] if len(self.bands) == 1 else np.concatenate(self.bands, axis=1)

    def leading(self, width: int) -> tuple[Float32[np.ndarray, "n _"], ...]:
        """The bands that hold the first ``width`` dimensions, nothing copied; the last is cut where it holds more."""
        starts = accumulate(self.widths, initial=0)
        return tuple(band[:, : width - lo] for lo, band in zip(starts, self.bands, strict=False) if lo < width)

    def take(
        self, positions: Int64[np.ndarray, " m"] | slice, *, width: int | None = None
    ) -> Float32[np.ndarray, "m w"]:
        """The first ``width`` dimensions, or all, of the rows at ``positions``; they must have been touched."""
        parts = [band[positions] for band in (self.bands if width is None else self.leading(width))]
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    def touch(self, start: int, stop: int, /, *, width: int | None = None) -> None:
        """Check the blocks that hold rows ``start`` to ``stop`` (positions, not row ids), those not yet checked.

        Args:
            start: first position.
            stop: position after the last.
            width: only in the bands that hold so many leading dimensions; None for all.

        Raises:
            CorruptError: a checksum does not match.
        """
        blocks = slice(start // self._block_rows, -(-stop // self._block_rows))
        bands = len(self.bands)
        if width is not None:
            bands = sum(lo < width for lo in accumulate(self.widths[:-1], initial=0))
        if self._checked[:bands, blocks].all():
            return
        for band in range(bands):
            for number in range(blocks.start, blocks.stop):
                if not self._checked[band, number]:
                    if not self._is_good(band, number):
                        where = f"block {number}" + (f" of band {band}" if len(self.bands) > 1 else "")
                        raise damaged(self.path, f"{where} does not match its checksum")
                    self._checked[band, number] = True

    def _is_good(self, band: int, number: int) -> bool:
        """Read one block and compare its checksum, whether or not it was checked before."""
        block = self.bands[band][number * self._block_rows : (number + 1) * self._block_rows]
        return bool(xxhash.xxh3_64_digest(block.data) == self._sums[band, number].tobytes())

    def bad_positions(self) -> Int64[np.ndarray, " m"]:
        """Positions of all rows that stand in a damaged block of any band; reads the whole file."""
        bands, blocks = self._checked.shape
        bad = [b for b in range(blocks) if not all(self._is_good(band, b) for band in range(bands))]
        spans = [np.arange(b * self._block_rows, min(len(self), (b + 1) * self._block_rows)) for b in bad]
        return np.concatenate([np.zeros(0, np.int64), *spans])


def recover_segment(path: Path) -> SegmentInfo | None:
    """What the database should say of a file, made from the file alone; None if its frame is damaged.

    The checksums inside still guard every value; only a whole file swapped for another would not be noticed.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(HEADER)
        try:
            known = read_header(path, header)
        except NestvecError:
            return None
        frame = _Frame.of(known)
        if size != frame.length:
            return None
        file.seek(frame.starts[-1])
        ids = None if frame.first is not None else np.frombuffer(file.read(8 * frame.n), "<i8")
        sums = file.read()
    if ids is not None and xxhash.xxh3_64_digest(ids.tobytes()) != sums[-8:]:
        return None
    first = int(ids[0]) if ids is not None else known["first"]
    last = int(ids[-1]) if ids is not None else first + frame.n - 1
    return SegmentInfo(path.name, known["array"], frame.n, first, last, size, xxhash.xxh3_128_digest(header + sums))


def read_header(path: Path, header: bytes) -> dict[str, Any]:
    """The header of a segment file, from its first 512 bytes.

    Raises:
        CorruptError: the checksum of the header does not match.
        FormatError: a layout that this nestvec does not know.
    """
    if len(header) != HEADER or xxhash.xxh3_64_digest(header[:-8]) != header[-8:]:
        raise damaged(path, "its header does not match its checksum")
    if header[:8] != MAGIC:
        raise FormatError(f"{path} must be a segment of format 1; upgrade nestvec to read it.")
    known = json.loads(header[8:-8].rstrip(b"\0"))
    if LAYOUTS.get(known["layout"]) != known["dtype"]:
        raise FormatError(f"{path} has layout {known['layout']}/{known['dtype']}; upgrade nestvec to read it.")
    return dict(known)


def seal(known: Mapping[str, Any]) -> bytes:
    """The first bytes of a segment file, with their checksum; :func:`read_header` reads them."""
    body = (MAGIC + json.dumps(dict(known)).encode()).ljust(HEADER - 8, b"\0")
    return body + xxhash.xxh3_64_digest(body)


@dataclass(frozen=True)
class _Frame:
    """Where in a segment file what stands.

    Args:
        n: rows.
        widths: dimensions of each band.
        block_rows: rows under one checksum.
        first: row id of the first row if they are without gaps; else None, and the row ids are in the file.
    """

    n: int
    widths: tuple[int, ...]
    block_rows: int
    first: int | None

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> _Frame:
        """The frame that a header tells of."""
        widths = known["widths"] if known["layout"] == "bands" else (known["dim"],)
        return cls(known["n"], tuple(widths), known["block_rows"], known["first"])

    @property
    def starts(self) -> tuple[int, ...]:
        """Offset of each band, and of what comes after the last."""
        return tuple(accumulate((4 * self.n * width for width in self.widths), initial=HEADER))

    @property
    def blocks(self) -> int:
        """Checksums of one band."""
        return -(-self.n // self.block_rows)

    @property
    def sums_start(self) -> int:
        """Offset of the table of checksums."""
        return self.starts[-1] + (0 if self.first is not None else 8 * self.n)

    @property
    def length(self) -> int:
        """Of the whole file."""
        return self.sums_start + 8 * (len(self.widths) * self.blocks + (self.first is None))

    def header(self, array: str, generation: int) -> bytes:
        """The first bytes of the file, with their checksum."""
        banded = len(self.widths) > 1
        known: dict[str, Any] = {"array": array, "dtype": "<f4", "layout": "bands" if banded else "rows"}
        known |= {"n": self.n, "dim": sum(self.widths), "block_rows": self.block_rows, "first": self.first}
        known |= {"widths": self.widths} if banded else {}
        known |= {"generation": generation} if generation else {}
        return seal(known)


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


def damaged(path: Path, what: str) -> CorruptError:
    """The error for a segment file that is not as it was written."""
    return CorruptError(
        f"{path} must hold what was written to it, but {what}. Run: nestvec repair {path.parent.parent}"
    )
