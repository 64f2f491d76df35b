"""Blocks of ids that differ in the width of their rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.method import Ids, Part, Places, Reading


@dataclass(frozen=True)
class Blocks:
    """``row(i) = E_b[i] P_b``: every block of ids has rows of its own width, and a matrix that widens them.

    A block of full width needs no matrix. Blocks of equal width share one array.

    Args:
        starts: ``[blocks]`` id where each begins.
        widths: ``[blocks]``.
        total: ids of all.
        dim: width of the wide rows.
    """

    starts: Array
    widths: Array
    total: int
    dim: int

    @property
    def lengths(self) -> Array:
        """``[blocks]`` ids of each."""
        lengths: Array = np.diff(np.append(self.starts, self.total))
        return lengths

    def parts(self) -> Mapping[str, Part]:
        """``rows`` and ``projections`` of every width that occurs; first values as in a full table once multiplied."""
        found: dict[str, Part] = {}
        for w in np.unique(self.widths).tolist():
            spread = 0.05 * ((w + self.dim) / (2 * w)) ** 0.5 if w < self.dim else 0.05
            found[f"rows{w}"] = Part(int(self.lengths[self.widths == w].sum()), w, spread=spread)
            if w < self.dim:
                bound = (6 / (w + self.dim)) ** 0.5  # Glorot and Bengio
                found[f"projections{w}"] = Part(int((self.widths == w).sum()), w * self.dim, spread=bound, whole=True)
        return found

    def locate(self, ids: Ids) -> Places:
        """For every width, the rows of those ids whose block has it, in their order."""
        block = self._block(ids)
        places: dict[str, Array] = {}
        for w in np.unique(self.widths).tolist():
            own = np.where(self.widths == w, self.lengths, 0)
            first = np.cumsum(own) - own
            mine = block[self.widths[block] == w]
            places[f"rows{w}"] = (first[mine] + ids.flat[self.widths[block] == w] - self.starts[mine])[:, None]
        return places

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Each width through its matrices, then back in the order of the ids."""
        block = self._block(ids)
        pieces, order = [], []
        for w in np.unique(self.widths).tolist():
            chosen = self.widths[block] == w
            rows = read.rows(f"rows{w}")
            if w < self.dim:
                number = np.cumsum(self.widths == w) - 1
                matrices = read.matrix(f"projections{w}").reshape(-1, w, self.dim)
                rows = rows @ matrices[read.constant(number[block[chosen]])]
            pieces.append(rows[:, 0])
            order.append(np.flatnonzero(chosen))
        return read.join(tuple(pieces), 0)[read.constant(np.argsort(np.concatenate(order)))]

    def _block(self, ids: Ids) -> Array:
        block: Array = np.searchsorted(self.starts, ids.flat, side="right") - 1
        return block


def widths_up_to(dim: int) -> tuple[int, ...]:
    """The powers of two below ``dim``, and ``dim``."""
    return (*(1 << i for i in range((dim - 1).bit_length())), dim)


class InBlocks(ABC):
    """A method whose rows lie in :class:`Blocks`."""

    @abstractmethod
    def _blocks(self) -> Blocks:
        """Where they lie."""

    def parts(self) -> Mapping[str, Part]:
        """See :class:`Blocks`."""
        return self._blocks().parts()

    def locate(self, ids: Ids) -> Places:
        """See :class:`Blocks`."""
        return self._blocks().locate(ids)

    def compose(self, read: Reading, ids: Ids) -> Any:
        """See :class:`Blocks`."""
        return self._blocks().compose(read, ids)
