"""Product quantisation after a rotation that makes the parts fit for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nestvec.core.arrays import as_matrix
from nestvec.core.types import ArrayLike
from nestvec.kernels import product
from nestvec.kernels.product_codes import RotatedProduct


@dataclass(frozen=True, eq=False)
class OPQ(RotatedProduct):
    """Rotate, then replace each of ``m`` parts by the number of its nearest codeword.

    Args:
        rotation: ``[d, d]``, orthogonal.
        codebooks: ``[m, k, w]``: ``k`` codewords of each part, 16 or 256.

    Source: Ge et al. 2013, algorithm 1 (CVPR).
    """

    id: ClassVar[str] = "opq@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, parts: int | None = None, bits: int = 8, rounds: int = 20, seed: int = 0) -> OPQ:
        """Train on ``sample`` ``[n, d]``, ``n >= 2**bits``.

        Args:
            sample: vectors like those to come.
            parts: ``m``. By default ``d / 8``, at least 1: one bit a dimension with ``bits=8``.
            bits: 4 or 8 a part.
            rounds: of codebooks and rotation in turn.
            seed: of the first codewords.

        Raises:
            InputError: ``bits``, ``parts`` or the number of rows is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: each round ``n d (2**bits + 2 d)`` products, and a singular value decomposition.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        n, d = sample.shape
        m = max(d // 8, 1) if parts is None else parts
        product.check(cls.id, dim=d, parts=m, bits=bits, rows=n)
        return cls(*product.train_rotated(sample, parts=m, bits=bits, rounds=rounds, seed=seed))
