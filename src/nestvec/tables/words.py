"""Rows that are spelt with words of a book: a few numbers name the pieces of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.types import Array, Int64

COUNT = 256
"""Words in a book: what a byte can name."""


@dataclass(frozen=True)
class Words:
    """How the rows of a part are spelt, whatever the codec of its table.

    Args:
        pieces: of a row; they divide its width.
        shared: whether one book serves all pieces, or each has its own.
        hot: so many rows, the first ones, may use all 256 words; None for all.
        few: words that the other rows may use, the first of each book: a power of two below 256.
    """

    pieces: int
    shared: bool = False
    hot: int | None = None
    few: int = 64

    @property
    def books(self) -> int:
        """How many."""
        return 1 if self.shared else self.pieces

    @property
    def bits(self) -> int:
        """Of a code of the rows that may use ``few`` words."""
        return self.few.bit_length() - 1

    def split(self, rows: int) -> tuple[int, int]:
        """How many rows may use all words, and how many may not."""
        hot = rows if self.hot is None else self.hot
        return hot, rows - hot

    def shapes(self, rows: int, width: int) -> dict[str, tuple[str, tuple[int, ...]]]:
        """The arrays of :class:`Spelt` rows, before there are any."""
        hot, cold = self.split(rows)
        return {
            "codes": ("uint8", (hot, self.pieces)),
            "short": ("uint8", (cold, -(-self.pieces * self.bits // 8))),
            "words": ("float32", (self.books * COUNT, width // self.pieces)),
            "bits": ("int64", (1,)),
        }


@dataclass(frozen=True)
class Spelt:
    """``row_i = concat_j V_j[c_ij]`` with a byte a piece for the first rows, and fewer bits for the others.

    Args:
        codes: ``[h, D]`` uint8, of the first ``h`` rows.
        short: ``[n - h, ceil(D b / 8)]`` uint8: the codes of the others, ``b`` bits each, the lowest bit first.
        words: ``[D * 256, w / D]`` float32, or ``[256, w / D]`` where all pieces share a book.
        bits: ``[1]`` int64: ``b``.

    Source: Kang et al. 2020, sec. 3 (arXiv:2002.08530).
    """

    codes: Array
    short: Array
    words: Array
    bits: Array

    id: ClassVar[str] = "spelt@1"

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        hot, pieces = self.codes.shape
        numbers = np.empty((len(at), pieces), np.int64)
        whole = at < hot
        numbers[whole] = self.codes[at[whole]]
        numbers[~whole] = unpack(self.short[at[~whole] - hot], pieces, int(self.bits[0]))
        numbers += np.arange(pieces) * (COUNT if len(self.words) > COUNT else 0)
        rows: Array = np.take(self.words, numbers, axis=0, mode="clip").reshape(len(at), -1)
        return rows

    def arrays(self) -> dict[str, Array]:
        """``codes``, ``short``, ``words`` and ``bits``."""
        return {"codes": self.codes, "short": self.short, "words": self.words, "bits": self.bits}


def divisors(width: int) -> tuple[int, ...]:
    """Into how many pieces rows of ``width`` can be cut, rising."""
    return tuple(pieces for pieces in range(1, width + 1) if width % pieces == 0)


def pack(numbers: Array, bits: int) -> Array:
    """``[n, D]`` uint8 below ``2**bits`` -> ``[n, ceil(D bits / 8)]`` uint8, the lowest bits first."""
    each = (numbers[:, :, None] >> np.arange(bits, dtype=np.uint8)) & np.uint8(1)
    return np.packbits(each.reshape(len(numbers), bits * numbers.shape[1]), axis=1, bitorder="little")


def unpack(codes: Array, pieces: int, bits: int) -> Array:
    """What :func:`pack` was given."""
    each = np.unpackbits(codes, axis=1, count=pieces * bits, bitorder="little").reshape(len(codes), pieces, bits)
    numbers: Array = each @ (1 << np.arange(bits)).astype(np.uint8)
    return numbers
