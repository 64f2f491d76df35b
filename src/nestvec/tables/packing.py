"""How the rows of a part are kept where they are served: floats, or a few bits a number with a scale a row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nestvec.core.catalog import Catalog
from nestvec.core.types import Array, Int64

Shapes = Mapping[str, tuple[str, tuple[int, ...]]]
"""Arrays before they exist: name to numpy type and shape."""

_LEAST_WIDTH = 4
"""Below it the two half-precision numbers of a row cost more than its bits save."""
TOP = 30_000.0
"""What the largest number of a part is in half precision: near its end, so that small rows have room below."""
_CLIPS = (1.0, 0.93, 0.86, 0.79, 0.72, 0.65, 0.58)
"""Parts of a row's range that are tried where few levels make clipping pay."""


@runtime_checkable
class Packed(Protocol):
    """Rows that can be read where they lie."""

    id: ClassVar[str]

    def take(self, at: Int64[np.ndarray, " m"], /) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        ...

    def arrays(self) -> dict[str, Array]:
        """What is stored."""
        ...


@dataclass(frozen=True)
class Floats:
    """Rows as they are, in float32 or float16.

    Args:
        values: ``[n, w]``.
    """

    values: Array

    id: ClassVar[str] = "floats@1"

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        return np.take(self.values, at, axis=0, mode="clip").astype(np.float32, copy=False)

    def arrays(self) -> dict[str, Array]:
        """``values``."""
        return {"values": self.values}


@dataclass(frozen=True)
class RowCodes:
    """``b`` bits a number: ``x = unit * (low_i + scale_i * code)`` with two half-precision numbers for row ``i``.

    Args:
        codes: ``[n, ceil(w b / 8)]`` uint8; the first number of a byte in its lowest bits.
        scale: ``[n]`` float16.
        low: ``[n]`` float16.
        shape: ``[2]`` int64: ``w`` and ``b`` (8, 4 or 2).
        unit: ``[1]`` float32, which makes the most of the range of half precision.

    Source: Guan et al. 2019, sec. 3 (arXiv:1911.02079): row-wise uniform quantisation with a searched clipping range.
    """

    codes: Array
    scale: Array
    low: Array
    shape: Array
    unit: Array

    id: ClassVar[str] = "row_codes@1"

    @classmethod
    def fit(cls, values: Array, *, bits: int) -> RowCodes:
        """Quantise ``values`` ``[n, w]`` float32, each row clipped where its squared error is least."""
        unit = np.float32((np.abs(values).max(initial=0) or 1) / TOP)
        x = values / unit
        middle, half = (x.max(axis=1) + x.min(axis=1)) / 2, (x.max(axis=1) - x.min(axis=1)) / 2
        best = np.full(len(x), np.inf, np.float32)
        scale, low = np.zeros(len(x), np.float16), np.zeros(len(x), np.float16)
        for clip in _CLIPS if bits < 8 else _CLIPS[:1]:
            a = (middle - clip * half).astype(np.float16)
            s = (2 * clip * half / (2**bits - 1)).astype(np.float16)
            error = np.square(_round(x, s, a, bits) * _wide(s) + _wide(a) - x).sum(axis=1)
            better = error < best
            best[better], scale[better], low[better] = error[better], s[better], a[better]
        return cls.of(_round(x, scale, low, bits).astype(np.uint8), scale, low, bits=bits, unit=float(unit))

    @classmethod
    def of(cls, numbers: Array, scale: Array, low: Array, *, bits: int, unit: float) -> RowCodes:
        """Pack ``numbers`` ``[n, w]`` uint8, each below ``2**bits``."""
        shape = np.array([numbers.shape[1], bits], np.int64)
        return cls(pack(numbers, bits), scale, low, shape, np.array([unit], np.float32))

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        width, bits = int(self.shape[0]), int(self.shape[1])
        rows = unpack(np.take(self.codes, at, axis=0, mode="clip"), width, bits).astype(np.float32)
        rows *= np.take(self.scale, at, mode="clip").astype(np.float32)[:, None]
        rows += np.take(self.low, at, mode="clip").astype(np.float32)[:, None]
        rows *= self.unit
        return rows

    def numbers(self) -> Array:
        """``[n, w]`` uint8: what :meth:`of` packed."""
        return unpack(self.codes, int(self.shape[0]), int(self.shape[1]))

    def arrays(self) -> dict[str, Array]:
        """``codes``, ``scale``, ``low``, ``shape``, ``unit``."""
        return {name: getattr(self, name) for name in ("codes", "scale", "low", "shape", "unit")}


def pack(numbers: Array, bits: int) -> Array:
    """``[n, w]`` uint8 below ``2**bits`` -> ``[n, ceil(w bits / 8)]`` uint8."""
    if bits == 8:
        return np.ascontiguousarray(numbers)
    per = 8 // bits
    padded = np.zeros((len(numbers), -(-numbers.shape[1] // per) * per), np.uint8)
    padded[:, : numbers.shape[1]] = numbers
    out = np.zeros((len(numbers), padded.shape[1] // per), np.uint8)
    for place in range(per):
        out |= padded[:, place::per] << np.uint8(bits * place)
    return out


def unpack(codes: Array, width: int, bits: int) -> Array:
    """What :func:`pack` was given: ``[n, width]`` uint8."""
    if bits == 8:
        return codes
    per = 8 // bits
    out = np.empty((len(codes), codes.shape[1] * per), np.uint8)
    for place in range(per):
        out[:, place::per] = (codes >> np.uint8(bits * place)) & np.uint8(2**bits - 1)
    return out[:, :width]


FORMS = Catalog(
    "nestvec.tables",
    (
        ("floats@1", "packing:Floats"),
        ("row_codes@1", "packing:RowCodes"),
        ("product@1", "product:Product"),
        ("csr@1", "sparse:CSR"),
        ("coo@1", "sparse:COO"),
        ("leading@1", "sparse:Leading"),
        ("spelt@1", "words:Spelt"),
    ),
)
"""Ways of keeping rows, by the versioned name that a saved table carries."""


def number_of(codec: str) -> int:
    """The number at the end of a codec's name: bits, or the pieces of a row under ``dpq``."""
    return int(codec.lstrip("abcdefghijklmnopqrstuvwxyz"))


def is_small(codec: str, rows: int, width: int) -> bool:
    """Whether a part of that shape gets smaller by ``codec`` than by half precision."""
    if codec.startswith("dpq"):
        pieces = number_of(codec)
        return width % pieces == 0 and rows * -(-pieces // 2) + 16 * width * 4 < rows * width * 2
    return number_of(codec) <= 8 and width >= _LEAST_WIDTH


def shapes(codec: str, rows: int, width: int, *, whole: bool) -> Shapes:
    """The arrays of a part under ``codec``, before there is one."""
    if codec == "float32" or whole:
        return {"values": ("float32", (rows, width))}
    if not is_small(codec, rows, width):
        return {"values": ("float16", (rows, width))}
    bits = number_of(codec)
    if codec.startswith("dpq"):
        return {"codes": ("uint8", (rows, -(-bits // 2))), "books": ("float32", (16 * bits, width // bits))}
    return {
        "codes": ("uint8", (rows, -(-width * bits // 8))), "scale": ("float16", (rows,)), "low": ("float16", (rows,)),
        "shape": ("int64", (2,)), "unit": ("float32", (1,)),
    }  # fmt: skip


def packed(codec: str, values: Array, *, whole: bool) -> Packed:
    """``values`` ``[n, w]`` float32 under ``codec``."""
    if codec == "float32" or whole:
        return Floats(np.ascontiguousarray(values, np.float32))
    if not is_small(codec, *values.shape):
        top = np.finfo(np.float16).max
        return Floats(np.clip(values, -top, top).astype(np.float16))
    return RowCodes.fit(np.ascontiguousarray(values, np.float32), bits=number_of(codec))


def form_of(id: str, arrays: Mapping[str, Array]) -> Packed:  # noqa: A002  # what a saved table calls it
    """The form called ``id`` with these arrays."""
    made: Any = FORMS[id](**arrays)
    form: Packed = made
    return form


def _wide(half: Array) -> Array:
    return half.astype(np.float32)[:, None]


def _round(x: Array, scale: Array, low: Array, bits: int) -> Array:
    step = _wide(scale)
    steps = np.divide(x - _wide(low), step, out=np.zeros_like(x), where=step > 0)
    numbers: Array = np.clip(np.rint(steps), 0, 2**bits - 1)
    return numbers
