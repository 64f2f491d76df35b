"""Rows as a few codes, each naming a piece of a row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.types import Array, Int64
from nestvec.tables.packing import unpack

BITS = 4
"""Of a code: sixteen pieces to choose from, as in the paper."""


@dataclass(frozen=True)
class Product:
    """``row_i = concat_j V_j[c_ij]``: ``D`` codes of four bits a row, and ``D`` books of sixteen pieces.

    Args:
        codes: ``[n, ceil(D / 2)]`` uint8.
        books: ``[D * 16, w / D]`` float32.

    Source: Chen et al. 2020, sec. 2 (arXiv:1908.09756).
    """

    codes: Array
    books: Array

    id: ClassVar[str] = "product@1"

    def take(self, at: Int64[np.ndarray, " m"]) -> Array:
        """``[m]`` positions -> ``[m, w]`` float32."""
        pieces = len(self.books) >> BITS
        codes = unpack(np.take(self.codes, at, axis=0, mode="clip"), pieces, BITS)
        found = np.take(self.books, codes + (np.arange(pieces) << BITS), axis=0)
        rows: Array = found.reshape(len(at), pieces * self.books.shape[1])
        return rows

    def arrays(self) -> dict[str, Array]:
        """``codes`` and ``books``."""
        return {"codes": self.codes, "books": self.books}
