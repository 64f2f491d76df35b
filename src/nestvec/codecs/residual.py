"""The nearest centroid, and one, two or four bits a dimension for what is left."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Int64, Matrix, UInt8
from nestvec.kernels.blocks import as_codes, scores_by_decoding
from nestvec.kernels.kmeans import kmeans, nearest

_ROWS = 1 << 14  # of the sample, from which the levels are fitted
_ROUNDS = 25  # of fitting levels: a normal sample needs about as many for 16 of them
_EACH = 16  # sample rows for each centroid at least
_WORD = "<u2"  # of a centroid's number
_UNIT = 1e-3  # how far from 1 the lengths of unit vectors may be


@dataclass(frozen=True, eq=False)
class Residual(Portable):
    """Made for the vectors of tokens: many lie near each other, so a centroid says most, and little is left to say.

    ``x̂ = centroid_c + level[code]`` with ``c`` the nearest of up to 65,536 centroids, two bytes, and for each dimension
    of the rest one of ``2**b`` levels, the same for all dimensions, where they have the least squared error. Vectors
    that were fitted at length 1 are brought back to it.

    Args:
        centroids: ``[k, d]``.
        levels: ``[2**b]``, ascending.
        unit: bring what is decoded to length 1.

    Source: Santhanam et al. 2022, sec. 3.3 (arXiv:2112.01488), and as PLAID, Santhanam et al. 2022 (arXiv:2205.09707),
    has it; levels by Lloyd 1982 in place of quantiles.
    """

    centroids: Float32[np.ndarray, "k d"]
    levels: Float32[np.ndarray, " s"]
    unit: bool = False

    id: ClassVar[str] = "residual@1"

    def __post_init__(self) -> None:
        if self.centroids.ndim != 2 or not 1 <= len(self.centroids) <= 2**16 or self.levels.shape not in _SHAPES:
            raise InputError(
                "centroids must be [k, d] with k from 1 to 65536, and levels [2], [4] or [16], "
                f"got shapes {self.centroids.shape} and {self.levels.shape}."
            )

    @classmethod
    def fit(
        cls, sample: ArrayLike, *, bits: int = 2, centroids: int | None = None, rounds: int = 8, seed: int = 0
    ) -> Residual:
        """Find centroids and levels of ``sample`` ``[n, d]``, ``n >= 1``.

        Args:
            sample: vectors like those to come; tens of thousands are plenty.
            bits: 1, 2 or 4 a dimension.
            centroids: how many; by default the power of two below ``16 sqrt(n)``, with 16 rows for each at least.
            rounds: of k-means.
            seed: of the first centroids.

        Raises:
            InputError: ``bits`` or ``centroids`` is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: ``rounds n k d`` products.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        n = len(sample)
        if bits not in (1, 2, 4):
            raise InputError(f"bits of {cls.id} must be 1, 2 or 4 for each dimension, got {bits}.")
        if centroids is None:
            centroids = 1 << int(np.log2(max(min(16 * np.sqrt(n), n / _EACH, 2**16), 1)))
        if not 1 <= centroids <= min(n, 2**16):
            raise InputError(
                f"centroids of {cls.id} must be from 1 to {min(n, 2**16)} with {n} sample rows, at least one row for "
                f"each, got {centroids}."
            )
        middle = kmeans(sample, centroids, rounds=rounds, seed=seed)
        some = sample[:: -(-n // _ROWS)]
        left = some - middle[nearest(some, middle)]
        length = np.linalg.norm(sample, axis=1)
        return cls(middle, _levels(left.reshape(-1), 2**bits), bool((np.abs(length - 1) < _UNIT).all()))

    @property
    def dim(self) -> int:
        """``d``."""
        return int(self.centroids.shape[1])

    @property
    def bits(self) -> int:
        """``b``."""
        return len(self.levels).bit_length() - 1

    @property
    def bytes_per_vector(self) -> int:
        """2 for the centroid, and ``b / 8`` a dimension, in whole bytes. Centroids and levels are stored once."""
        return 2 + (self.bits * self.dim + 7) // 8

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, 2 + ceil(b d / 8)]`` uint8: the centroid's number, then the levels."""
        x = as_matrix(x, name="x", dim=self.dim)
        own = nearest(x, self.centroids)
        cuts = (self.levels[1:] + self.levels[:-1]) / 2
        out = np.empty((len(x), self.bytes_per_vector), np.uint8)
        out[:, :2] = own.astype(_WORD)[:, None].view(np.uint8)
        rest, width = x - self.centroids[own], self.bytes_per_vector - 2
        level = np.zeros((len(x), width * self._each), np.uint8)
        for cut in cuts:  # a few comparisons of all are faster than a search for each
            level[:, : self.dim] += rest >= cut
        out[:, 2:] = np.bitwise_or.reduce(level.reshape(len(x), width, self._each) << self._places, axis=2)
        return out

    def decode(self, codes: Array) -> Matrix:
        """Codes -> ``[n, d]`` float32."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        bytes_ = np.arange(256, dtype=np.uint8)[:, None] >> self._places & np.uint8(2**self.bits - 1)
        found = self.levels[bytes_].take(codes[:, 2:], axis=0, mode="clip")  # whole bytes at a time: [n, w, 8 / b]
        found = found.reshape(len(codes), found.shape[1] * self._each)[:, : self.dim]
        found += self.centroids.take(self.centroid_of(codes), axis=0, mode="clip")
        if self.unit:
            length = np.sqrt(np.einsum("nd,nd->n", found, found))
            found /= np.maximum(length, np.finfo(np.float32).tiny)[:, None]
        return np.ascontiguousarray(found)

    @property
    def _each(self) -> int:
        """Dimensions in a byte."""
        return 8 // self.bits

    @property
    def _places(self) -> UInt8[np.ndarray, " e"]:
        return np.arange(self._each, dtype=np.uint8) * np.uint8(self.bits)

    def centroid_of(self, codes: Array) -> Int64[np.ndarray, " n"]:
        """The number of the centroid of each code: what candidates are found by before anything is decoded."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        return np.ascontiguousarray(codes[:, :2]).view(_WORD)[:, 0].astype(np.int64)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        return scores_by_decoding(queries, codes, self.decode, dim=self.dim)


_SHAPES = ((2,), (4,), (16,))


def _levels(values: Float32[np.ndarray, " m"], many: int) -> Float32[np.ndarray, " s"]:
    """``many`` ascending levels of least squared error, by Lloyd's rounds from quantiles."""
    values = np.sort(values.astype(np.float64))
    total = np.concatenate([[0.0], np.cumsum(values)])
    levels = values[((np.arange(many) + 0.5) / many * len(values)).astype(np.int64)]
    for _ in range(_ROUNDS):
        edge = np.searchsorted(values, (levels[1:] + levels[:-1]) / 2, side="right")
        edge = np.concatenate([[0], edge, [len(values)]])
        count = np.diff(edge)
        levels = np.where(count > 0, np.diff(total[edge]) / np.maximum(count, 1), levels)
    return levels.astype(np.float32)
