"""The directions in which vectors differ most."""

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


@dataclass(frozen=True, eq=False)
class PCA:
    """Rotate onto the principal directions, keep the first ``m``, and bring what is left to length 1.

    Of all linear maps to ``m`` dimensions this one loses the least squared length. Without a centre inner products of
    the kept part are those of the vectors, as cosine search wants; with one, those of what sets vectors apart.

    Args:
        matrix: ``[d, m]``, orthonormal columns, the direction of the largest variance first.
        centre: ``[d]``, what is taken off.
        unit: bring the result to length 1.

    Source: Pearson 1901; Hotelling 1933.
    """

    matrix: Float32[np.ndarray, "d m"]
    centre: Float32[np.ndarray, " d"]
    unit: bool = True

    id: ClassVar[str] = "pca@1"

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.centre.shape != self.matrix.shape[:1]:
            raise InputError(f"matrix and centre must be [d, m] and [d], got {self.matrix.shape}, {self.centre.shape}.")

    @classmethod
    def fit(
        cls, sample: ArrayLike, *, dim: int | None = None, centre: bool = False, unit: bool = True, seed: int = 0
    ) -> PCA:
        """Find the directions of ``sample`` ``[n, d]``, ``n >= 1``.

        Args:
            sample: vectors like those to come; with fewer than ``m`` of them the last directions are arbitrary.
            dim: ``m``; by default ``d``.
            centre: take the mean off first.
            unit: bring results to length 1.
            seed: of nothing; reducers are all fitted alike.

        Raises:
            InputError: ``dim`` is not from 1 to ``d``.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        del seed
        sample = as_matrix(sample, name="sample", at_least=1)
        d = sample.shape[1]
        middle = sample.mean(axis=0) if centre else np.zeros(d, np.float32)
        directions, _ = affine.principal(sample, middle)
        return cls(np.ascontiguousarray(directions[:, : affine.kept(cls.id, dim, most=d)]), middle, unit)

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
    def from_arrays(cls, arrays: Mapping[str, Array]) -> PCA:
        """What :meth:`arrays` gave."""
        made: PCA = from_arrays(cls, arrays)
        return made
