"""The hashing trick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets, signs
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class Hash:
    """``row(id) = E_f[h(id) mod m_f]``: ids that hash alike share a row, inside their field only.

    The stored rows are dealt to the fields by their numbers of ids. Signed, a row is multiplied by a second hash in
    ``{-1, 1}``, which makes the error of inner products zero on average.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hash.
        buckets: rows stored for all fields together.
        signed: whether to multiply by a sign.

    Source: Weinberger et al. 2009, sec. 2 (arXiv:0902.2206).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    signed: bool = False

    id: ClassVar[str] = "hash@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row a field to one an id."""
        return Knob("buckets", len(sizes.rows), sizes.total)

    def shares(self) -> Array:
        """``[fields]`` rows of each field: in proportion to its ids, and at least one."""
        part = np.array(self.sizes.rows) * (self.buckets / max(self.sizes.total, 1))
        return np.maximum(part.astype(np.int64), 1)

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(int(self.shares().sum()), self.dim)}

    def locate(self, ids: Ids) -> Places:
        """One bucket of the field."""
        shares = self.shares()
        first = np.cumsum(shares) - shares
        return {"rows": (first[ids.field] + buckets(ids.flat, shares[ids.field], salt=self.seed))[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row, with its sign."""
        row = read.rows("rows")[:, 0]
        return row * read.constant(signs(ids.flat, salt=self.seed + 1)[:, None]) if self.signed else row
