"""The numbers of a table, a record a row, in a file without a name that this process alone has mapped.

A record holds the values of a row and what training keeps of it, so that a saved record goes on learning as it would
have. The file is room to work in: it goes with the process, and what lasts is what was saved.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nestvec.core.types import Array, Float32, Int64, Matrix, UInt8
from nestvec.kernels.idhash import mix64
from nestvec.tables.growing.keys import Fingerprints

_INT8 = 127.0


@dataclass(frozen=True)
class Record:
    """How a row is kept.

    Args:
        dim: numbers in a row.
        dtype: ``float32``; or ``int8``, with a float32 scale a row.
    """

    dim: int
    dtype: str

    @property
    def width(self) -> int:
        """Bytes: values, the scale of int8, and one float32 of optimiser state."""
        return (4 * self.dim if self.dtype == "float32" else self.dim + 4) + 4

    def values(self, records: UInt8[np.ndarray, "n w"]) -> Matrix:
        """``[n, width]`` records -> ``[n, dim]`` float32."""
        if self.dtype == "float32":
            return np.ascontiguousarray(records[:, :-4]).view(np.float32)
        codes = np.ascontiguousarray(records[:, : self.dim]).view(np.int8)
        scale = np.ascontiguousarray(records[:, self.dim : -4]).view(np.float32)
        return codes * scale

    def state(self, records: UInt8[np.ndarray, "n w"]) -> Float32[np.ndarray, " n"]:
        """``[n]``: the sum of squared gradients of each row."""
        return np.ascontiguousarray(records[:, -4:]).view(np.float32)[:, 0]

    def made(
        self, values: Matrix, state: Float32[np.ndarray, " n"], *, rng: np.random.Generator | None = None
    ) -> UInt8[np.ndarray, "n w"]:
        """``[n, dim]`` values and their state -> ``[n, width]`` records.

        Args:
            values: float32.
            state: of the optimiser.
            rng: round int8 up or down by chance, so that steps smaller than half a unit are not lost; None for the
                nearest.

        Source: Li et al. 2022, sec. 3 (arXiv:2212.05735), for rounding by chance in tables that are trained.
        """
        out = np.empty((len(values), self.width), np.uint8)
        out[:, -4:] = state[:, None].view(np.uint8)
        if self.dtype == "float32":
            out[:, :-4] = np.ascontiguousarray(values).view(np.uint8)
            return out
        scale = np.abs(values).max(axis=1, keepdims=True, initial=0) / np.float32(_INT8)
        scale = np.maximum(scale, np.finfo(np.float32).tiny)
        units = values / scale
        rounded = np.rint(units) if rng is None else np.floor(units + rng.random(units.shape, np.float32))
        out[:, : self.dim] = np.clip(rounded, -_INT8, _INT8).astype(np.int8).view(np.uint8)
        out[:, self.dim : -4] = scale.astype(np.float32).view(np.uint8)
        return out


def first_values(keys: Fingerprints, dim: int, spread: float) -> Matrix:
    """``[n, dim]`` uniform in ``±spread``, out of the key alone: the same whenever and wherever it gets its row."""
    out = np.empty((len(keys), dim), np.float32)
    for a in range(0, len(keys), 4096):
        seeds = keys.low[a : a + 4096, None] + np.arange(1, dim + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        unit = (mix64(seeds) >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-24)  # 24 bits: exact in float32
        out[a : a + 4096] = (2 * unit - 1) * np.float32(spread)
    return out


class RowFile:
    """Records ``[most, width]`` in a file without a name, of which a bounded part is in memory.

    While all rows in use fit into what the table may take, the file is mapped and rows are gathered out of the mapping.
    Later they are read by calls, for a mapping would bring 64 KB into memory with every row that is touched.

    Args:
        folder: where the file is made.
        record: how a row is kept.
        most: rows; the file is as long as that from the start, and takes room on the disk as it is written.
        mapped: rows in use up to which the mapping serves.
    """

    def __init__(self, folder: Path, record: Record, most: int, *, mapped: int) -> None:
        self.record, self._most_mapped, self._end = record, mapped, 0
        self._handle, name = tempfile.mkstemp(prefix=".rows-", dir=folder)
        os.unlink(name)  # noqa: PTH108  # it goes when the process does, however that ends
        os.truncate(self._handle, most * record.width)
        self._map: mmap.mmap | None = mmap.mmap(self._handle, most * record.width)

    def write(self, rows: Int64[np.ndarray, " n"], records: UInt8[np.ndarray, "n w"]) -> None:
        """Write the records of ascending row numbers. A full disk is an error; in a mapping it would be fatal."""
        width, data = self.record.width, np.ascontiguousarray(records).data.cast("B")
        for a, b in runs(rows):
            piece, at = data[a * width : b * width], int(rows[a]) * width
            while len(piece):
                done = os.pwrite(self._handle, piece, at)
                piece, at = piece[done:], at + done
        if len(rows) and int(rows[-1]) >= self._end:
            self._end = int(rows[-1]) + 1
            if self._end > self._most_mapped and self._map is not None:
                self._map.close()  # the system keeps what was written, outside this process
                self._map = None

    def take(self, rows: Int64[np.ndarray, " n"]) -> UInt8[np.ndarray, "n w"]:
        """``[n]`` row numbers -> a copy of their records."""
        width = self.record.width
        if self._map is not None:
            found: UInt8[np.ndarray, "n w"] = np.frombuffer(self._map, np.uint8).reshape(-1, width)[rows]
            return found
        # rows that were admitted together lie together: one call for each run of them
        pieces = [os.pread(self._handle, (b - a) * width, int(rows[a]) * width) for a, b in runs(rows)]
        return np.frombuffer(b"".join(pieces), np.uint8).reshape(-1, width)

    def close(self) -> None:
        """Give the room back. Calling it twice is allowed."""
        if self._handle >= 0:
            if self._map is not None:
                self._map.close()
            os.close(self._handle)
            self._handle = -1


def runs(numbers: Array) -> Iterator[tuple[int, int]]:
    """``(start, end)`` of every run of consecutive numbers in an array of them."""
    breaks = (np.flatnonzero(np.diff(numbers.astype(np.int64)) != 1) + 1).tolist()
    starts = [0, *breaks] if len(numbers) else []
    return zip(starts, [*breaks, len(numbers)], strict=False)
