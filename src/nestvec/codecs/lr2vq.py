"""Low rank first, codewords second: product quantisation of fewer dimensions, with a learned way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, UInt8
from nestvec.kernels import product
from nestvec.kernels.blocks import rows_times
from nestvec.kernels.product_codes import ProductCodes

_RANKS = (0.25, 0.5, 0.75, 1.0)  # of d: what is tried where no rank is given
_TRIAL = 4  # rounds of codebooks and rotation for a rank that is only tried: the order of ranks shows early
_HELD_OUT = 0.2  # of the sample, to choose the rank by
_RIDGE = 1e-4  # of the mean square, so that a codeword nobody chose does not make the way back singular


@dataclass(frozen=True, eq=False)
class LR2VQ(ProductCodes):
    """Keep ``r`` directions, quantise them in parts, and come back by least squares.

    ``y = (x - centre) @ forth`` with ``r`` columns, ``z`` the codewords nearest to the parts of ``y``, and
    ``x̂ = centre + z @ back``. Directions in which vectors hardly differ no longer take codewords from the others. The
    way back is not the transpose of the way forth: it knows what quantising does.

    Args:
        centre: ``[d]``.
        forth: ``[d, r]``, orthonormal columns.
        back: ``[r, d]``.
        codebooks: ``[m, k, w]``: ``k`` codewords of each part, 16 or 256.

    Source: the idea of Zhu et al. 2022 (arXiv:2211.11397), who learn low-rank sub-vectors of weights by gradient and
    cluster those; here for vectors, in closed form and in turns.
    """

    centre: Float32[np.ndarray, " d"]
    forth: Float32[np.ndarray, "d r"]
    back: Float32[np.ndarray, "r d"]
    codebooks: Float32[np.ndarray, "m k w"]

    id: ClassVar[str] = "lr2vq@1"

    def __post_init__(self) -> None:
        if self.forth.shape != self.back.shape[::-1] or self.forth.shape[0] != len(self.centre):
            raise InputError(
                f"forth and back must be [{len(self.centre)}, r] and [r, {len(self.centre)}], "
                f"got {self.forth.shape} and {self.back.shape}."
            )
        product.check_codebooks(self.codebooks, self.forth.shape[1])

    @classmethod
    def fit(
        cls, sample: ArrayLike, *, parts: int | None = None, rank: int | None = None, bits: int = 8, seed: int = 0
    ) -> LR2VQ:
        """Train on ``sample`` ``[n, d]``, ``n >= 2**bits``.

        Args:
            sample: vectors like those to come.
            parts: ``m``. By default ``d / 8``, at least 1: one bit a dimension with ``bits=8``.
            rank: ``r``, at least ``m``. By default the best of a quarter, a half, three quarters and all of ``d``, by
                the squared error on a fifth of the sample that is held out.
            bits: 4 or 8 a part.
            seed: of the first codewords and of what is held out.

        Raises:
            InputError: ``bits``, ``parts``, ``rank`` or the number of rows is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: about twice that of ``opq@1``.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        n, d = sample.shape
        m = max(d // 8, 1) if parts is None else parts
        product.check(cls.id, dim=d, parts=m, bits=bits, rows=n)
        if rank is not None and not m <= rank <= d:
            raise InputError(f"rank must be from parts={m} to d={d}, got {rank}.")
        held = int(n * _HELD_OUT)
        if rank is None and n - held >= 2**bits:
            order = np.random.default_rng(seed).permutation(n)
            rest, judge = sample[np.sort(order[held:])], sample[np.sort(order[:held])]
            ranks = sorted({max(int(share * d), m) for share in _RANKS})
            errors = []
            for r in ranks:
                tried = cls._train(rest, parts=m, rank=r, bits=bits, rounds=_TRIAL, seed=seed)
                errors.append(float(np.square(tried.decode(tried.encode(judge)) - judge, dtype=np.float64).sum()))
            rank = ranks[int(np.argmin(errors))]
        return cls._train(sample, parts=m, rank=rank or d, bits=bits, rounds=20, seed=seed)

    @classmethod
    def _train(cls, sample: Matrix, *, parts: int, rank: int, bits: int, rounds: int, seed: int) -> LR2VQ:
        centre = sample.mean(axis=0)
        x = sample - centre
        _, directions = np.linalg.eigh((x.T @ x).astype(np.float64))
        main = np.ascontiguousarray(directions[:, ::-1][:, :rank], dtype=np.float32)
        rotation, books = product.train_rotated(x @ main, parts=parts, bits=bits, rounds=rounds, seed=seed)
        forth = np.ascontiguousarray(main @ rotation)
        z = product.decode(product.numbers_of(x, forth, books), books, rank)
        gram = (z.T @ z).astype(np.float64)
        gram[np.diag_indices(rank)] += _RIDGE * float(np.trace(gram)) / rank + 1e-12
        back = np.linalg.solve(gram, (z.T @ x).astype(np.float64))
        return cls(centre, forth, np.ascontiguousarray(back, dtype=np.float32), books)

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.centre)

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, m]`` uint8, or ``[n, ceil(m / 2)]`` with 16 codewords."""
        x = as_matrix(x, name="x", dim=self.dim)
        turned = rows_times(x - self.centre, self.forth)
        return self._packed(product.encode(turned, self.codebooks))

    def decode(self, codes: Array) -> Matrix:
        """Codes -> ``[n, d]`` float32."""
        z = product.decode(self._numbers(codes), self.codebooks, len(self.back))
        return np.asarray(z @ self.back + self.centre)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        queries = as_matrix(queries, name="queries", dim=self.dim)
        found = product.scores(queries @ self.back.T, self._numbers(codes), self.codebooks)
        found += (queries @ self.centre)[:, None]
        return found
