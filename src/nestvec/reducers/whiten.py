"""Principal directions, evened out."""

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
class Whiten:
    """Rotate onto the principal directions and divide each by a power of its standard deviation.

    ``matrix = V diag((variance + e) ** (-power / 2))``, with ``e`` a ten-thousandth of the mean variance, so that
    directions in which the sample does not differ are not blown up. Power 1 makes all variances alike, which undoes the
    few directions that crowd a space; power 0 is ``pca@1``; in between is what often ranks best.

    Args:
        matrix: ``[d, m]``, the direction of the largest variance first.
        centre: ``[d]``, what is taken off.
        unit: bring the result to length 1.

    Source: Su et al. 2021, sec. 3 (arXiv:2103.15316), for power 1.
    """

    matrix: Float32[np.ndarray, "d m"]
    centre: Float32[np.ndarray, " d"]
    unit: bool = True

    id: ClassVar[str] = "whiten@1"

    def __post_init__(self) -> None:
        if self.matrix.ndim != 2 or self.centre.shape != self.matrix.shape[:1]:
            raise InputError(f"matrix and centre must be [d, m] and [d], got {self.matrix.shape}, {self.centre.shape}.")

    @classmethod
    def fit(
        cls, sample: ArrayLike, *, dim: int | None = None, power: float = 0.5, unit: bool = True, seed: int = 0
    ) -> Whiten:
        """Find directions and variances of ``sample`` ``[n, d]``, ``n >= 2``.

        Args:
            sample: vectors like those to come; a few times ``d`` of them, or the variances are wrong.
            dim: ``m``; by default ``d``.
            power: 0 to 1.
            unit: bring results to length 1.
            seed: of nothing; reducers are all fitted alike.

        Raises:
            InputError: ``dim`` is not from 1 to ``d``, or ``power`` not from 0 to 1.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        del seed
        sample = as_matrix(sample, name="sample", at_least=2)
        if not 0 <= power <= 1:
            raise InputError(f"power of {cls.id} must be from 0 to 1, got {power}.")
        d = sample.shape[1]
        middle = sample.mean(axis=0)
        directions, variance = affine.principal(sample, middle)
        least = 1e-4 * float(variance.mean()) + 1e-12
        scale = (variance + np.float32(least)) ** np.float32(-power / 2)
        keep = affine.kept(cls.id, dim, most=d)
        return cls(np.ascontiguousarray((directions * scale)[:, :keep]), middle, unit)

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
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Whiten:
        """What :meth:`arrays` gave."""
        made: Whiten = from_arrays(cls, arrays)
        return made
