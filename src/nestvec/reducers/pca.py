"""The directions in which vectors differ most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.types import ArrayLike
from nestvec.kernels import affine


@dataclass(frozen=True, eq=False)
class PCA(affine.AffineMap):
    """Rotate onto the principal directions, keep the first ``m``, and bring what is left to length 1.

    Of all linear maps to ``m`` dimensions this one loses the least squared length. Without a centre inner products of
    the kept part are those of the vectors, as cosine search wants; with one, those of what sets vectors apart.

    Args:
        matrix: ``[d, m]``, orthonormal columns, the direction of the largest variance first.
        centre: ``[d]``, what is taken off.
        unit: bring the result to length 1.

    Source: Pearson 1901; Hotelling 1933.
    """

    id: ClassVar[str] = "pca@1"

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
