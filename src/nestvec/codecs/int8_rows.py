"""One byte a dimension, with one scale a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Int64, Matrix, Shaped
from nestvec.kernels.blocks import as_codes, scores_by_decoding
from nestvec.kernels.maxsim_codes import best_int8


@dataclass(frozen=True, eq=False)
class RowInt8(Portable):
    """Round every vector to 255 levels of its own.

    ``scale = max |x| / 127`` of the vector, ``code = round(x / scale)``, ``x̂ = code * scale``: nothing is ever clipped,
    nothing has to be fitted, and vectors of any length are held equally well. Costs 4 bytes a vector more than one
    scale a dimension.

    Args:
        dim: ``d``.

    Source: Jacob et al. 2018, eq. 1 with zero-point 0, a vector at a time (arXiv:1712.05877).
    """

    dim: int

    id: ClassVar[str] = "int8_rows@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, seed: int = 0) -> RowInt8:  # noqa: ARG003  # codecs are all fitted alike
        """Take the width of ``sample`` ``[n, d]``; nothing is learned.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        return cls(as_matrix(sample, name="sample").shape[1])

    @property
    def bytes_per_vector(self) -> int:
        """One a dimension, and 4 for the scale."""
        return self.dim + 4

    def encode(self, x: ArrayLike) -> Shaped[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, d + 4]`` uint8: int8 codes, then the scale as little-endian float32."""
        x = as_matrix(x, name="x", dim=self.dim)
        scale = np.abs(x).max(axis=1, initial=0, keepdims=True) / np.float32(127)
        scale = np.maximum(scale, np.finfo(np.float32).tiny).astype("<f4")
        out = np.empty((len(x), self.bytes_per_vector), np.uint8)
        out[:, : self.dim] = np.clip(np.rint(x / scale), -127, 127).astype(np.int8).view(np.uint8)
        out[:, self.dim :] = scale.view(np.uint8)
        return out

    def decode(self, codes: Array) -> Matrix:
        """``[n, d + 4]`` uint8 -> ``[n, d]`` float32."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        return np.asarray(codes[:, : self.dim].view(np.int8) * self._scales(codes))

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        whole = codes[:, : self.dim]
        found = scores_by_decoding(queries, whole, lambda some: some.view(np.int8).astype(np.float32), dim=self.dim)
        found *= self._scales(codes).T
        return found

    def maxima(
        self, query: Float32[np.ndarray, "q d"], codes: Array, offsets: Int64[np.ndarray, " n1"]
    ) -> Float32[np.ndarray, "n q"]:
        """The best of :meth:`scores` for each query token within each item; see :mod:`nestvec.kernels.maxsim_codes`."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        whole = codes[:, : self.dim].view(np.int8)
        return best_int8(query, whole, offsets, scale=self._scales(codes)[:, 0])

    def _scales(self, codes: Array) -> Float32[np.ndarray, "n 1"]:
        return codes[:, self.dim :].view("<f4")
