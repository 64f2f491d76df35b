"""Affine maps of rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import ArrayLike, Float32, Matrix
from nestvec.kernels.blocks import rows_times


@dataclass(frozen=True, eq=False)
class AffineMap(Portable):
    """``(x - centre) @ matrix``, brought to length 1 if ``unit``: what reducers differ in is how they come by them.

    Args:
        matrix: ``[d, m]``.
        centre: ``[d]``, what is taken off.
        unit: bring the result to length 1; a row of zeros stays one.
    """

    matrix: Float32[np.ndarray, "d m"]
    centre: Float32[np.ndarray, " d"]
    unit: bool = True

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.centre.shape != self.matrix.shape[:1]:
            raise InputError(f"matrix and centre must be [d, m] and [d], got {self.matrix.shape}, {self.centre.shape}.")

    def transform(self, x: ArrayLike) -> Float32[np.ndarray, "n m"]:
        """``[n, d]`` float -> ``[n, m]`` float32; a row's result does not depend on the rows around it.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        x = as_matrix(x, name="x", dim=len(self.centre))
        y = rows_times(x - self.centre, self.matrix)
        return normalised(y) if self.unit else y


def normalised(y: Matrix) -> Matrix:
    """Rows of length 1; a row of zeros stays one."""
    length = np.sqrt(np.square(y, dtype=np.float64).sum(axis=1, keepdims=True))
    return np.asarray(np.divide(y, length, out=np.zeros(y.shape, np.float64), where=length > 0), np.float32)


def kept(name: str, dim: int | None, *, most: int) -> int:
    """How many dimensions to keep: ``dim``, or all.

    Raises:
        InputError: ``dim`` is not from 1 to ``most``.
    """
    if dim is None:
        return most
    if not 1 <= dim <= most:
        raise InputError(f"dim of {name} must be from 1 to {most}, got {dim}.")
    return dim


def principal(
    x: Matrix, centre: Float32[np.ndarray, " d"]
) -> tuple[Float32[np.ndarray, "d d"], Float32[np.ndarray, " d"]]:
    """Principal directions as columns, the one of the largest variance first, and those variances.

    The largest entry of a direction is positive, so that the answer is unique where variances differ.
    """
    moved = (x - centre).astype(np.float64)
    variance, directions = np.linalg.eigh(moved.T @ moved / max(len(x), 1))
    variance, directions = np.maximum(variance[::-1], 0), directions[:, ::-1]
    top = directions[np.abs(directions).argmax(axis=0), np.arange(directions.shape[1])]
    directions = directions * np.where(top < 0, -1.0, 1.0)
    return np.ascontiguousarray(directions, dtype=np.float32), variance.astype(np.float32)
