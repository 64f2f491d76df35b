"""Leading directions of a matrix that is mostly indicators, without ever writing it out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float64, Int64

_MORE = 8  # directions beyond those wanted
_ROUNDS = 5


@dataclass(frozen=True, eq=False)
class Design:
    """``A = [S diag(w), Z]``: indicators, weighted, beside dense columns.

    Args:
        columns: ``[c]`` of the ones of ``S``, row by row.
        starts: ``[n + 1]`` where each row's ones begin.
        weight: ``[k]`` of each column of ``S``.
        dense: ``[n, m]``, ``Z``.
    """

    columns: Int64[np.ndarray, " c"]
    starts: Int64[np.ndarray, " n1"]
    weight: Float64[np.ndarray, " k"]
    dense: Array

    @property
    def width(self) -> int:
        """Columns of ``A``."""
        return len(self.weight) + int(self.dense.shape[1])

    def times(self, x: Array) -> Array:
        """``A x`` for ``x`` ``[width, r]``."""
        k = len(self.weight)
        out: Array = self.dense @ x[k:]
        filled = self.starts[1:] > self.starts[:-1]
        if filled.any():
            rows = (x[:k] * self.weight[:, None])[self.columns]
            out[filled] += np.add.reduceat(rows, self.starts[:-1][filled], axis=0)
        return out

    def transposed_times(self, y: Array) -> Array:
        """``A' y`` for ``y`` ``[n, r]``."""
        out = np.zeros((self.width, y.shape[1]))
        k = len(self.weight)
        out[k:] = self.dense.T @ y
        if len(self.columns):
            owner = np.repeat(np.arange(len(y)), np.diff(self.starts))
            order = np.argsort(self.columns, kind="stable")
            first = np.unique(self.columns[order], return_index=True)
            out[first[0]] = np.add.reduceat(y[owner[order]], first[1], axis=0)
            out[:k] *= self.weight[:, None]
        return out


def factors(design: Design, dim: int, *, seed: int = 0) -> tuple[Array, Array]:
    """``(V [width, dim], c [dim])``: the leading right singular vectors of the centred ``A``, and the mean of ``A V``.

    Signs are fixed by the largest number of each direction.

    Raises:
        InputError: the matrix has fewer rows or columns than ``dim``.

    Source: Halko et al. 2011, sec. 4.5 (SIAM Review 53(2)).
    """
    n = len(design.starts) - 1
    if min(n, design.width) < dim:
        raise InputError(
            f"a row encoder of {dim} dimensions must be fitted to as many rows and different values, got {n} rows and "
            f"{design.width} values and numbers. Make a table of fewer dimensions."
        )
    mean = design.transposed_times(np.ones((n, 1)))[:, 0] / n
    r = min(dim + _MORE, n, design.width)
    found = np.random.default_rng(seed).standard_normal((design.width, r))
    for _ in range(_ROUNDS):
        y, _ = np.linalg.qr(design.times(found) - mean @ found)
        found = design.transposed_times(y) - np.outer(mean, y.sum(axis=0))
    left, _, _ = np.linalg.svd(found, full_matrices=False)
    directions = left[:, :dim]
    directions = directions * np.sign(directions[np.abs(directions).argmax(axis=0), np.arange(dim)])
    return directions, mean @ directions
