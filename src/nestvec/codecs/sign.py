"""One bit a dimension: on which side of the middle it lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Int64, Matrix, UInt8
from nestvec.kernels import bits
from nestvec.kernels.blocks import as_codes, rows_times, scores_by_decoding
from nestvec.kernels.maxsim_codes import best_bits
from nestvec.kernels.rotations import random_rotation
from nestvec.kernels.signscan import SignScan


@dataclass(frozen=True, eq=False)
class Sign(Portable):
    """Keep the signs of the centred, rotated vector.

    ``y = (x - centre) @ rotation``, a bit is 1 where ``y > 0``, and ``x̂ = centre + (±weight) @ rotation.T`` with
    ``weight = mean |y|`` of the dimension. Queries stay float. Thirty-two times smaller than float32.

    Without rotation a dimension in which all vectors lie on one side is a wasted bit; the centre helps with that, and
    the rotation spreads what the vectors have in common over all bits. With more bits than dimensions the rows of the
    rotation are a tight frame.

    Args:
        centre: ``[d]``, what is taken off.
        rotation: ``[d, b]`` to the ``b`` dimensions that become bits; its rows are orthonormal times ``sqrt(b / d)``
            where ``b > d``.
        weight: ``[b]``, at least 0.

    Source: Charikar 2002, sec. 3 (STOC), for signs of random projections; the float query as in Gordo et al. 2014,
    sec. 3 (IEEE TPAMI 36(1)).
    """

    centre: Float32[np.ndarray, " d"]
    rotation: Float32[np.ndarray, "d b"]
    weight: Float32[np.ndarray, " b"]

    id: ClassVar[str] = "sign@1"

    def __post_init__(self) -> None:
        if self.rotation.shape != (len(self.centre), len(self.weight)):
            raise InputError(
                f"rotation must be [{len(self.centre)}, {len(self.weight)}], got shape {self.rotation.shape}."
            )

    @classmethod
    def fit(
        cls, sample: ArrayLike, *, centre: bool = True, rotate: bool = True, wide: int | None = None, seed: int = 0
    ) -> Sign:
        """Fit on ``sample`` ``[n, d]``, ``n >= 1``.

        Args:
            sample: vectors like those to come.
            centre: take the mean off first.
            rotate: turn by a random rotation first.
            wide: how many bits, at least ``d``; more than ``d`` needs ``rotate``. By default ``d``.
            seed: of the rotation.

        Raises:
            InputError: ``wide`` is less than ``d``, or more without a rotation.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        d = sample.shape[1]
        b = d if wide is None else wide
        if b < d or (b > d and not rotate):
            raise InputError(f"wide must be at least d={d}, and more only with rotate=True, got {b}.")
        middle = sample.mean(axis=0) if centre else np.zeros(d, np.float32)
        rotation = random_rotation(b, seed=seed)[:d] if rotate else np.eye(d, dtype=np.float32)
        weight = np.abs((sample - middle) @ rotation).mean(axis=0)
        return cls(middle, np.ascontiguousarray(rotation), weight)

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.centre)

    @property
    def bytes_per_vector(self) -> int:
        """An eighth a bit. The rotation is stored once."""
        return (len(self.weight) + 7) // 8

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, ceil(b / 8)]`` uint8."""
        x = as_matrix(x, name="x", dim=self.dim)
        return bits.pack(rows_times(x - self.centre, self.rotation) > 0)

    def decode(self, codes: Array) -> Matrix:
        """``[n, ceil(b / 8)]`` uint8 -> ``[n, d]`` float32."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        return np.asarray(self._signs(codes) @ self._back.T + self.centre)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        queries = as_matrix(queries, name="queries", dim=self.dim)
        found = scores_by_decoding(queries @ self._back, codes, self._signs, dim=len(self.weight))
        found += (queries @ self.centre)[:, None]
        return found

    def maxima(
        self, query: Float32[np.ndarray, "q d"], codes: Array, offsets: Int64[np.ndarray, " n1"]
    ) -> Float32[np.ndarray, "n q"]:
        """The best of :meth:`scores` for each query token within each item; see :mod:`nestvec.kernels.maxsim_codes`."""
        found = best_bits(query @ self._back, as_codes(codes, width=self.bytes_per_vector), offsets)
        return np.asarray(found + query @ self.centre)

    def hamming(self, a: Array, b: Array) -> Float32[np.ndarray, "q n"]:
        """How many bits differ between codes ``a`` ``[q, w]`` and ``b`` ``[n, w]``; lower is closer.

        For codes against codes, as in finding near-duplicates; a float query is better served by :meth:`scores`.
        """
        width = self.bytes_per_vector
        return bits.hamming(as_codes(a, width=width), as_codes(b, width=width))

    def scanner(self, codes: Array) -> SignScan:
        """The codes laid out for fast scans; they are copied."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        none, zero = np.zeros((0, len(codes)), np.float32), np.zeros(len(self.weight), np.float32)
        return SignScan.of(codes, factors=none, matrix=self.rotation, scale=self.weight, axis=self.centre, offset=zero)

    @property
    def _back(self) -> Float32[np.ndarray, "d b"]:
        return np.asarray(self.rotation * self.weight)

    def _signs(self, codes: Array) -> Matrix:
        return bits.signs(codes, len(self.weight))
