"""One to eight bits a dimension, with an unbiased score and a bound on its error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Float64, Matrix, UInt8
from nestvec.kernels import bits as packing
from nestvec.kernels.blocks import as_codes, rows_times, scores_by_decoding
from nestvec.kernels.rotations import random_rotation
from nestvec.kernels.signscan import SignScan

EPSILON = 1.9
"""The paper's ``epsilon_0``: an error beyond the bound is about as likely as a normal value beyond 1.9 (6 %)."""

# Steps between levels, in standard deviations, that suit normal values best (Max 1960, table II, and its continuation);
# a vector's own step is searched around them.
_STEP = {2: 0.996, 3: 0.586, 4: 0.335, 5: 0.188, 6: 0.104, 7: 0.0569, 8: 0.0308}
_AROUND = (0.7, 0.8, 0.9, 1.0, 1.1, 1.25, 1.4)
_ROWS = 4096  # encoded at a time


@dataclass(frozen=True, eq=False)
class RaBitQ(Portable):
    """Levels of the randomly rotated vector, rescaled so that scores are right on average.

    Along ``axis``, the direction of the mean, a vector's coordinate ``a = <x, axis>`` is kept as it is. With ``x'`` and
    ``q'`` for what is left of ``x`` and ``q`` beside the axis, ``r = x' @ rotation``, and ``g`` the grid point
    ``u - (2**B - 1) / 2`` whose direction is nearest to that of ``r`` (over all steps that are tried)::

        <q, x> = a <q, axis> + <q', x'> ~ a <q, axis> + f <q' @ rotation, g>         f = |r|**2 / <g, r>

    The random rotation makes what is left of ``g`` beside ``r`` point anywhere, so the estimate is unbiased, and::

        error = |q'| |r| sqrt((1 - s**2) / s**2) epsilon_0 / sqrt(d - 1)         s = <g, r> / (|g| |r|)

    The paper takes the mean off ``x`` alone; its error grows with ``|q|``. Vectors of a text model share much of their
    direction, and ``|q'|`` is clearly less. It costs four bytes.

    A code is planes of bits, the highest first, then ``f``, ``a``, and the error for ``|q'| = 1``, all float32.

    Args:
        axis: ``[d]``, of length 1, or 0 for none.
        rotation: ``[d, d]``, orthogonal.
        bits: ``B``, 1 to 8.

    Source: Gao and Long 2024, sec. 3 (arXiv:2405.12497); several bits as in Gao et al. 2024, sec. 3 (arXiv:2409.09913).
    """

    axis: Float32[np.ndarray, " d"]
    rotation: Float32[np.ndarray, "d d"]
    bits: int = 1

    id: ClassVar[str] = "rabitq@1"

    def __post_init__(self) -> None:
        if self.rotation.shape != (self.dim, self.dim):
            raise InputError(f"rotation must be [{self.dim}, {self.dim}], got shape {self.rotation.shape}.")
        if self.bits not in range(1, 9):
            raise InputError(f"bits must be a whole number from 1 to 8, got {self.bits}.")

    @classmethod
    def fit(cls, sample: ArrayLike, *, bits: int = 1, centre: bool = True, seed: int = 0) -> RaBitQ:
        """Take the mean of ``sample`` ``[n, d]``, ``n >= 1``, and draw a rotation.

        Args:
            sample: vectors like those to come.
            bits: ``B``, 1 to 8 a dimension.
            centre: keep the direction of the mean apart.
            seed: of the rotation.

        Raises:
            InputError: ``bits`` is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        axis = sample.mean(axis=0, dtype=np.float64) if centre else np.zeros(sample.shape[1])
        axis /= np.linalg.norm(axis) or 1.0
        return cls(axis.astype(np.float32), random_rotation(sample.shape[1], seed=seed), bits)

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.axis)

    @property
    def bytes_per_vector(self) -> int:
        """``B / 8`` a dimension, each plane in whole bytes, and 12 for three numbers. The rotation is stored once."""
        return self._planes + 12

    @property
    def _planes(self) -> int:
        return self.bits * ((self.dim + 7) // 8)

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, B ceil(d / 8) + 12]`` uint8.

        Cost: a rotation, and for 2 bits and more about ten passes over the vector.
        """
        x = as_matrix(x, name="x", dim=self.dim)
        out = np.empty((len(x), self.bytes_per_vector), np.uint8)
        for lo in range(0, len(x), _ROWS):
            along, beside = self._split(x[lo : lo + _ROWS])
            r = rows_times(beside, self.rotation)
            level = self._levels(r)
            g = level.astype(np.float64) - (2**self.bits - 1) / 2
            length = np.sqrt(np.square(r, dtype=np.float64).sum(axis=1))
            product = (g * r).sum(axis=1)  # at least half the sum of |r|, so 0 for r = 0 only
            some = product > 0
            s = np.divide(product, np.sqrt((g * g).sum(axis=1)) * length, out=np.ones(len(r)), where=some)
            factor = np.divide(length**2, product, out=np.zeros(len(r)), where=some)
            error = length * np.sqrt(np.maximum(1 - s * s, 0)) / s * EPSILON / np.sqrt(max(self.dim - 1, 1))
            out[lo : lo + _ROWS, : self._planes] = packing.pack_levels(level, self.bits)
            out[lo : lo + _ROWS, self._planes :] = np.stack([factor, along, error], axis=1).astype("<f4").view(np.uint8)
        return out

    def _split(self, x: Matrix) -> tuple[Float32[np.ndarray, " n"], Matrix]:
        """Coordinates along the axis, and what is left beside it; each row by itself, whatever its company."""
        along = (x * self.axis).sum(axis=1)
        return along, x - along[:, None] * self.axis

    def _levels(self, r: Matrix) -> UInt8[np.ndarray, "n d"]:
        """``u`` of each dimension: of the steps tried, the one whose grid point lies nearest in direction."""
        if self.bits == 1:
            return (r > 0).astype(np.uint8)
        half = 2 ** (self.bits - 1)
        spread = np.sqrt(np.square(r, dtype=np.float64).mean(axis=1))
        largest = np.abs(r).max(axis=1, initial=0) / (half - 0.5)
        best: Float64[np.ndarray, " n"] = np.full(len(r), -1.0)
        out = np.full(r.shape, half, np.uint8)
        steps = [_STEP[self.bits] * around * spread for around in _AROUND] + [largest]
        for step in steps:
            unit = np.divide(1, step, out=np.zeros(len(r)), where=step > np.finfo(np.float32).tiny)
            u = np.clip(np.floor(r * unit[:, None].astype(np.float32)), -half, half - 1)
            g = u + np.float32(0.5)
            cosine = np.einsum("nd,nd->n", g, r, dtype=np.float64)
            cosine = cosine / np.sqrt(np.einsum("nd,nd->n", g, g, dtype=np.float64))
            better = cosine > best
            best[better] = cosine[better]
            out[better] = (u[better] + half).astype(np.uint8)
        return out

    def decode(self, codes: Array) -> Matrix:
        """Codes to the vectors ``[n, d]`` whose inner products are the estimates.

        They are longer than the nearest vectors would be: that is what makes the estimate unbiased.
        """
        codes = as_codes(codes, width=self.bytes_per_vector)
        factor, along, _ = self._numbers(codes)
        beside = self._split((self._grid(codes) * factor[:, None]) @ self.rotation.T)[1]
        return np.asarray(beside + along[:, None] * self.axis)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Estimates of the inner products of ``queries`` ``[q, d]`` with the vectors."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        queries = as_matrix(queries, name="queries", dim=self.dim)
        factor, along, _ = self._numbers(codes)
        axial, beside = self._split(queries)
        found = scores_by_decoding(beside @ self.rotation, codes, self._grid, dim=self.dim)
        found *= factor
        found += axial[:, None] * along
        return found

    def bounds(self, queries: ArrayLike, codes: Array) -> tuple[Float32[np.ndarray, "q n"], Float32[np.ndarray, "q n"]]:
        """Estimates, and how far the true inner product may be from each with the confidence of :data:`EPSILON`.

        Returns:
            ``[q, n]`` each; the error is at least 0.
        """
        found = self.scores(queries, codes)
        beside = self._split(np.asarray(queries, np.float32))[1]
        return found, np.linalg.norm(beside, axis=1)[:, None] * self._numbers(codes)[2]

    def scanner(self, codes: Array) -> SignScan | None:
        """The codes laid out for fast scans, where there is a fast scan: for one bit."""
        if self.bits != 1:
            return None
        codes = as_codes(codes, width=self.bytes_per_vector)
        return SignScan.of(
            codes[:, : self._planes],
            factors=np.stack(self._numbers(codes)),
            matrix=self.rotation,
            scale=np.full(self.dim, 0.5, np.float32),  # the grid of one bit is ±1/2
            axis=self.axis,
            offset=self.axis @ self.rotation,
        )

    def _numbers(self, codes: Array) -> tuple[Array, Array, Array]:
        """``f``, ``a`` and the error."""
        three = np.ascontiguousarray(codes[:, self._planes :]).view("<f4")
        return three[:, 0], three[:, 1], three[:, 2]

    def _grid(self, codes: Array) -> Matrix:
        level = packing.unpack_levels(codes[:, : self._planes], self.dim, self.bits)
        return level - np.float32((2**self.bits - 1) / 2)
