"""The upper half of a float32: 8 significant bits, the whole range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, Shaped
from nestvec.kernels.blocks import as_codes, scores_by_decoding

_TOP = np.uint32(0x7F80_0000)  # the bits of infinity


@dataclass(frozen=True, eq=False)
class BFloat16(Portable):
    """Round every dimension to 8 significant bits, and keep the exponent of float32.

    The relative error of a value is at most ``2**-8``, wherever it lies. Codes are the bits, as uint16, for numpy has
    no such float.

    Args:
        dim: ``d``.

    Source: Kalamkar et al. 2019, sec. 2 (arXiv:1905.12322).
    """

    dim: int

    id: ClassVar[str] = "bfloat16@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, seed: int = 0) -> BFloat16:  # noqa: ARG003  # codecs are all fitted alike
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
        """``[n, d]`` float -> ``[n, d]`` uint16, to the nearest, ties to even.

        Raises:
            InputError: a value would round to infinity (above 3.39e38).
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        bits = as_matrix(x, name="x", dim=self.dim).view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) & np.uint32(0xFFFF_0000)
        if ((rounded & np.uint32(0x7FFF_FFFF)) >= _TOP).any():
            raise InputError("values must be below 3.39e38 in bfloat16, got a larger one. Scale the vectors.")
        return (rounded >> np.uint32(16)).astype(np.uint16)

    def decode(self, codes: Array) -> Matrix:
        """``[n, d]`` uint16 -> ``[n, d]`` float32, exactly."""
        codes = as_codes(codes, width=self.dim, dtype=np.uint16)
        return (codes.astype(np.uint32) << np.uint32(16)).view(np.float32)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        codes = as_codes(codes, width=self.dim, dtype=np.uint16)
        return scores_by_decoding(queries, codes, self.decode, dim=self.dim)
