"""Wide rows for the frequent, short ones for the rare."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_CUTS = (0.01, 0.1, 1.0)
"""A field is cut where its first hundredth and its first tenth of ids end."""
_WORTH_CUTTING = 1000


@dataclass(frozen=True)
class MixedDim:
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

    def parts(self) -> Mapping[str, Part]:
        """``rows`` and ``projections`` of every width that occurs."""
        starts, widths = self.blocks()
        lengths = np.diff(np.append(starts, self.sizes.total))
        found: dict[str, Part] = {}
        for w in np.unique(widths).tolist():
            spread = 0.05 * ((w + self.dim) / (2 * w)) ** 0.5 if w < self.dim else 0.05
            found[f"rows{w}"] = Part(int(lengths[widths == w].sum()), w, spread=spread)
            if w < self.dim:
                bound = (6 / (w + self.dim)) ** 0.5  # Glorot and Bengio
                found[f"projections{w}"] = Part(int((widths == w).sum()), w * self.dim, spread=bound, whole=True)
        return found

    def locate(self, ids: Ids) -> Places:
        """For every width, the rows of those ids whose block has it, in their order."""
        starts, widths = self.blocks()
        lengths = np.diff(np.append(starts, self.sizes.total))
        block = np.searchsorted(starts, ids.flat, side="right") - 1
        places: dict[str, Array] = {}
        for w in np.unique(widths).tolist():
            own = np.where(widths == w, lengths, 0)
            first = np.cumsum(own) - own
            mine = block[widths[block] == w]
            places[f"rows{w}"] = (first[mine] + ids.flat[widths[block] == w] - starts[mine])[:, None]
        return places

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Each width through its matrices, then back in the order of the ids."""
        starts, widths = self.blocks()
        block = np.searchsorted(starts, ids.flat, side="right") - 1
        pieces, order = [], []
        for w in np.unique(widths).tolist():
            chosen = widths[block] == w
            rows = read.rows(f"rows{w}")
            if w < self.dim:
                number = np.cumsum(widths == w) - 1
                matrices = read.matrix(f"projections{w}").reshape(-1, w, self.dim)
                rows = rows @ matrices[read.constant(number[block[chosen]])]
            pieces.append(rows[:, 0])
            order.append(np.flatnonzero(chosen))
        return read.join(tuple(pieces), 0)[read.constant(np.argsort(np.concatenate(order)))]
