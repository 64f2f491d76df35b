"""The leading dimensions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import ArrayLike, Float32
from nestvec.kernels import affine


@dataclass(frozen=True, eq=False)
class Truncate(Portable):
    """Keep the first ``dim`` of ``width`` dimensions, and bring what is left to length 1.

    For models that were trained to be cut off, such as those with Matryoshka losses; of any other model it keeps a
    random part, and ``pca@1`` a better one.

    Args:
        width: ``d``.
        dim: how many are kept.
        unit: bring the result to length 1, as cosine needs.

    Source: Kusupati et al. 2022, sec. 3 (arXiv:2205.13147).
    """

    width: int
    dim: int
    unit: bool = True

    id: ClassVar[str] = "truncate@1"

    def __post_init__(self) -> None:
        if not 1 <= self.dim <= self.width:
            raise InputError(f"dim of {self.id} must be from 1 to {self.width}, got {self.dim}.")

    @classmethod
    def fit(cls, sample: ArrayLike, *, dim: int | None = None, unit: bool = True, seed: int = 0) -> Truncate:  # noqa: ARG003
        """Take the width of ``sample`` ``[n, d]``; nothing is learned.

        Raises:
            InputError: ``dim`` is not from 1 to ``d``.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        d = as_matrix(sample, name="sample").shape[1]
        return cls(d, affine.kept(cls.id, dim, most=d), unit)

    @property
    def matrix(self) -> Float32[np.ndarray, "d m"]:
        """The first columns of the identity."""
        return np.eye(self.width, self.dim, dtype=np.float32)

    @property
    def centre(self) -> Float32[np.ndarray, " d"]:
        """Zero."""
        return np.zeros(self.width, np.float32)

    def transform(self, x: ArrayLike) -> Float32[np.ndarray, "n m"]:
        """``[n, d]`` float -> ``[n, dim]`` float32.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        kept = as_matrix(x, name="x", dim=self.width)[:, : self.dim]
        return affine.normalised(kept) if self.unit else kept.copy()
