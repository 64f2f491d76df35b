"""A shared row and a number of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class MEmCom:
    """``row(i) = U_f[i mod m_f] * v_i (+ b_i)``: ids share rows, and each stretches its row by a number of its own.

    Because ids are sorted by frequency, ``i mod m`` never puts two of the most frequent ``m`` together.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        buckets: rows of ``U`` for all fields together.
        bias: whether an id has a number to add as well.

    Source: Pansare et al. 2022, sec. 3 (arXiv:2203.10135).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    bias: bool = False

    id: ClassVar[str] = "memcom@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row a field to one an id."""
        return Knob("buckets", len(sizes.rows), sizes.total)

    def shares(self) -> Array:
        """``[fields]`` rows of each field: in proportion to its ids, and at least one."""
        part = np.array(self.sizes.rows) * (self.buckets / self.sizes.total)
        return np.maximum(part.astype(np.int64), 1)

    def parts(self) -> Mapping[str, Part]:
        """``rows``, ``factors`` and, if asked for, ``offsets``."""
        own = {"factors": Part(self.sizes.total, 1, spread=0.0, mean=1.0)}
        if self.bias:
            own["offsets"] = Part(self.sizes.total, 1, spread=0.0)
        return {"rows": Part(int(self.shares().sum()), self.dim), **own}

    def locate(self, ids: Ids) -> Places:
        """The remainder inside the field, and the id itself."""
        shares = self.shares()
        first = np.cumsum(shares) - shares
        places = {
            "rows": (first[ids.field] + ids.local % shares[ids.field])[:, None],
            "factors": ids.flat[:, None],
        }
        return {**places, "offsets": ids.flat[:, None]} if self.bias else places

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row times its factor, plus its offset."""
        row = read.rows("rows")[:, 0] * read.rows("factors")[:, 0]
        return row + read.rows("offsets")[:, 0] if self.bias else row
