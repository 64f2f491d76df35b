"""Several hashed rows, added up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.kernels.idhash import buckets
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least


@dataclass(frozen=True)
class Bloom:
    """``row(i) = sum_k E[h_k(i) mod m]``: two ids are alike only if all ``k`` hashes agree, which is rare.

    All fields share one table.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        buckets: ``m``.
        hashes: ``k``; 4 is what one 128-bit hash gives, and what spaCy uses.

    Source: Miranda et al. 2022, sec. 3 (arXiv:2212.09255).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    hashes: int = 4

    id: ClassVar[str] = "bloom@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets, hashes=self.hashes)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row to one an id."""
        return Knob("buckets", 1, sizes.total)

    def parts(self) -> Mapping[str, Part]:
        """``rows``, smaller at first so that their sum is as large as one row of a full table."""
        return {"rows": Part(self.buckets, self.dim, spread=0.05 / self.hashes**0.5)}

    def locate(self, ids: Ids) -> Places:
        """``k`` buckets."""
        at = [buckets(ids.flat, self.buckets, salt=self.seed + k) for k in range(self.hashes)]
        return {"rows": np.stack(at, axis=1)}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The sum."""
        return read.rows("rows").sum(1)
