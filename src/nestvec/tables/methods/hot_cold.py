"""Rows of their own for frequent ids, shared ones for the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class HotCold:
    """``row_f(i) = E_f[i]`` if ``i < H_f``, else ``E_f[H_f + h(i) mod (m_f - H_f)]``: the frequent do not collide.

    Ids are sorted by frequency, so no list of the frequent is stored.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hash.
        buckets: rows of all fields together, dealt by their numbers of ids.
        hot: per cent of a field's rows that belong to its most frequent ids.

    Source: Zhang et al. 2023, sec. 3 (arXiv:2311.15578): frequency-based hashing ("AdaptEmb"), with a fixed order.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 2
    hot: int = 50

    id: ClassVar[str] = "adapt_hot_cold@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets)
        if not 0 <= self.hot <= 100:
            raise InputError(f"hot must be a per cent from 0 to 100, got {self.hot}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row a field to one an id."""
        return Knob("buckets", len(sizes.rows), sizes.total)

    def shares(self) -> tuple[Array, Array]:
        """``[fields]`` rows of each field, and how many of them are hot; one at least is left for the others."""
        rows = np.array(self.sizes.rows)
        share = np.maximum((rows * (self.buckets / self.sizes.total)).astype(np.int64), 1)
        return share, np.where(share >= rows, rows, np.minimum(share * self.hot // 100, share - 1))

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(int(self.shares()[0].sum()), self.dim)}

    def locate(self, ids: Ids) -> Places:
        """The id itself, or a bucket behind the hot rows."""
        share, hot = self.shares()
        first = np.cumsum(share) - share
        own = hot[ids.field]
        cold = own + buckets(ids.flat, np.maximum(share[ids.field] - own, 1), salt=self.seed)
        return {"rows": (first[ids.field] + np.where(ids.local < own, ids.local, cold))[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is."""
        return read.rows("rows")[:, 0]
