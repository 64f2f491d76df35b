"""Every prefix of a vector is a vector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from nestvec.core.errors import InputError, MissingExtraError, ShapeError

try:
    from torch import Tensor
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause


@runtime_checkable
class PairObjective(Protocol):
    """A loss of two sets of vectors of one space."""

    def __call__(self, a: Tensor, b: Tensor) -> Any:
        """``[q, d]`` and ``[n, d]`` -> scalar."""
        ...


@dataclass(frozen=True)
class Nested:
    """The mean of ``inner`` over the leading ``dims`` of the vectors, so that every prefix is a good vector.

    Args:
        inner: a loss of two sets of vectors of one space.
        dims: the widths, each at least 1.

    Raises:
        InputError: there is no width, or one below 1.

    Source: Kusupati et al. 2022, eq. 1 (arXiv:2205.13147).
    """

    inner: PairObjective
    dims: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.dims or min(self.dims) < 1:
            raise InputError(f"dims must name at least one width, each at least 1, got {self.dims}.")

    def __call__(self, a: Tensor, b: Tensor) -> Any:
        """``[q, d]`` and ``[n, d]`` -> scalar.

        Raises:
            ShapeError: ``d`` is less than the largest of ``dims``.
        """
        if min(a.shape[1], b.shape[1]) < max(self.dims):
            raise ShapeError(f"vectors must have at least {max(self.dims)} dims, got {a.shape[1]} and {b.shape[1]}.")
        losses = [self.inner(a[:, :d], b[:, :d]) for d in self.dims]
        return sum(losses[1:], losses[0]) / len(losses)
