"""A width of its own for every field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.tables.blocks import Blocks, InBlocks, widths_up_to
from nestvec.tables.method import Knob, Sizes


@dataclass(frozen=True)
class FieldDims(InBlocks):
    """``row_f(i) = E_f[i] P_f`` with as many numbers an id as its field was given. What ``auto_dim`` finds.

    Never below one number an id.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        widths: one a field; none for ``dim`` everywhere.

    Raises:
        InputError: a width is not from 1 to ``dim``, or there is not one a field.

    Source: Zhao et al. 2021, sec. 2 (arXiv:2006.14827): the table that is retrained.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    widths: tuple[int, ...] = ()

    id: ClassVar[str] = "field_dims@1"

    def __post_init__(self) -> None:
        if self.widths and len(self.widths) != len(self.sizes.rows):
            raise InputError(
                f"widths must be one for each field that is not exact, {len(self.sizes.rows)}, got {len(self.widths)}."
            )
        if any(not 1 <= w <= self.dim for w in self.widths):
            raise InputError(f"widths must be from 1 to dim={self.dim}, got {self.widths}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one number an id to all: every field is widened once, small ones first, before any is again."""
        steps = len(widths_up_to(dim)) - 1
        return Knob("widths", 0, steps * len(sizes.rows), lambda step: _after(step, sizes, dim))

    def _blocks(self) -> Blocks:
        widths = self.widths or (self.dim,) * len(self.sizes.rows)
        return Blocks(self.sizes.starts, np.array(widths, np.int64), self.sizes.total, self.dim)


def _after(step: int, sizes: Sizes, dim: int) -> tuple[int, ...]:
    ladder = widths_up_to(dim)
    rounds, more = divmod(step, len(sizes.rows))
    level = np.full(len(sizes.rows), rounds)
    level[np.argsort(sizes.rows, kind="stable")[:more]] += 1
    return tuple(ladder[i] for i in level.tolist())
