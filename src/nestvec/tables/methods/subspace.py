"""Digits of an id, each with a short row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class Subspace:
    """``row_f(i) = concat_j E_j[digit_j(i)]``: ``s`` digits of ``i`` in base ``ceil(n_f^(1/s))``, ``dim / s`` wide.

    ``s n^(1/s)`` short rows stand for ``n``: 111 for the 50,265 tokens of RoBERTa at ``s = 3``. Every id keeps a row of
    its own, and ids that share digits share most of it.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        subspaces: ``s``, from 1 (a full table) to ``dim``.

    Source: Jaiswal et al. 2023, sec. 3.1 (arXiv:2308.08688).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    subspaces: int = 3

    id: ClassVar[str] = "subspace@1"

    def __post_init__(self) -> None:
        at_least(1, subspaces=self.subspaces)
        if self.subspaces > self.dim:
            raise InputError(f"subspaces must be at most dim={self.dim}, got {self.subspaces}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """Bytes fall with the number of digits, until they are binary."""
        return Knob("subspaces", 1, max(1, min(dim, max(sizes.rows).bit_length() // 2)))

    def bases(self) -> Array:
        """``[fields]`` the least base in which every id has at most ``s`` digits."""
        found = []
        for n in self.sizes.rows:
            base = max(int(n ** (1 / self.subspaces)) - 1, 1)
            while base**self.subspaces < n:
                base += 1
            found.append(base)
        return np.array(found, np.int64)

    def parts(self) -> Mapping[str, Part]:
        """``digit0`` … with the rows of all fields, the first ones a number wider where ``dim`` does not divide."""
        rows, s = int(self.bases().sum()), self.subspaces
        return {f"digit{j}": Part(rows, self.dim // s + (j < self.dim % s)) for j in range(s)}

    def locate(self, ids: Ids) -> Places:
        """The digits, the lowest first."""
        bases = self.bases()
        base, first = bases[ids.field], (np.cumsum(bases) - bases)[ids.field]
        places, rest = {}, ids.local
        for j in range(self.subspaces):
            rest, digit = np.divmod(rest, base)
            places[f"digit{j}"] = (first + digit)[:, None]
        return places

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Side by side."""
        return read.join(tuple(read.rows(f"digit{j}")[:, 0] for j in range(self.subspaces)), 1)
