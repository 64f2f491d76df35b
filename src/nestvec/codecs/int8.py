"""One byte a dimension, with one scale a dimension."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, Shaped
from nestvec.kernels.blocks import as_codes, scores_by_decoding


@dataclass(frozen=True, eq=False)
class ScalarInt8(Portable):
    """Round every dimension to one of 255 levels.

    ``code = round(x / scale)`` and ``x̂ = code * scale``, with the scale of a dimension fitted so that the given
    quantile of ``|x|`` lands on 127. Inside that range the error is at most ``scale / 2`` a dimension; outside it the
    value is clipped. Four times smaller than float32.

    Args:
        scale: ``[d]``, above 0.

    Source: Jacob et al. 2018, eq. 1 with zero-point 0 (arXiv:1712.05877).
    """

    scale: Float32[np.ndarray, " d"]

    id: ClassVar[str] = "int8@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, quantile: float = 1.0, seed: int = 0) -> ScalarInt8:  # noqa: ARG003
        """Fit the scales on ``sample`` ``[n, d]``, ``n >= 1``.

        Args:
            sample: vectors like those to come.
            quantile: the part of values that is not clipped, in (0, 1].
            seed: of nothing; codecs are all fitted alike.

        Raises:
            InputError: the quantile is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        if not 0 < quantile <= 1:
            raise InputError(f"quantile must be above 0 and at most 1, got {quantile}.")
        sample = as_matrix(sample, name="sample", at_least=1)
        top = np.quantile(np.abs(sample), quantile, axis=0)
        return cls(np.maximum(top / 127, np.finfo(np.float32).tiny).astype(np.float32))

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.scale)

    @property
    def bytes_per_vector(self) -> int:
        """One a dimension. The scales are stored once."""
        return self.dim

    def encode(self, x: ArrayLike) -> Shaped[np.ndarray, "n d"]:
        """``[n, d]`` float -> ``[n, d]`` int8."""
        x = as_matrix(x, name="x", dim=self.dim)
        with np.errstate(over="ignore"):  # a value far outside the sample becomes infinity, and is clipped
            return np.asarray(np.clip(np.rint(x / self.scale), -127, 127), np.int8)

    def decode(self, codes: Array) -> Matrix:
        """``[n, d]`` int8 -> ``[n, d]`` float32."""
        return np.asarray(as_codes(codes, width=self.dim, dtype=np.int8) * self.scale)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes; the scales are put on the queries."""
        codes = as_codes(codes, width=self.dim, dtype=np.int8)
        queries = as_matrix(queries, name="queries", dim=self.dim) * self.scale
        return scores_by_decoding(queries, codes, lambda some: some.astype(np.float32), dim=self.dim)
