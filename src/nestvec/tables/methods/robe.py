"""One array of numbers for everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets, signs
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class ROBE:
    """``row(i)[bZ : (b+1)Z] = s_b(i) * w[h_b(i) : h_b(i) + Z]``: blocks of a row lie anywhere in one array of numbers.

    Blocks of different ids overlap and are shared; no number belongs to anyone. A block is one contiguous read.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        numbers: length of ``w``.
        block: ``Z``, at most ``dim``; 0 for ``dim``, one read a row. 1 is HashedNet.
        signed: whether a block is multiplied by a hashed sign.

    Source: Desai et al. 2021, sec. 3 (arXiv:2108.02191), with another universal hash.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    numbers: int = 0
    block: int = 0
    signed: bool = True

    id: ClassVar[str] = "robe@1"

    def __post_init__(self) -> None:
        at_least(0, numbers=self.numbers, block=self.block)
        if self.block > self.dim:
            raise InputError(f"block must be at most dim={self.dim}, got {self.block}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row to one an id."""
        return Knob("numbers", dim, sizes.total * dim)

    def parts(self) -> Mapping[str, Part]:
        """``array``, one number a row; never shorter than a row."""
        return {"array": Part(max(self.numbers, self.dim), 1)}

    def locate(self, ids: Ids) -> Places:
        """``dim`` positions: a start for every block, and what follows it."""
        size, length = self.block or self.dim, max(self.numbers, self.dim)
        starts = [buckets(ids.flat, length - size + 1, salt=self.seed + b) for b in range(self._blocks())]
        at = np.stack(starts, axis=1)[:, :, None] + np.arange(size)
        return {"array": at.reshape(len(ids), -1)[:, : self.dim]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The numbers, with their signs."""
        row = read.rows("array")[:, :, 0]
        return row * read.constant(self._signs(ids)) if self.signed else row

    def _blocks(self) -> int:
        return -(-self.dim // (self.block or self.dim))

    def _signs(self, ids: Ids) -> Array:
        size, first = self.block or self.dim, self.seed + self._blocks()
        each = [signs(ids.flat, salt=first + b) for b in range(self._blocks())]
        found = np.stack(each, axis=1)
        return found if len(each) == 1 else np.repeat(found, size, axis=1)[:, : self.dim]  # one is for the whole row
