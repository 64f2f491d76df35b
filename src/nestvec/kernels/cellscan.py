"""Inner products with queries that are zero in most cells, as fixed-dimensional encodings of short queries are.

A query of eight tokens fills at most eight of the 32 cells of a partition. Encodings are laid out cell by cell, the
first cell of all rows first, so that what lies in the others is never read.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import ShapeError
from nestvec.core.types import ArrayLike, Float32, Matrix


@dataclass(frozen=True, eq=False)
class CellScan:
    """Rows ready to be scanned by cells; for a few queries at a time.

    Args:
        cells: ``[c, n, p]`` float32.
    """

    cells: Float32[np.ndarray, "c n p"]

    @classmethod
    def of(cls, encodings: Matrix, *, cell: int) -> CellScan:
        """Lay out ``encodings`` ``[n, c p]``; they are copied.

        Args:
            encodings: a row an item.
            cell: ``p``, floats of a cell.

        Raises:
            ShapeError: ``p`` does not divide the width.
        """
        n, m = encodings.shape
        if m % cell:
            raise ShapeError(f"encodings must be [n, c * {cell}], got shape {encodings.shape}.")
        return cls(np.ascontiguousarray(encodings.reshape(n, m // cell, cell).transpose(1, 0, 2)))

    def __len__(self) -> int:
        return int(self.cells.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return self.cells.nbytes

    def scores(self, queries: ArrayLike) -> Float32[np.ndarray, "q n"]:
        """``queries @ encodings.T``, up to the order of a float32 sum.

        Args:
            queries: ``[q, c p]``. From a dozen on the plain product is faster.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: the cells are read in which a query is not zero.
        """
        c, n, p = self.cells.shape
        x = as_matrix(queries, name="queries", dim=c * p).reshape(-1, c, p)
        out = np.zeros((len(x), n), np.float32)
        for j, query in enumerate(x):
            for i in np.flatnonzero(query.any(axis=1)):
                out[j] += self.cells[i] @ query[i]
        return out
