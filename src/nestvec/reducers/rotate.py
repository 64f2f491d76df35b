"""A random rotation, or a random projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import fingerprint, from_arrays, to_arrays
from nestvec.core.types import Array, ArrayLike, Float32
from nestvec.kernels import affine
from nestvec.kernels.rotations import random_rotation


@dataclass(frozen=True, eq=False)
class Rotate:
    """Turn by a random rotation; with fewer dimensions kept, project onto a random subspace.

    All lengths and inner products stay as they are while all dimensions are kept; what the vectors have in common is
    spread over them evenly, which one-bit codes and product codes like. Kept dimensions are scaled by ``sqrt(d / m)``,
    so that inner products are right on average: the baseline that any learned reducer has to beat.

    Args:
        matrix: ``[d, m]``.
        centre: ``[d]``, zero.
        unit: bring the result to length 1.

    Source: Johnson and Lindenstrauss 1984.
    """

    matrix: Float32[np.ndarray, "d m"]
    centre: Float32[np.ndarray, " d"]
    unit: bool = False

    id: ClassVar[str] = "rotate@1"

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.centre.shape != self.matrix.shape[:1]:
            raise InputError(f"matrix and centre must be [d, m] and [d], got {self.matrix.shape}, {self.centre.shape}.")

    @classmethod
    def fit(cls, sample: ArrayLike, *, dim: int | None = None, unit: bool = False, seed: int = 0) -> Rotate:
        """Draw one for the width of ``sample`` ``[n, d]``; nothing is learned.

        Args:
            sample: ``[n, d]``.
            dim: ``m``; by default ``d``.
            unit: bring results to length 1.
            seed: of the rotation.

        Raises:
            InputError: ``dim`` is not from 1 to ``d``.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        d = as_matrix(sample, name="sample").shape[1]
        keep = affine.kept(cls.id, dim, most=d)
        turn = random_rotation(d, seed=seed)[:, :keep] * np.float32(np.sqrt(d / keep))
        return cls(np.ascontiguousarray(turn), np.zeros(d, np.float32), unit)

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with any bit of it."""
        return fingerprint(self)

    def transform(self, x: ArrayLike) -> Float32[np.ndarray, "n m"]:
        """``[n, d]`` float -> ``[n, m]`` float32.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        return affine.transform(x, centre=self.centre, matrix=self.matrix, unit=self.unit)

    def arrays(self) -> dict[str, Array]:
        """All of it by name, for :meth:`from_arrays`."""
        return to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Rotate:
        """What :meth:`arrays` gave."""
        made: Rotate = from_arrays(cls, arrays)
        return made
