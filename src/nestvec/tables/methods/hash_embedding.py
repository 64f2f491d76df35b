"""Several hashed rows, each weighted by the id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.kernels.idhash import buckets
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_WEIGHTS_PER_ROW = 10
"""The paper wants many more weights than rows, and uses ten times as many or more."""


@dataclass(frozen=True)
class HashEmbedding:
    """``row(i) = sum_k p[g(i)]_k * E[h_k(i) mod m]``: an id learns which of its ``k`` shared rows to trust.

    All fields share the rows; the weights ``p`` are one row an id, or ten for each row of ``E`` if that is fewer.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        buckets: ``m``.
        hashes: ``k``; the paper uses 2.

    Source: Svenstrup et al. 2017, sec. 3 (arXiv:1709.03933).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    hashes: int = 2

    id: ClassVar[str] = "hash_embedding@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets, hashes=self.hashes)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row to one an id."""
        return Knob("buckets", 1, sizes.total)

    def parts(self) -> Mapping[str, Part]:
        """``rows`` and ``weights``."""
        return {
            "rows": Part(self.buckets, self.dim, spread=0.05 / self.hashes**0.5),
            "weights": Part(min(_WEIGHTS_PER_ROW * self.buckets, self.sizes.total), self.hashes, spread=0.1, mean=1.0),
        }

    def locate(self, ids: Ids) -> Places:
        """``k`` buckets, and where the weights stand: at the id itself if there is a row of weights for each."""
        count = self.parts()["weights"].rows
        at = [buckets(ids.flat, self.buckets, salt=self.seed + k) for k in range(self.hashes)]
        own = ids.flat if count == self.sizes.total else buckets(ids.flat, count, salt=self.seed + self.hashes)
        return {"rows": np.stack(at, axis=1), "weights": own[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The weighted sum."""
        return (read.rows("weights") @ read.rows("rows"))[:, 0]
