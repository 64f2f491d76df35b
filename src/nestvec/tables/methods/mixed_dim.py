"""Wide rows for the frequent, short ones for the rare."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.blocks import Blocks, InBlocks
from nestvec.tables.method import Knob, Sizes, at_least

_CUTS = (0.01, 0.1, 1.0)
"""A field is cut where its first hundredth and its first tenth of ids end."""
_WORTH_CUTTING = 1000


@dataclass(frozen=True)
class MixedDim(InBlocks):
    """``row(i) = E_b[i] P_b`` with ``d_b = dim * (n_0 / n_b)^alpha``: the larger a block of ids, the shorter its rows.

    Blocks are the fields, large ones cut by frequency; ``n_0`` is the smallest. Widths are powers of two. A block of
    full width needs no matrix.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        alpha: exponent in thousandths; 0 is a full table, 300 usual.

    Source: Ginart et al. 2019, alg. 1 (arXiv:1909.11810).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    alpha: int = 300

    id: ClassVar[str] = "mixed_dim@1"

    def __post_init__(self) -> None:
        at_least(0, alpha=self.alpha)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """Bytes fall with the exponent; at 4 every block but the smallest has rows of one number."""
        return Knob("alpha", 0, 4000)

    def blocks(self) -> tuple[Array, Array]:
        """``[blocks]`` joint id where each begins, and ``[blocks]`` its width."""
        ends: list[int] = []
        for start, n in zip(self.sizes.starts.tolist(), self.sizes.rows, strict=True):
            cuts = _CUTS if n >= _WORTH_CUTTING else _CUTS[-1:]
            ends += [start + int(n * cut) for cut in cuts]
        starts = np.array([0, *ends[:-1]], np.int64)
        lengths = np.diff(np.array([0, *ends], np.int64))
        exact = self.dim * (lengths.min() / lengths) ** (self.alpha / 1000)
        widths = [self.dim if w >= self.dim else min(2 ** max(round(math.log2(w)), 0), self.dim) for w in exact]
        return starts, np.array(widths, np.int64)

    def _blocks(self) -> Blocks:
        return Blocks(*self.blocks(), self.sizes.total, self.dim)
