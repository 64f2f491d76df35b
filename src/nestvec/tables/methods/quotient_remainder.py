"""Two short tables instead of a long one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_COMBINE = ("multiply", "add", "concat")


@dataclass(frozen=True)
class QuotientRemainder:
    """``row(i) = Q_f[i // m] * R_f[i % m]``: every id its own row, made of ``ceil(n / m) + m`` stored ones.

    No two ids share both parts, so no two rows need be equal. ``m`` near ``sqrt(n)`` stores least.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        divisor: ``m``; a field with fewer than ``m**2`` ids takes the root of its own number.
        combine: 0 multiplies the two, 1 adds them, 2 sets them side by side with half the width each.

    Source: Shi et al. 2020, sec. 3 (arXiv:1909.02107).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    divisor: int = 1
    combine: int = 0

    id: ClassVar[str] = "quotient_remainder@1"

    def __post_init__(self) -> None:
        at_least(1, divisor=self.divisor)
        if not 0 <= self.combine < len(_COMBINE):
            raise InputError(f"combine must be 0 (multiply), 1 (add) or 2 (concat), got {self.combine}.")
        if self.combine == 2 and self.dim < 2:
            raise InputError("combine 2 (concat) needs dim of at least 2, got 1.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """Bytes fall with the divisor, up to the root of the largest field."""
        return Knob("divisor", 1, math.isqrt(max(sizes.rows) - 1) + 1)

    def divisors(self) -> Array:
        """``[fields]`` the divisor of each."""
        return np.array([min(self.divisor, math.isqrt(n - 1) + 1) for n in self.sizes.rows])

    def parts(self) -> Mapping[str, Part]:
        """``quotient`` (ones at first, so that a product starts as the other part alone) and ``remainder``."""
        m, n = self.divisors(), np.array(self.sizes.rows)
        left = self.dim - self.dim // 2 if self.combine == 2 else self.dim
        right = self.dim - left if self.combine == 2 else self.dim
        rows = int((-(-n // m)).sum())
        return {
            "quotient": Part(rows, left, spread=0.0, mean=1.0) if self.combine == 0 else Part(rows, left),
            "remainder": Part(int(m.sum()), right),
        }

    def locate(self, ids: Ids) -> Places:
        """Quotient and remainder of the number inside the field."""
        m, n = self.divisors(), np.array(self.sizes.rows)
        quotients = -(-n // m)
        of = m[ids.field]
        q = ids.local // of
        first_q, first_r = np.cumsum(quotients) - quotients, np.cumsum(m) - m
        return {
            "quotient": (first_q[ids.field] + q)[:, None],
            "remainder": (first_r[ids.field] + ids.local - q * of)[:, None],
        }

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Multiply, add or concatenate."""
        q, r = read.rows("quotient")[:, 0], read.rows("remainder")[:, 0]
        if self.combine == 2:
            return read.join((q, r), 1)
        return q * r if self.combine == 0 else q + r
