"""Rows of their own for ids that a sketch finds important, as they come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets
from nestvec.tables.adaptive import Index, Indexes, Learning, narrow
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_SLOTS = 4
"""Ids in a cell of the sketch."""
_ELECTION = 16
"""Steps between two changes of the important ids."""
_FADE = 0.98
"""What a score is multiplied by at each of them: half of it is left after 550 steps."""
_STAYS = 0.5
"""An id loses its row when its score falls below so much of what a newcomer needs, or ids would swap for ever."""
_NOBODY = -1


@dataclass(frozen=True)
class CAFE:
    """``row(i) = E[s(i)]`` if ``i`` is important, else ``E[H + h(i) mod (m - H)]``: who is important is learnt online.

    A sketch of four slots a cell adds up the norms of the gradients of an id's row. Every 16 steps the ids with the
    largest sums get the ``H`` rows of their own, each beginning as the shared row it had, and those that have fallen
    behind go back to sharing. Unlike ``adapt_hot_cold`` it needs no order of the ids and follows them when they drift.
    All fields share the rows. Serving needs which ids own a row and which row; the sketch is for training alone.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        buckets: ``m``, rows of all kinds.
        hot: per cent of them that are owned.

    Source: Zhang et al. 2024, sec. 3 (arXiv:2312.03256), where the threshold of importance is a setting: here it is the
    score of the ``H``-th best.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 2
    hot: int = 50

    id: ClassVar[str] = "cafe@1"
    watches: ClassVar[bool] = True

    def __post_init__(self) -> None:
        at_least(2, buckets=self.buckets)
        if not 0 <= self.hot < 100:
            raise InputError(f"hot must be a per cent from 0 to 99, got {self.hot}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From two rows to twice the ids: each its own, and then nothing is left to share."""
        return Knob("buckets", 2, max(2 * sizes.total, 2))

    @property
    def owned(self) -> int:
        """``H``, at least 1."""
        return max(self.buckets * self.hot // 100, 1)

    def parts(self) -> Mapping[str, Part]:
        """``rows``: owned ones first."""
        return {"rows": Part(self.buckets, self.dim)}

    def indexes(self) -> Mapping[str, Index]:
        """``owners``, rising, and the ``place`` of each; for training also the sketch."""
        cells = (self.owned, _SLOTS)
        return {
            "owners": Index((self.owned,), narrow(self.sizes.total)),
            "place": Index((self.owned,), narrow(self.owned - 1)),
            "sketch": Index(cells, served=False),
            "scores": Index(cells, "float32", served=False),
            "clock": Index((1,), served=False),
        }

    @cached_property
    def _first(self) -> dict[str, Array]:
        cells = (self.owned, _SLOTS)
        return {
            "owners": np.full(self.owned, self.sizes.total, np.int64),  # an id that there is not: nobody
            "place": np.arange(self.owned, dtype=np.int64),
            "sketch": np.full(cells, _NOBODY, np.int64),
            "scores": np.zeros(cells, np.float32),
            "clock": np.zeros(1, np.int64),
        }

    def first_indexes(self) -> dict[str, Array]:
        """Nobody owns a row."""
        return {name: value.copy() for name, value in self._first.items()}

    def locate(self, ids: Ids, indexes: Indexes | None = None) -> Places:
        """The row that the id owns, or the one that it shares."""
        found = self._first if indexes is None else indexes
        at = np.minimum(np.searchsorted(found["owners"], ids.flat), self.owned - 1)
        owns = found["owners"][at] == ids.flat
        return {"rows": np.where(owns, found["place"][at].astype(np.int64), self._shared(ids.flat))[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is."""
        return read.rows("rows")[:, 0]

    def settled(self, indexes: Indexes) -> bool:
        """Always: it is as small from the beginning."""
        return "owners" in indexes

    def settle(self, learning: Learning) -> None:
        """Nothing to do."""

    def adapt(self, learning: Learning) -> None:
        """Add up the gradients, and every 16 steps hand out the rows."""
        for ids, slopes in learning.seen:
            different, where = np.unique(ids.flat, return_inverse=True)
            self._add(different, np.bincount(where, slopes, len(different)).astype(np.float32), learning.indexes)
        clock = learning.indexes["clock"]
        clock[0] += 1
        if clock[0] % _ELECTION == 0:
            self._elect(learning)

    def _shared(self, flat: Array) -> Array:
        return self.owned + buckets(flat, self.buckets - self.owned, salt=self.seed)

    def _add(self, flat: Array, scores: Array, indexes: Indexes) -> None:
        """Into the cell of each id: to its score, or in the place of the weakest, whose score it inherits."""
        sketch, held = indexes["sketch"], indexes["scores"]
        cell = buckets(flat, len(sketch), salt=self.seed + 1)
        known = sketch[cell] == flat[:, None]
        there = known.any(axis=1)
        slot = known.argmax(axis=1)
        held[cell[there], slot[there]] += scores[there]  # ids differ, so no place is written twice
        at = np.flatnonzero(~there)
        at = at[np.argsort(-scores[at], kind="stable")]  # where several meet in a cell, the largest is first
        while len(at):
            _, first = np.unique(cell[at], return_index=True)
            now = at[first]
            weakest = held[cell[now]].argmin(axis=1)
            sketch[cell[now], weakest] = flat[now]
            held[cell[now], weakest] += scores[now]
            at = np.delete(at, first)

    def _elect(self, learning: Learning) -> None:
        indexes, rows = learning.indexes, learning.values["rows"]
        ids, scores = indexes["sketch"].ravel(), indexes["scores"].ravel()
        order = np.argsort(-scores, kind="stable")[: self.owned]
        best = order[ids[order] != _NOBODY]
        needed = scores[best[-1]] if len(best) == self.owned else 0.0
        strong = np.unique(ids[(scores >= _STAYS * needed) & (ids != _NOBODY)])
        owners, place = indexes["owners"], indexes["place"]
        full = len(best) == self.owned  # before that, nobody needs another's row
        stays = (owners < self.sizes.total) & (np.isin(owners, strong) | (not full))
        new = ids[best][~np.isin(ids[best], owners[stays])][: self.owned - int(stays.sum())]
        free = place[~stays]
        rows[free[: len(new)]] = rows[self._shared(new)]
        nobody = np.full(len(free) - len(new), self.sizes.total, np.int64)
        all_owners = np.concatenate([owners[stays], new, nobody])
        all_places = np.concatenate([place[stays], free])
        rising = np.argsort(all_owners, kind="stable")
        owners[:], place[:] = all_owners[rising], all_places[rising]
        indexes["scores"] *= np.float32(_FADE)
