"""Half a byte a dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, Shaped
from nestvec.kernels.blocks import as_codes, scores_by_decoding

_CLIPS = (0.55, 0.65, 0.75, 0.85, 0.92, 1.0)  # of the half range: what is tried for the least square error


@dataclass(frozen=True, eq=False)
class ScalarInt4(Portable):
    """Round every dimension to one of 16 even steps.

    ``code = round((x - low) / step)`` in 0 to 15, ``x̂ = low + code * step``. A dimension's range is its own: the
    spread of the sample around its middle, drawn in as far as makes the squared error on the sample least. Two
    dimensions share a byte, the even one in its lower half.

    Args:
        low: ``[d]``.
        step: ``[d]``, above 0.

    Source: Jacob et al. 2018, eq. 1 (arXiv:1712.05877); the range by least error as in Banner et al. 2019,
    sec. 3 (arXiv:1810.05723), searched instead of derived.
    """

    low: Float32[np.ndarray, " d"]
    step: Float32[np.ndarray, " d"]

    id: ClassVar[str] = "int4@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, seed: int = 0) -> ScalarInt4:  # noqa: ARG003  # codecs are all fitted alike
        """Fit the ranges on ``sample`` ``[n, d]``, ``n >= 1``.

        Raises:
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        bottom, top = sample.min(axis=0), sample.max(axis=0)
        middle, half = bottom / 2 + top / 2, top / 2 - bottom / 2
        low, step = bottom, np.zeros_like(half)
        least = np.full(sample.shape[1], np.inf)
        for clip in _CLIPS:
            here = np.maximum(clip * half * np.float32(2 / 15), np.finfo(np.float32).tiny).astype(np.float32)
            start = (middle - clip * half).astype(np.float32)
            code = np.clip(np.rint((sample - start) / here), 0, 15)
            error = ((start + code * here - sample).astype(np.float64) ** 2).sum(axis=0)
            better = error < least
            low, step = np.where(better, start, low), np.where(better, here, step)
            least = np.minimum(least, error)
        return cls(low, np.maximum(step, np.finfo(np.float32).tiny))

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.step)

    @property
    def bytes_per_vector(self) -> int:
        """Half of one a dimension. The ranges are stored once."""
        return (self.dim + 1) // 2

    def encode(self, x: ArrayLike) -> Shaped[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, ceil(d / 2)]`` uint8."""
        x = as_matrix(x, name="x", dim=self.dim)
        with np.errstate(over="ignore"):  # a value far outside the sample becomes infinity, and is clipped
            code = np.clip(np.rint((x - self.low) / self.step), 0, 15).astype(np.uint8)
        code = np.pad(code, [(0, 0), (0, self.dim % 2)])
        return np.asarray(code[:, 0::2] | (code[:, 1::2] << 4))

    def decode(self, codes: Array) -> Matrix:
        """``[n, ceil(d / 2)]`` uint8 -> ``[n, d]`` float32."""
        return np.asarray(self._levels(as_codes(codes, width=self.bytes_per_vector)) * self.step + self.low)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes; the steps are put on the queries."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        queries = as_matrix(queries, name="queries", dim=self.dim)
        found = scores_by_decoding(queries * self.step, codes, self._levels, dim=self.dim)
        found += (queries @ self.low)[:, None]
        return found

    def _levels(self, codes: Array) -> Matrix:
        out = np.empty((len(codes), 2 * codes.shape[1]), np.float32)
        out[:, 0::2] = codes & 15
        out[:, 1::2] = codes >> 4
        return out[:, : self.dim]
