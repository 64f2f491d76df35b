"""One hashed table for all fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.kernels.idhash import buckets
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class Unified:
    """``row_f(i) = concat_k E[h(i; f, k) mod m]``: all fields share one table, each with hashes of its own.

    Every field sees all ``m`` rows, where tables of its own would leave it a share. Collisions between fields do
    little harm: the model reads each field through weights of its own, and learns to look past the others. That
    needs a model that does (a concatenation into layers, not a sum over fields).

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        buckets: ``m`` rows of ``ceil(dim / lookups)`` numbers.
        lookups: ``k``; the second is worth more than the sharing itself.

    Source: Coleman et al. 2023, sec. 3 (arXiv:2305.12102).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    lookups: int = 2

    id: ClassVar[str] = "unified@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets, lookups=self.lookups)
        if self.lookups > self.dim:
            raise InputError(f"lookups must be at most dim={self.dim}, got {self.lookups}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """Up to a full table's numbers, also in narrow rows."""
        return Knob("buckets", 1, sizes.total * dim)

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(self.buckets, -(-self.dim // self.lookups))}

    def locate(self, ids: Ids) -> Places:
        """A bucket a lookup. Ids are numbered through, so one hash of them is another function for every field."""
        at = [buckets(ids.flat, self.buckets, salt=self.seed + k) for k in range(self.lookups)]
        return {"rows": np.stack(at, axis=1)}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Side by side; what is too wide is cut."""
        return read.rows("rows").reshape(len(ids), -1)[:, : self.dim]
