"""From what a model pools to the vector that was asked for: a head, a rotation, leading dimensions, length 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.types import Float32


@dataclass(frozen=True, eq=False)
class Shaping:
    """``v = W x + b``, cut to its leading dimensions and made unit.

    A head and a rotation are one matrix here: to make a vector unit between the two would change no direction.

    Args:
        dim: leading dimensions kept.
        unit: make length 1; a vector of zeros stays one.
        weight: ``W`` ``[d, width]``, ``d >= dim``; None for ``x`` itself.
        bias: ``b`` ``[d]``.
    """

    dim: int
    unit: bool
    weight: Float32[np.ndarray, "d w"] | None = None
    bias: Float32[np.ndarray, " d"] | None = None

    @classmethod
    def of(
        cls,
        dim: int,
        *,
        unit: bool,
        head: tuple[np.ndarray, np.ndarray] | None = None,
        rotation: np.ndarray | None = None,
    ) -> Shaping:
        """Join ``v = W h + b`` and ``v' = R v`` and keep ``dim`` rows of the result."""
        if head is None:
            return cls(dim, unit, None if rotation is None else np.ascontiguousarray(rotation[:dim], np.float32))
        weight, bias = head
        if rotation is not None:
            weight, bias = rotation @ weight, rotation @ bias
        return cls(dim, unit, *(np.ascontiguousarray(x[:dim], np.float32) for x in (weight, bias)))

    def __call__(self, x: Float32[np.ndarray, "n w"]) -> Float32[np.ndarray, "n k"]:
        """``[n, width]`` -> ``[n, dim]`` float32."""
        out = x if self.weight is None else x @ self.weight.T
        if self.bias is not None:
            out = out + self.bias
        out = out[:, : self.dim]
        if self.unit:
            length = np.linalg.norm(out, axis=1, keepdims=True)
            out = out / np.where(length > 0, length, np.float32(1))
        return np.ascontiguousarray(out, np.float32)
