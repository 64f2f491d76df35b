"""A random rotation, or a random projection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.types import ArrayLike
from nestvec.kernels import affine
from nestvec.kernels.rotations import random_rotation


@dataclass(frozen=True, eq=False)
class Rotate(affine.AffineMap):
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

    unit: bool = False

    id: ClassVar[str] = "rotate@1"

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
