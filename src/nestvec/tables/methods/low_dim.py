"""Shorter rows and a projection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nestvec.core.errors import InputError
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class LowDim:
    """``row_f(i) = E[i] P_f``: every id has a short row, every field a matrix that widens it. The baseline to beat.

    Never below ``1 / dim`` of a full table.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        width: of the short rows.

    Source: Ginart et al. 2019, sec. 3 (arXiv:1909.11810), with one width for all.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    width: int = 1

    id: ClassVar[str] = "low_dim@1"

    def __post_init__(self) -> None:
        at_least(1, width=self.width)
        if self.width > self.dim:
            raise InputError(f"width must be at most dim={self.dim}, got {self.width}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one number an id to all."""
        return Knob("width", 1, dim)

    def parts(self) -> Mapping[str, Part]:
        """``rows`` and ``projections``, one a field; first values as in a full table once multiplied."""
        bound = (6 / (self.width + self.dim)) ** 0.5  # Glorot and Bengio
        spread = 0.05 * ((self.width + self.dim) / (2 * self.width)) ** 0.5
        return {
            "rows": Part(self.sizes.total, self.width, spread=spread),
            "projections": Part(len(self.sizes.rows), self.width * self.dim, spread=bound, whole=True),
        }

    def locate(self, ids: Ids) -> Places:
        """The id itself."""
        return {"rows": ids.flat[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The short row through the matrix of its field."""
        rows = read.rows("rows")
        projections = read.matrix("projections").reshape(-1, self.width, self.dim)
        if len(projections) == 1:
            return rows[:, 0] @ projections[0]
        return (rows @ projections[read.constant(ids.field)])[:, 0]
