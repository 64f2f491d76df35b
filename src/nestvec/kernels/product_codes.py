"""What product codecs share: numbers of codewords, packed, and the way there and back through a rotation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, UInt8
from nestvec.kernels import product
from nestvec.kernels.blocks import as_codes


class ProductCodes(Portable):
    """Codes that are numbers of codewords, one a part."""

    codebooks: Float32[np.ndarray, "m k w"]

    @property
    def bytes_per_vector(self) -> int:
        """One a part with 256 codewords, half of one with 16. All else is stored once."""
        return product.width(*self.codebooks.shape[:2])

    def _packed(self, numbers: UInt8[np.ndarray, "n m"]) -> UInt8[np.ndarray, "n w"]:
        return product.pack(numbers, self.codebooks.shape[1])

    def _numbers(self, codes: Array) -> UInt8[np.ndarray, "n m"]:
        codes = as_codes(codes, width=self.bytes_per_vector)
        return product.unpack(codes, *self.codebooks.shape[:2])


@dataclass(frozen=True, eq=False)
class RotatedProduct(ProductCodes):
    """Codewords of the parts of ``x @ rotation``.

    Args:
        rotation: ``[d, d]``, orthogonal.
        codebooks: ``[m, k, w]``: ``k`` codewords of each part, 16 or 256.
    """

    rotation: Float32[np.ndarray, "d d"]
    codebooks: Float32[np.ndarray, "m k w"]

    def __post_init__(self) -> None:
        if self.rotation.ndim != 2 or self.rotation.shape[0] != self.rotation.shape[1]:
            raise InputError(f"rotation must be [d, d], got shape {self.rotation.shape}.")
        product.check_codebooks(self.codebooks, self.dim)

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.rotation)

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, m]`` uint8, or ``[n, ceil(m / 2)]`` with 16 codewords."""
        x = as_matrix(x, name="x", dim=self.dim)
        return self._packed(product.numbers_of(x, self.rotation, self.codebooks))

    def decode(self, codes: Array) -> Matrix:
        """Codes -> ``[n, d]`` float32: the codewords side by side, turned back."""
        return np.asarray(product.decode(self._numbers(codes), self.codebooks, self.dim) @ self.rotation.T)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes; the queries are turned instead of those."""
        queries = as_matrix(queries, name="queries", dim=self.dim)
        return product.scores(queries @ self.rotation, self._numbers(codes), self.codebooks)
