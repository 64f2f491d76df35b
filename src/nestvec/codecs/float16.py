"""Half precision: 11 significant bits, values up to 65,504."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, Shaped
from nestvec.kernels.blocks import as_codes, scores_by_decoding


@dataclass(frozen=True, eq=False)
class Float16(Portable):
    """Round every dimension to half precision.

    The relative error of a value is at most ``2**-11``, down to 6e-5; below that the error is at most 3e-8. Half the
    size of float32.

    Args:
        dim: ``d``.

    Source: IEEE 2019, standard 754, sec. 3.6 (binary16).
    """

    dim: int

    id: ClassVar[str] = "float16@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, seed: int = 0) -> Float16:  # noqa: ARG003  # codecs are all fitted alike
        """Take the width of ``sample`` ``[n, d]``; nothing is learned.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        return cls(as_matrix(sample, name="sample").shape[1])

    @property
    def bytes_per_vector(self) -> int:
        """Two a dimension."""
        return 2 * self.dim

    def encode(self, x: ArrayLike) -> Shaped[np.ndarray, "n d"]:
        """``[n, d]`` float -> ``[n, d]`` float16, to the nearest, ties to even.

        Raises:
            InputError: a value is too large for half precision.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        x = as_matrix(x, name="x", dim=self.dim)
        top = float(np.abs(x).max(initial=0))
        if top >= 65520:  # rounds to infinity
            raise InputError(f"values must be below 65520 in float16, got {top:.6g}. Use bfloat16@1.")
        return x.astype(np.float16)

    def decode(self, codes: Array) -> Matrix:
        """``[n, d]`` float16 -> ``[n, d]`` float32, exactly."""
        return as_codes(codes, width=self.dim, dtype=np.float16).astype(np.float32)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        codes = as_codes(codes, width=self.dim, dtype=np.float16)
        return scores_by_decoding(queries, codes, self.decode, dim=self.dim)
