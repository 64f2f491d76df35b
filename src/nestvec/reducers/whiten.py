"""Principal directions, evened out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import ArrayLike
from nestvec.kernels import affine


@dataclass(frozen=True, eq=False)
class Whiten(affine.AffineMap):
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

    id: ClassVar[str] = "whiten@1"

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
