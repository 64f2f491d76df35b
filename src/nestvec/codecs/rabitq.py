"""One to eight bits a dimension, with an unbiased score and a bound on its error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import from_arrays, to_arrays
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
class RaBitQ:
    """Levels of the randomly rotated vector, rescaled so that scores are right on average.

    ``r = (x - centre) @ rotation``; ``g`` is the grid point ``u - (2**B - 1) / 2`` whose direction is nearest to that
    of ``r`` (over all steps that are tried), and::

        <q, x> ~ <q, centre> + f <q @ rotation, g>         f = |r|**2 / <g, r>

    The random rotation makes what is left of ``g`` beside ``r`` point anywhere, so the estimate is unbiased, and::

        error = |q| |r| sqrt((1 - s**2) / s**2) epsilon_0 / sqrt(d - 1)         s = <g, r> / (|g| |r|)

    A code is planes of bits, the highest first, then ``f`` and the error for a query of length 1, both float32.

    Args:
        centre: ``[d]``, what is taken off.
        rotation: ``[d, d]``, orthogonal.
        bits: ``B``, 1 to 8.

    Source: Gao and Long 2024, sec. 3 (arXiv:2405.12497); several bits as in Gao et al. 2024, sec. 3 (arXiv:2409.09913).
    """

    centre: Float32[np.ndarray, " d"]
    rotation: Float32[np.ndarray, "d d"]
    bits: int = 1

    id: ClassVar[str] = "rabitq@1"

    def __post_init__(self) -> None:
        if self.rotation.shape != (len(self.centre), len(self.centre)):
            raise InputError(
                f"rotation must be [{len(self.centre)}, {len(self.centre)}], got shape {self.rotation.shape}."
            )
        if self.bits not in range(1, 9):
            raise InputError(f"bits must be a whole number from 1 to 8, got {self.bits}.")

    @classmethod
    def fit(cls, sample: ArrayLike, *, bits: int = 1, centre: bool = True, seed: int = 0) -> RaBitQ:
        """Take the mean of ``sample`` ``[n, d]``, ``n >= 1``, and draw a rotation.

        Args:
            sample: vectors like those to come.
            bits: ``B``, 1 to 8 a dimension.
            centre: take the mean off first.
            seed: of the rotation.

        Raises:
            InputError: ``bits`` is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        middle = sample.mean(axis=0) if centre else np.zeros(sample.shape[1], np.float32)
        return cls(middle, random_rotation(sample.shape[1], seed=seed), bits)

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.centre)

    @property
    def bytes_per_vector(self) -> int:
        """``B / 8`` a dimension, each plane in whole bytes, and 8 for the two factors. The rotation is stored once."""
        return self._planes + 8

    @property
    def _planes(self) -> int:
        return self.bits * ((self.dim + 7) // 8)

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, B ceil(d / 8) + 8]`` uint8.

        Cost: a rotation, and for 2 bits and more about ten passes over the vector.
        """
        x = as_matrix(x, name="x", dim=self.dim)
        out = np.empty((len(x), self.bytes_per_vector), np.uint8)
        for lo in range(0, len(x), _ROWS):
            r = rows_times(x[lo : lo + _ROWS] - self.centre, self.rotation)
            level = self._levels(r)
            g = level.astype(np.float64) - (2**self.bits - 1) / 2
            length = np.sqrt(np.square(r, dtype=np.float64).sum(axis=1))
            along = (g * r).sum(axis=1)  # at least half the sum of |r|, so 0 for r = 0 only
            some = along > 0
            s = np.divide(along, np.sqrt((g * g).sum(axis=1)) * length, out=np.ones(len(r)), where=some)
            factor = np.divide(length**2, along, out=np.zeros(len(r)), where=some)
            beside = np.sqrt(np.maximum(1 - s * s, 0)) / s
            error = length * beside * EPSILON / np.sqrt(max(self.dim - 1, 1))
            both = np.stack([factor, error], axis=1).astype("<f4")
            out[lo : lo + _ROWS, : self._planes] = packing.pack_levels(level, self.bits)
            out[lo : lo + _ROWS, self._planes :] = both.view(np.uint8)
        return out

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
        grid = self._grid(codes) * self._factors(codes)[0][:, None]
        return np.asarray(grid @ self.rotation.T + self.centre)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Estimates of the inner products of ``queries`` ``[q, d]`` with the vectors."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        queries = as_matrix(queries, name="queries", dim=self.dim)
        found = scores_by_decoding(queries @ self.rotation, codes, self._grid, dim=self.dim)
        found *= self._factors(codes)[0]
        found += (queries @ self.centre)[:, None]
        return found

    def bounds(self, queries: ArrayLike, codes: Array) -> tuple[Float32[np.ndarray, "q n"], Float32[np.ndarray, "q n"]]:
        """Estimates, and how far the true inner product may be from each with the confidence of :data:`EPSILON`.

        Returns:
            ``[q, n]`` each; the error is at least 0.
        """
        found = self.scores(queries, codes)
        length = np.linalg.norm(np.asarray(queries, np.float32), axis=1)
        return found, length[:, None] * self._factors(codes)[1]

    def scanner(self, codes: Array) -> SignScan | None:
        """The codes laid out for fast scans, where there is a fast scan: for one bit."""
        if self.bits != 1:
            return None
        codes = as_codes(codes, width=self.bytes_per_vector)
        return SignScan.of(
            codes[:, : self._planes],
            factors=np.stack(self._factors(codes)),
            matrix=self.rotation / 2,  # the grid of one bit is ±1/2
            centre=self.centre,
        )

    def _factors(self, codes: Array) -> tuple[Array, Array]:
        both = np.ascontiguousarray(codes[:, self._planes :]).view("<f4")
        return both[:, 0], both[:, 1]

    def _grid(self, codes: Array) -> Matrix:
        level = packing.unpack_levels(codes[:, : self._planes], self.dim, self.bits)
        return level - np.float32((2**self.bits - 1) / 2)

    def arrays(self) -> dict[str, Array]:
        """All of it by name, for :meth:`from_arrays`."""
        return to_arrays(self)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> RaBitQ:
        """What :meth:`arrays` gave."""
        made: RaBitQ = from_arrays(cls, arrays)
        return made
