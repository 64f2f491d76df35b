"""Several vectors a row: a segment whose rows hold as many codes as they like, in one immutable, checksummed file.

Layout, little-endian (the specification is docs/format/collection-v1.md)::

    512 bytes      magic, header as JSON, zeros, xxh3-64 of the 504 bytes before
    t * w bytes    the codes of all vectors, w bytes each, those of the first row first
    (n + 1) * 8    offsets, int64: row i holds vectors offsets[i] to offsets[i + 1]
    n * 8 bytes    row ids, int64, ascending; left out where they are first, first + 1, …
    8 bytes each   xxh3-64 of every block of vectors; of the offsets; of the row ids, if they are there

What a code means is not the store's business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import xxhash

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, NestvecError, ShapeError
from nestvec.core.types import Array, ArrayLike, Int64, Matrix, UInt8
from nestvec.store.disk import Disk
from nestvec.store.segment import BLOCK, HEADER, Segment, SegmentInfo, damaged, read_header, recover_segment, seal


@dataclass(frozen=True, eq=False)
class Ragged:
    """Codes of several vectors a row.

    Args:
        values: ``[t, w]`` uint8, the codes of row 0 first.
        offsets: ``[n + 1]`` int64; row ``i`` holds codes ``offsets[i]`` to ``offsets[i + 1]``.

    Raises:
        InputError: the values are no bytes.
        ShapeError: the offsets do not rise from 0 to ``t``.
    """

    values: UInt8[np.ndarray, "t w"]
    offsets: Int64[np.ndarray, " n1"]

    def __post_init__(self) -> None:
        if self.values.dtype != np.uint8 or self.values.ndim != 2:
            raise InputError(f"codes must be [t, w] uint8, got {self.values.dtype} of shape {self.values.shape}.")
        if not rises(self.offsets, to=len(self.values)):
            told = f"shape {self.offsets.shape} and {self.offsets[:5]}"
            raise ShapeError(f"offsets must rise from 0 to {len(self.values)}, got {told}.")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, rows: Int64[np.ndarray, " m"] | list[int] | slice) -> Ragged:
        """The codes of some rows, in the order given."""
        chosen = np.arange(len(self))[rows]
        starts, lengths = self.offsets[chosen], np.diff(self.offsets)[chosen]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        if len(chosen) and (starts[1:] == (starts + lengths)[:-1]).all():  # they lie one after the other
            return Ragged(self.values[int(starts[0]) : int(starts[-1] + lengths[-1])], offsets)
        at = np.repeat(starts - offsets[:-1], lengths) + np.arange(offsets[-1])
        return Ragged(self.values[at], offsets)

    @classmethod
    def join(cls, parts: list[Ragged], *, width: int) -> Ragged:
        """Several as one, in their order; of none an empty one, its codes of ``width`` bytes."""
        values = np.concatenate([np.zeros((0, width), np.uint8), *(part.values for part in parts)])
        lengths = np.concatenate([np.zeros(1, np.int64), *(np.diff(part.offsets) for part in parts)])
        return cls(values, np.cumsum(lengths))


def as_block(values: ArrayLike | Ragged, *, name: str, dim: int, ragged: bool) -> Matrix | Ragged:
    """Values as a segment takes them: vectors ``[n, dim]``, or codes of ``dim`` bytes.

    Raises:
        InputError: codes must come, and something else did.
        ShapeError, NotFiniteError: they do not fit; see :func:`nestvec.core.as_matrix`.
    """
    if not ragged:
        return as_matrix(cast(ArrayLike, values), name=name, dim=dim)
    if not isinstance(values, Ragged):
        raise InputError(f"{name} must be Ragged codes of {dim} bytes, got {type(values).__name__}.")
    if values.values.shape[1] != dim:
        raise ShapeError(f"{name} must be codes of {dim} bytes, got {values.values.shape[1]}.")
    return values


def rises(offsets: Array, *, to: int) -> bool:
    """Whether offsets are int64 ``[n + 1]`` and rise from 0 to ``to``."""
    shaped = offsets.dtype == np.int64 and offsets.ndim == 1 and len(offsets) > 0
    return bool(shaped and offsets[0] == 0 and offsets[-1] == to and (np.diff(offsets) >= 0).all())


def write_ragged(
    path: Path,
    array: str,
    rows: Int64[np.ndarray, " n"],
    blocks: Iterator[Ragged],
    *,
    width: int,
    disk: Disk,
    generation: int = 0,
) -> SegmentInfo:
    """Write a new segment file from ``blocks`` (together ``n`` rows) and sync it; the folder is not synced.

    The header comes last, for only then it is known how many vectors there are. Memory: two blocks and the offsets.
    """
    size = max(1, BLOCK // width)
    lengths: list[Array] = []
    sums: list[bytes] = []
    header = table = b""

    def pieces() -> Iterator[tuple[int, bytes | memoryview]]:
        nonlocal header, table
        for number, part in enumerate(_regrouped(blocks, size, lengths)):
            sums.append(xxhash.xxh3_64_digest(part.data))
            yield HEADER + number * size * width, part.data
        offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum().astype("<i8")
        frame = _Frame(len(rows), width, int(offsets[-1]), size, _first(rows))
        sums.append(xxhash.xxh3_64_digest(offsets.data))
        yield frame.offsets_at, offsets.data
        if frame.first is None:
            ids = np.ascontiguousarray(rows, "<i8")
            sums.append(xxhash.xxh3_64_digest(ids.data))
            yield frame.rows_at, ids.data
        header, table = frame.header(array, generation), b"".join(sums)
        yield frame.sums_at, table
        yield 0, header

    length = disk.write_placed(path, pieces())
    disk.sync(path)
    digest = xxhash.xxh3_128_digest(header + table)
    return SegmentInfo(path.name, array, len(rows), int(rows[0]), int(rows[-1]), length, digest)


@dataclass(frozen=True, eq=False)
class RaggedSegment:
    """An open segment of several vectors a row: codes as a memory map, checked block by block when first touched.

    Args:
        info: what the database says.
        path: the file.
        rows: ``[n]`` int64, ascending.
        held: all codes, a read-only memory map, and where those of each row begin; the codes are not verified.
        generation: how often the vectors of the whole collection had been replaced when it was written.
    """

    info: SegmentInfo
    path: Path
    rows: Int64[np.ndarray, " n"]
    held: Ragged
    generation: int
    _block: int
    _sums: Array
    _checked: Array  # one bool a block; set only ever from False to True, so threads may race harmlessly

    @classmethod
    def open(cls, folder: Path, info: SegmentInfo) -> RaggedSegment:
        """Map a file, checking its length, its header, its table of checksums, its offsets and its row ids.

        Raises:
            FileNotFoundError: it is gone.
            CorruptError: one of them does not match what the database says.
            FormatError: a layout that this nestvec does not know.
        """
        path = folder / info.name
        data = np.asarray(np.memmap(path, np.uint8, "r"))
        header = data[:HEADER].tobytes()
        known = read_header(path, header)
        frame = _Frame.of(known)
        if not len(data) == info.length == frame.length:
            raise damaged(path, f"it has {len(data)} bytes instead of {info.length}")
        sums = data[frame.sums_at :].tobytes()
        if xxhash.xxh3_128_digest(header + sums) != info.digest:
            raise damaged(path, "its table of checksums does not match")
        offsets, rows = frame.index(path, data[frame.offsets_at : frame.sums_at].tobytes(), sums)
        held = Ragged(data[HEADER : frame.offsets_at].reshape(frame.vectors, frame.width), offsets)
        table = np.frombuffer(sums, "V8")[: frame.blocks]
        return cls(info, path, rows, held, known.get("generation", 0), frame.block, table, np.zeros(frame.blocks, bool))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bytes of a code, as the one band that there is."""
        return (self.held.values.shape[1],)

    def take(self, positions: Int64[np.ndarray, " m"] | slice) -> Ragged:
        """The codes of the rows at ``positions``; they must have been touched."""
        return self.held[positions]

    def touch(self, start: int, stop: int, /) -> None:
        """Check the blocks that hold rows ``start`` to ``stop`` (positions, not row ids), those not yet checked.

        Raises:
            CorruptError: a checksum does not match.
        """
        self.touch_at(np.arange(start, stop))

    def touch_at(self, positions: Int64[np.ndarray, " m"]) -> None:
        """Check the blocks that hold the rows at ``positions``, those not yet checked.

        Raises:
            CorruptError: a checksum does not match.
        """
        if self._checked.all():
            return
        edges = np.zeros(len(self._checked) + 1, np.int64)
        np.add.at(edges, self.held.offsets[positions] // self._block, 1)
        np.add.at(edges, -(-self.held.offsets[positions + 1] // self._block), -1)
        for number in np.flatnonzero((edges.cumsum()[:-1] > 0) & ~self._checked).tolist():
            if not self._is_good(number):
                raise damaged(self.path, f"block {number} does not match its checksum")
            self._checked[number] = True

    def _is_good(self, number: int) -> bool:
        block = self.held.values[number * self._block : (number + 1) * self._block]
        return bool(xxhash.xxh3_64_digest(block.data) == self._sums[number].tobytes())

    def bad_positions(self) -> Int64[np.ndarray, " m"]:
        """Positions of all rows that stand in a damaged block; reads the whole file."""
        bad = np.array([not self._is_good(number) for number in range(len(self._checked))], bool)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(bad)])  # damaged blocks before each
        starts, stops = self.held.offsets[:-1] // self._block, -(-self.held.offsets[1:] // self._block)
        return np.flatnonzero(before[stops] > before[starts])


def open_file(folder: Path, info: SegmentInfo) -> Segment | RaggedSegment:
    """Map a segment file of either kind; see :meth:`Segment.open` and :meth:`RaggedSegment.open`."""
    return (RaggedSegment if _is_ragged(folder / info.name) else Segment).open(folder, info)


def recover_file(path: Path) -> SegmentInfo | None:
    """What the database should say of a file of either kind, made from the file alone; None if its frame is damaged."""
    if not _is_ragged(path):
        return recover_segment(path)
    data = path.read_bytes()
    known = read_header(path, data[:HEADER])
    frame = _Frame.of(known)
    if len(data) != frame.length:
        return None
    sums = data[frame.sums_at :]
    try:
        _, rows = frame.index(path, data[frame.offsets_at : frame.sums_at], sums)
    except NestvecError:
        return None
    digest = xxhash.xxh3_128_digest(data[:HEADER] + sums)
    return SegmentInfo(path.name, known["array"], frame.n, int(rows[0]), int(rows[-1]), len(data), digest)


def _is_ragged(path: Path) -> bool:
    """Whether a file says so; one whose header is damaged does not."""
    with path.open("rb") as file:
        try:
            return bool(read_header(path, file.read(HEADER))["layout"] == "ragged")
        except NestvecError:
            return False


def _first(rows: Array) -> int | None:
    return int(rows[0]) if int(rows[-1] - rows[0]) == len(rows) - 1 else None


def _regrouped(blocks: Iterator[Ragged], size: int, lengths: list[Array]) -> Iterator[Array]:
    """The codes in blocks of exactly ``size``, but for the last; how many each row holds goes to ``lengths``."""
    held: list[Array] = []
    count = 0
    for block in blocks:
        lengths.append(np.diff(block.offsets))
        rest = block.values
        while len(rest):
            piece, rest = rest[: size - count], rest[size - count :]
            held.append(piece)
            count += len(piece)
            if count == size:
                yield np.ascontiguousarray(np.concatenate(held))
                held, count = [], 0
    if held:
        yield np.ascontiguousarray(np.concatenate(held))


@dataclass(frozen=True)
class _Frame:
    """Where in the file what stands.

    Args:
        n: rows.
        width: bytes of a code.
        vectors: codes.
        block: codes under one checksum.
        first: row id of the first row if they are without gaps; else None, and the row ids are in the file.
    """

    n: int
    width: int
    vectors: int
    block: int
    first: int | None

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> _Frame:
        """The frame that a header tells of."""
        return cls(known["n"], known["dim"], known["vectors"], known["block_rows"], known["first"])

    @property
    def blocks(self) -> int:
        """Checksums of codes."""
        return -(-self.vectors // self.block)

    @property
    def offsets_at(self) -> int:
        """Where the offsets begin."""
        return HEADER + self.vectors * self.width

    @property
    def rows_at(self) -> int:
        """Where the row ids begin, if they are there."""
        return self.offsets_at + 8 * (self.n + 1)

    @property
    def sums_at(self) -> int:
        """Where the table of checksums begins."""
        return self.rows_at + (0 if self.first is not None else 8 * self.n)

    @property
    def length(self) -> int:
        """Of the whole file."""
        return self.sums_at + 8 * (self.blocks + 1 + (self.first is None))

    def index(self, path: Path, stored: bytes, sums: bytes) -> tuple[Int64[np.ndarray, " n1"], Int64[np.ndarray, " n"]]:
        """Offsets and row ids from the bytes that hold them, verified.

        Raises:
            CorruptError: one of them does not match its checksum.
        """
        cut, at = 8 * (self.n + 1), 8 * self.blocks
        if xxhash.xxh3_64_digest(stored[:cut]) != sums[at : at + 8]:
            raise damaged(path, "its offsets do not match their checksum")
        offsets = np.frombuffer(stored[:cut], "<i8").astype(np.int64)
        if not rises(offsets, to=self.vectors):
            raise damaged(path, "its offsets do not rise")
        if self.first is not None:
            return offsets, np.arange(self.first, self.first + self.n, dtype=np.int64)
        if xxhash.xxh3_64_digest(stored[cut:]) != sums[at + 8 : at + 16]:
            raise damaged(path, "its row ids do not match their checksum")
        return offsets, np.frombuffer(stored[cut:], "<i8").astype(np.int64)

    def header(self, array: str, generation: int) -> bytes:
        """The first bytes of the file, with their checksum."""
        known: dict[str, Any] = {"array": array, "dtype": "|u1", "layout": "ragged", "n": self.n, "dim": self.width}
        known |= {"vectors": self.vectors, "block_rows": self.block, "first": self.first}
        return seal(known | ({"generation": generation} if generation else {}))
