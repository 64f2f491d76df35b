"""Rows of which only some numbers are kept: which they are is stored beside them, and counts.

Three forms. ``coo@1`` names every kept number by its place, ``csr@1`` says where each row begins and names columns, and
``leading@1`` keeps the beginning of every row, so a length a row is all there is to say. Which of the first two a part
has follows from its sizes alone: the smaller one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Bool, Int64
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes
from nestvec.tables.packing import Packed, Shapes

_BLOCK = 16
"""``leading@1`` says where one row in so many begins; the others are found by adding lengths."""


@dataclass(frozen=True)
class CSR:
    """Compressed sparse rows: those of row ``i`` are ``values[starts[i] : starts[i + 1]]``, at ``columns`` likewise.

    Args:
        values: ``[kept]`` float32 or float16.
        columns: ``[kept]`` unsigned, rising inside a row.
        starts: ``[n + 1]``.
        shape: ``[2]`` int64: ``n`` and ``w``.

    Source: Saad 2003, sec. 3.4 (SIAM, Iterative Methods for Sparse Linear Systems).
    """

    values: Array
    columns: Array
    starts: Array
    shape: Array

    id: ClassVar[str] = "csr@1"

    @classmethod
    def of(cls, values: Array, mask: Array, dtype: str) -> CSR:
        """Those of ``values`` ``[n, w]`` that ``mask`` keeps."""
        rows, columns = np.nonzero(mask)
        starts = np.concatenate([np.zeros(1, np.int64), np.cumsum(mask.sum(axis=1))])
        return cls(
            _float(values[rows, columns], dtype), columns.astype(_unsigned(mask.shape[1] - 1)),
            starts.astype(_unsigned(len(rows))), np.array(mask.shape, np.int64),
        )  # fmt: skip

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        row, where = _stretches(_ints(self.starts, at), _ints(self.starts, at + 1))
        out = np.zeros((len(at), int(self.shape[1])), np.float32)
        out[row, self.columns[where]] = self.values[where]
        return out

    def mask(self) -> Bool[np.ndarray, "n w"]:
        """What is kept."""
        found = np.zeros(tuple(self.shape), bool)
        starts: Array = self.starts.astype(np.int64)
        found[np.repeat(np.arange(len(found)), starts[1:] - starts[:-1]), self.columns] = True
        return found

    def arrays(self) -> dict[str, Array]:
        """``values``, ``columns``, ``starts``, ``shape``."""
        return {name: getattr(self, name) for name in ("values", "columns", "starts", "shape")}


@dataclass(frozen=True)
class COO:
    """Coordinates: number ``j`` stands in row ``places[j] // w`` at column ``places[j] % w``.

    Args:
        values: ``[kept]`` float32 or float16.
        places: ``[kept]``, rising.
        shape: ``[2]`` int64: ``n`` and ``w``.

    Source: Saad 2003, sec. 3.4 (SIAM, Iterative Methods for Sparse Linear Systems), both coordinates in one number.
    """

    values: Array
    places: Array
    shape: Array

    id: ClassVar[str] = "coo@1"

    @classmethod
    def of(cls, values: Array, mask: Array, dtype: str) -> COO:
        """Those of ``values`` ``[n, w]`` that ``mask`` keeps."""
        places = np.flatnonzero(mask)
        kept = values.reshape(-1)[places]
        return cls(_float(kept, dtype), places.astype(_unsigned(mask.size)), np.array(mask.shape, np.int64))

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32; a binary search each."""
        width = int(self.shape[1])
        first = (at * width).astype(self.places.dtype)  # of one type, or numpy copies all places
        last = ((at + 1) * width).astype(self.places.dtype)
        row, where = _stretches(np.searchsorted(self.places, first), np.searchsorted(self.places, last))
        out = np.zeros((len(at), width), np.float32)
        out[row, self.places[where] % width] = self.values[where]
        return out

    def mask(self) -> Bool[np.ndarray, "n w"]:
        """What is kept."""
        found = np.zeros(int(np.prod(self.shape)), bool)
        found[self.places] = True
        return found.reshape(tuple(self.shape))

    def arrays(self) -> dict[str, Array]:
        """``values``, ``places``, ``shape``."""
        return {name: getattr(self, name) for name in ("values", "places", "shape")}


@dataclass(frozen=True)
class Leading:
    """The first ``lengths[i]`` numbers of row ``i``, one row after another; the rest of a row is zeros.

    Args:
        values: ``[kept]`` float32 or float16.
        lengths: ``[n]`` unsigned; 0 for a row that is not kept.
        starts: ``[ceil(n / 16)]`` where every sixteenth row begins.
        shape: ``[2]`` int64: ``n`` and ``w``.
    """

    values: Array
    lengths: Array
    starts: Array
    shape: Array

    id: ClassVar[str] = "leading@1"

    @classmethod
    def of(cls, values: Array, mask: Array, dtype: str) -> Leading:
        """Those of ``values`` ``[n, w]`` that ``mask`` keeps, which are the first of their rows."""
        lengths = mask.sum(axis=1)
        starts = np.cumsum(lengths) - lengths
        return cls(
            _float(values[mask], dtype), lengths.astype(_unsigned(mask.shape[1])),
            starts[::_BLOCK].astype(_unsigned(int(lengths.sum()))), np.array(mask.shape, np.int64),
        )  # fmt: skip

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        block = at // _BLOCK
        near = (block * _BLOCK)[:, None] + np.arange(_BLOCK)
        before = np.where(near < at[:, None], np.take(self.lengths, near, mode="clip"), 0).sum(axis=1, dtype=np.int64)
        first = _ints(self.starts, block) + before
        row, where = _stretches(first, first + _ints(self.lengths, at))
        out = np.zeros((len(at), int(self.shape[1])), np.float32)
        out[row, where - first[row]] = self.values[where]
        return out

    def mask(self) -> Bool[np.ndarray, "n w"]:
        """What is kept."""
        found: Array = np.arange(int(self.shape[1])) < self.lengths[:, None]
        return found

    def arrays(self) -> dict[str, Array]:
        """``values``, ``lengths``, ``starts``, ``shape``."""
        return {name: getattr(self, name) for name in ("values", "lengths", "starts", "shape")}


def pruned_shapes(codec: str, part: Part) -> Shapes:
    """The arrays of a part that keeps ``part.kept`` numbers, before there is one; see :func:`pruned`."""
    n, w, kept = part.rows, part.width, part.kept or 0
    values, shape = {"values": (_dtype(codec), (kept,))}, {"shape": ("int64", (2,))}
    if part.leading:
        lengths = {"lengths": (_unsigned(w), (n,)), "starts": (_unsigned(kept), (-(-n // _BLOCK),))}
        return {**values, **lengths, **shape}
    if _by_place(n, w, kept):
        return {**values, "places": (_unsigned(n * w), (kept,)), **shape}
    return {**values, "columns": (_unsigned(w - 1), (kept,)), "starts": (_unsigned(kept), (n + 1,)), **shape}


def pruned(codec: str, values: Array, mask: Array, *, leading: bool) -> Packed:
    """Those of ``values`` ``[n, w]`` that ``mask`` keeps: float32, or half precision under any other codec.

    A scale a row would cost more than it saves where a row keeps a few numbers.
    """
    dtype = _dtype(codec)
    if leading:
        return Leading.of(values, mask, dtype)
    n, w = mask.shape
    return COO.of(values, mask, dtype) if _by_place(n, w, int(mask.sum())) else CSR.of(values, mask, dtype)


def spread(rows: int, width: int, kept: int) -> Bool[np.ndarray, "rows width"]:
    """The first numbers of every row, as many as make ``kept`` together; rows differ by one at most."""
    each, more = divmod(kept, rows)
    lengths = each + (np.arange(rows) < more)
    mask: Array = np.arange(width) < lengths[:, None]
    return mask


def largest(scores: Array, kept: int) -> Bool[np.ndarray, "n w"]:
    """True at exactly ``kept`` of the highest ``scores`` ``[n, w]``; equal scores go to the earlier place."""
    flat = scores.reshape(-1)
    mask = np.zeros(flat.size, bool)
    if kept:
        bar = np.partition(flat, flat.size - kept)[flat.size - kept]
        mask[flat > bar] = True
        mask[np.flatnonzero(flat == bar)[: kept - int(mask.sum())]] = True
    return mask.reshape(scores.shape)


@dataclass(frozen=True)
class OwnRows:
    """``row(id)`` is a row of its own, of which some numbers are kept: what methods of such tables share.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        kept: numbers of all rows together that are not zero.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    kept: int = 1

    leading: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_kept(self.kept, self.sizes.total * self.dim)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From as many numbers as one row a field has, to all."""
        return Knob("kept", len(sizes.rows) * dim, sizes.total * dim)

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(self.sizes.total, self.dim, kept=self.kept, leading=self.leading)}

    def locate(self, ids: Ids) -> Places:
        """The id itself."""
        return {"rows": ids.flat[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:  # noqa: ARG002  # methods are all asked alike
        """The row as it is."""
        return read.rows("rows")[:, 0]


def check_kept(kept: int, most: int) -> None:
    """Return if so many numbers can be kept of ``most``.

    Raises:
        InputError: there are fewer, or none is kept.
    """
    if not 1 <= kept <= most:
        raise InputError(f"kept must be from 1 to the {most:,} numbers of the rows, got {kept:,}.")


def _by_place(n: int, w: int, kept: int) -> bool:
    place, column, start = (np.dtype(_unsigned(top)).itemsize for top in (n * w, w - 1, kept))
    return kept * place <= kept * column + (n + 1) * start


def _dtype(codec: str) -> str:
    return "float32" if codec == "float32" else "float16"


def _float(values: Array, dtype: str) -> Array:
    top = np.finfo(dtype).max
    found: Array = np.clip(values, -top, top).astype(dtype)
    return found


def _unsigned(top: int) -> str:
    """The smallest type that holds ``top``."""
    return next((name for name in ("uint8", "uint16", "uint32") if top <= np.iinfo(name).max), "int64")


def _ints(of: Array, at: Array) -> Any:
    return np.take(of, at, mode="clip").astype(np.int64)


def _stretches(first: Array, last: Array) -> tuple[Array, Array]:
    """For stretches from ``first`` to ``last``: which stretch each member is of, and the members, all in a row."""
    counts = last - first
    row = np.repeat(np.arange(len(counts)), counts)
    return row, np.arange(len(row)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
