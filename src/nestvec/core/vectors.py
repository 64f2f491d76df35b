"""Vectors and the space they live in, in three forms: one per item, several per item, and sparse."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import ShapeError
from nestvec.core.space import Space
from nestvec.core.types import Float32, Int64, Matrix


@dataclass(frozen=True)
class Vectors:
    """One vector per item.

    Args:
        values: ``[n, d]`` float32.
        space: what they may be compared with.

    Raises:
        ShapeError: ``d`` is not the ``dim`` of the space.
    """

    values: Matrix
    space: Space

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != self.space.dim:
            raise ShapeError(f"values must be [n, {self.space.dim}] for {self.space}, got shape {self.values.shape}.")

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class MultiVectors:
    """Several vectors per item, ragged.

    Args:
        values: ``[sum t_i, d]`` float32, the vectors of item 0 first.
        offsets: ``[n + 1]`` int64; item ``i`` owns rows ``offsets[i]`` to ``offsets[i + 1]``.
        space: what they may be compared with.

    Raises:
        ShapeError: the offsets do not start at 0, fall, or do not end at the last row.
    """

    values: Float32[np.ndarray, "t d"]
    offsets: Int64[np.ndarray, " n1"]
    space: Space

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != self.space.dim:
            raise ShapeError(f"values must be [t, {self.space.dim}] for {self.space}, got shape {self.values.shape}.")
        _check_offsets("offsets", self.offsets, len(self.values))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> Float32[np.ndarray, "t d"]:
        """The vectors ``[t_i, d]`` of item ``i``, a view."""
        i = range(len(self))[i]  # negative and out-of-range indices behave as in a list
        return self.values[self.offsets[i] : self.offsets[i + 1]]


@dataclass(frozen=True)
class SparseVectors:
    """One sparse vector per item, as compressed rows (CSR).

    Args:
        values: ``[nnz]`` float32 weights.
        indices: ``[nnz]`` int64 columns, each in ``[0, dim)``.
        offsets: ``[n + 1]`` int64; item ``i`` owns entries ``offsets[i]`` to ``offsets[i + 1]``.
        space: its ``dim`` is the number of columns.

    Raises:
        ShapeError: the three arrays do not fit together, or a column is out of range.
    """

    values: Float32[np.ndarray, " nnz"]
    indices: Int64[np.ndarray, " nnz"]
    offsets: Int64[np.ndarray, " n1"]
    space: Space

    def __post_init__(self) -> None:
        if self.values.shape != self.indices.shape or self.values.ndim != 1:
            raise ShapeError(f"values and indices must both be [nnz], got {self.values.shape}, {self.indices.shape}.")
        _check_offsets("offsets", self.offsets, len(self.values))
        if len(self.indices) and (self.indices.min() < 0 or self.indices.max() >= self.space.dim):
            raise ShapeError(
                f"indices must lie in [0, {self.space.dim}), got {self.indices.min()} to {self.indices.max()}."
            )

    def __len__(self) -> int:
        return len(self.offsets) - 1


def _check_offsets(name: str, offsets: Int64[np.ndarray, " n1"], end: int) -> None:
    good = offsets.ndim == 1 and len(offsets) > 0 and offsets[0] == 0 and offsets[-1] == end
    if not good or (np.diff(offsets) < 0).any():
        raise ShapeError(f"{name} must rise from 0 to {end}, got shape {offsets.shape} and {offsets[:5]}.")
