"""A table as a product of three small tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_PARTS = ("first", "second", "third")


@dataclass(frozen=True)
class TensorTrain:
    """``row(i) = G1[i1] G2[i2] G3[i3]`` with ``i = (i1, i2, i3)`` in mixed radix: matrix products of small slices.

    Every field has cores of its own, for three factors of its number of ids, rounded up.

    Args:
        sizes: the fields.
        dim: width of a row, cut into three factors.
        seed: not used.
        rank: width of the joints; bytes grow with its square.

    Source: Yin et al. 2021, sec. 3 (arXiv:2101.11714). Cores start uniform with the variance that gives the product
    the variance of a full table's first values.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    rank: int = 8

    id: ClassVar[str] = "tensor_train@1"

    def __post_init__(self) -> None:
        at_least(1, rank=self.rank)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """At rank 256 three cores are larger than any table that they could replace."""
        return Knob("rank", 1, 256)

    def factors(self) -> Array:
        """``[fields, 3]`` factors whose product is at least the number of ids of the field."""
        found = []
        for n in self.sizes.rows:
            a = max(round(n ** (1 / 3)), 1)
            b = max(math.isqrt(-(-n // a) - 1) + 1 if n > a else 1, 1)
            found.append((a, b, -(-n // (a * b))))
        return np.array(found, np.int64)

    def widths(self) -> tuple[int, int, int]:
        """Three factors of ``dim``, as equal as they can be."""
        options = [
            (a, b, self.dim // (a * b))
            for a in range(1, self.dim + 1)
            if self.dim % a == 0
            for b in range(1, self.dim // a + 1)
            if (self.dim // a) % b == 0
        ]
        return min(options, key=lambda w: (sum(w), w))

    def parts(self) -> Mapping[str, Part]:
        """``first``, ``second`` and ``third``: the slices of all fields."""
        a, b, c = self.widths()
        r = self.rank
        spread = math.sqrt(3) * (0.05**2 / 3 / r**2) ** (1 / 6)  # of r^2 terms, products of three
        rows = self.factors().sum(axis=0)
        wide = (a * r, r * b * r, r * c)
        return {name: Part(int(n), w, spread=spread) for name, n, w in zip(_PARTS, rows, wide, strict=True)}

    def locate(self, ids: Ids) -> Places:
        """Three digits."""
        factors = self.factors()
        first = np.cumsum(factors, axis=0) - factors
        of, start = factors[ids.field], first[ids.field]
        rest, i3 = np.divmod(ids.local, of[:, 2])
        i1, i2 = np.divmod(rest, of[:, 1])
        return {name: (start[:, j] + i)[:, None] for j, (name, i) in enumerate(zip(_PARTS, (i1, i2, i3), strict=True))}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Two batched matrix products."""
        a, b, c = self.widths()
        n, r = len(ids), self.rank
        left = read.rows("first").reshape(n, a, r) @ read.rows("second").reshape(n, r, b * r)
        whole = left.reshape(n, a * b, r) @ read.rows("third").reshape(n, r, c)
        return whole.reshape(n, self.dim)
