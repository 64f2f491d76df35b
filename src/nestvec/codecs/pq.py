"""Product quantisation: a byte for each part of a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, UInt8
from nestvec.kernels import product
from nestvec.kernels.product_codes import ProductCodes


@dataclass(frozen=True, eq=False)
class PQ(ProductCodes):
    """Replace each of ``m`` parts of the vector by the number of its nearest codeword.

    Args:
        codebooks: ``[m, k, w]``: ``k`` codewords of each part, 16 or 256.
        dim: ``d``; a last part that is cut short is filled up with zeros.

    Source: Jégou et al. 2011, sec. 2 (IEEE TPAMI 33(1)).
    """

    codebooks: Float32[np.ndarray, "m k w"]
    dim: int

    id: ClassVar[str] = "pq@1"

    def __post_init__(self) -> None:
        product.check_codebooks(self.codebooks, self.dim)

    @classmethod
    def fit(cls, sample: ArrayLike, *, parts: int | None = None, bits: int = 8, rounds: int = 15, seed: int = 0) -> PQ:
        """Train on ``sample`` ``[n, d]``, ``n >= 2**bits``; 40 rows a codeword and more are plenty.

        Args:
            sample: vectors like those to come.
            parts: ``m``. By default ``d / 8``, at least 1: one bit a dimension with ``bits=8``.
            bits: 4 or 8 a part.
            rounds: of k-means.
            seed: of the first codewords.

        Raises:
            InputError: ``bits``, ``parts`` or the number of rows is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: ``rounds n d 2**bits`` products.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        n, d = sample.shape
        m = max(d // 8, 1) if parts is None else parts
        product.check(cls.id, dim=d, parts=m, bits=bits, rows=n)
        return cls(product.train(sample, parts=m, bits=bits, rounds=rounds, seed=seed), d)

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, m]`` uint8, or ``[n, ceil(m / 2)]`` with 16 codewords."""
        x = as_matrix(x, name="x", dim=self.dim)
        return self._packed(product.encode(x, self.codebooks))

    def decode(self, codes: Array) -> Matrix:
        """Codes -> ``[n, d]`` float32: the codewords side by side."""
        return product.decode(self._numbers(codes), self.codebooks, self.dim)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        queries = as_matrix(queries, name="queries", dim=self.dim)
        return product.scores(queries, self._numbers(codes), self.codebooks)
