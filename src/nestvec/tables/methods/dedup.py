"""Blocks of rows that are alike, stored once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.adaptive import Index, Indexes, Learning, narrow
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_WHEN = 0.25
"""Share of the training after which blocks are compared: a full table that learns on begins to fit noise, and the rest
tunes what is left."""
_ALIKE = 0.7
"""Share of the numbers of two blocks that must be near each other for the blocks to be alike."""
_ROUNDS = 24
"""Of looking for blocks that are alike. The paper hashes 90 times; 48 rounds were hardly better than 24."""
_LINES = 2
_REACH = 2.0
"""A cell is so many ``t`` times the root of a block's length wide, on each of two random lines."""
_BISECTIONS = 12
_BEGUN, _FULL, _DONE = 0, 1, 2


@dataclass(frozen=True)
class Dedup:
    """``row(i) = E[b p(i // b) + i mod b]``: rows in blocks of ``b``, and a pointer a block to the one that is stored.

    A quarter of the training has a full table. Then blocks are compared: two are alike if 70 % of their numbers differ
    by at most ``t``, and ``t`` is the least that leaves no more blocks than the budget has. Blocks that may be alike
    are found by hashes that near vectors share, round after round; in each cell, one that is drawn stands for those
    that are like it. What is left learns on. Ids are sorted by frequency, so a block holds ids that are about as
    frequent.

    A table that is never told how long its training is (``Table.after_step(step=, of=)``) points by block number modulo
    the stored ones, and stays so.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        blocks: that are stored.
        block: ``b``, rows in each. Small blocks find others like them, and large ones need fewer pointers.

    Memory while training: a full table.

    Source: Zhou et al. 2022 (arXiv:2201.10442), in the place of whose fixed ``t`` stands the budget; hashes of Datar et
    al. 2004, sec. 3.2 (SoCG).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    blocks: int = 1
    block: int = 2

    id: ClassVar[str] = "dedup@1"
    watches: ClassVar[bool] = False

    def __post_init__(self) -> None:
        at_least(1, blocks=self.blocks, block=self.block)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one block to all, also if each has one row."""
        return Knob("blocks", 1, sizes.total)

    @property
    def all(self) -> int:
        """Blocks of the full table."""
        return -(-self.sizes.total // self.block)

    @property
    def stored(self) -> int:
        """Blocks that are stored: never more than there are."""
        return min(self.blocks, self.all)

    def parts(self) -> Mapping[str, Part]:
        """``rows`` of the stored blocks; while training, those of all."""
        kept = self.stored * self.block
        return {"rows": Part(kept, self.dim, spare=self.all * self.block - kept)}

    def indexes(self) -> Mapping[str, Index]:
        """``pointers``, one a block; while training, how far it is."""
        return {"pointers": Index((self.all,), narrow(self.stored - 1)), "phase": Index((1,), served=False)}

    @cached_property
    def _first(self) -> dict[str, Array]:
        return {"pointers": np.arange(self.all, dtype=np.int64) % self.stored, "phase": np.array([_BEGUN])}

    def first_indexes(self) -> dict[str, Array]:
        """Block numbers modulo the stored ones."""
        return {name: value.copy() for name, value in self._first.items()}

    def locate(self, ids: Ids, indexes: Indexes | None = None) -> Places:
        """The row inside the block that is pointed at."""
        pointers = (self._first if indexes is None else indexes)["pointers"]
        block, inside = np.divmod(ids.flat, self.block)
        return {"rows": (pointers[block].astype(np.int64) * self.block + inside)[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is."""
        return read.rows("rows")[:, 0]

    def settled(self, indexes: Indexes) -> bool:
        """Not while it is a full table."""
        return int(indexes["phase"][0]) != _FULL

    def adapt(self, learning: Learning) -> None:
        """A full table after the first step, compared after a quarter of them."""
        phase, pointers = learning.indexes["phase"], learning.indexes["pointers"]
        if phase[0] == _BEGUN and learning.step == 1 and learning.of > 1:
            new = (pointers == self._first["pointers"]).all()  # one that was saved keeps what it has found
            phase[0] = _FULL if new else _DONE
            if new:
                pointers[:] = np.arange(self.all)
        elif phase[0] == _FULL and learning.reaches(_WHEN):
            self.settle(learning)

    def settle(self, learning: Learning) -> None:
        """Keep as many blocks as are stored, and point at them."""
        rows = learning.values["rows"]
        flat = rows.reshape(self.all, -1)
        keeper = self._merged(flat)
        kept = np.unique(keeper)
        # a block that lies among the stored ones already stays there, and its rows keep what the optimiser knows
        free = np.setdiff1d(np.arange(self.stored), kept)
        place = np.full(self.all, -1, np.int64)
        place[kept[kept < self.stored]] = kept[kept < self.stored]
        moving = kept[kept >= self.stored]
        place[moving] = free[: len(moving)]
        flat[place[moving]] = flat[moving].copy()
        learning.indexes["pointers"][:] = place[keeper]
        learning.indexes["phase"][0] = _DONE

    def _merged(self, x: Array) -> Array:
        """``[blocks]`` for each of ``x`` the block that stands for it, by the least ``t`` that leaves few enough."""
        low, high = 0.0, 2 * float(np.abs(x).max(initial=0)) + 1e-6  # at ``high`` every block is like every other
        found = np.zeros(len(x), np.int64)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            tried = self._alike(x, middle)
            if len(np.unique(tried)) <= self.stored:
                found, high = tried, middle
            else:
                low = middle
        return found

    def _alike(self, x: Array, t: float) -> Array:
        """``[blocks]`` one that each is alike to within ``t``, or itself."""
        rng = np.random.default_rng((self.seed, 19))
        wide = _REACH * t * x.shape[1] ** 0.5
        keeper = np.arange(len(x))
        stands = np.zeros(len(x), bool)  # for another block: it may not be given up any more
        for _ in range(_ROUNDS):
            lines = rng.standard_normal((x.shape[1], _LINES)).astype(np.float32)
            cells = np.floor((x @ lines) / wide + rng.random(_LINES)).astype(np.int64) @ (1 << 31 * np.arange(_LINES))
            alone = rng.permutation(np.flatnonzero(keeper == np.arange(len(x))))
            _, first, which = np.unique(cells[alone], return_index=True, return_inverse=True)
            stem = alone[first[which]]
            near = (np.abs(x[alone] - x[stem]) <= t).mean(axis=1) >= _ALIKE
            joins = near & (stem != alone) & ~stands[alone]
            keeper[alone[joins]] = stem[joins]
            stands[stem[joins]] = True
        return keeper
