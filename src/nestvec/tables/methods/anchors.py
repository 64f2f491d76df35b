"""Nodes of a graph, told by the anchors near them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets
from nestvec.tables.adaptive import Index, Indexes, narrow
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_FIRST_SPREAD = 3**0.5
"""Uniform in plus or minus that has variance one, which a layer likes to be given."""


@dataclass(frozen=True)
class Anchors:
    """``row(i) = W2 relu(W1 [a_1 + z_1, …, a_k + z_k, r_1, …, r_m])``: nearest anchors, their distances, relations.

    A few nodes of a graph, the anchors, have vectors ``a``; so have distances (``z``) and types of relations (``r``).
    A node is spelt with its ``k`` nearest anchors and with up to ``m`` types of relations that leave it, and a network
    of two layers makes its row of them. The spelling is stored, ``k`` anchors, ``k`` distances and ``m`` relations a
    node in one to four bytes each, and counted. :func:`~nestvec.tables.anchoring.tokenise` finds it, and
    :func:`~nestvec.tables.anchoring.with_new_nodes` gives rows to nodes that were not there when the table learnt.

    A table that was not given a spelling hashes every id to ``k`` anchors at an unknown distance.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the choice of anchors, and of the hashes.
        anchors: nodes with a vector.
        nearest: ``k``.
        reach: the greatest distance at which an anchor is looked for.
        relations: types of relations, each direction its own; 0 for edges without types.
        outgoing: ``m``.
        width: of the vectors of anchors, distances and relations; 0 for ``dim``.
        hidden: width of the first layer; 0 for ``2 dim``.

    Source: Galkin et al. 2022, sec. 3 (arXiv:2106.12144).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    anchors: int = 1
    nearest: int = 8
    reach: int = 6
    relations: int = 0
    outgoing: int = 0
    width: int = 0
    hidden: int = 0

    id: ClassVar[str] = "anchors@1"

    def __post_init__(self) -> None:
        at_least(1, anchors=self.anchors, nearest=self.nearest, reach=self.reach)
        at_least(0, relations=self.relations, outgoing=self.outgoing, width=self.width, hidden=self.hidden)
        if self.outgoing and not self.relations:
            raise InputError(f"outgoing={self.outgoing} needs to know how many relations there are, got relations=0.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one anchor to every node."""
        return Knob("anchors", 1, sizes.total)

    def widths(self) -> tuple[int, int]:
        """Of a vector that a row is made of, and of the first layer."""
        return self.width or self.dim, self.hidden or 2 * self.dim

    def parts(self) -> Mapping[str, Part]:
        """Vectors of anchors, distances and relations, each with one more for what is not there; and the two layers."""
        wide, hidden = self.widths()
        joined = (self.nearest + self.outgoing) * wide
        half = _FIRST_SPREAD / 2**0.5  # of two that are added
        found = {
            "anchors": Part(self.anchors + 1, wide, spread=half),
            "distances": Part(self.reach + 2, wide, spread=half),
            "first": Part(joined + 1, hidden, spread=(6 / joined) ** 0.5, whole=True),  # He et al.
            "second": Part(hidden + 1, self.dim, spread=0.05 * (3 / hidden) ** 0.5, whole=True),
        }
        if self.outgoing:
            found["relations"] = Part(self.relations + 1, wide, spread=_FIRST_SPREAD)
        return found

    def indexes(self) -> Mapping[str, Index]:
        """``anchors`` and ``distances`` ``[ids, k]``, ``relations`` ``[ids, m]``; the last number of each is "none"."""
        n = self.sizes.total
        found = {
            "anchors": Index((n, self.nearest), narrow(self.anchors)),
            "distances": Index((n, self.nearest), narrow(self.reach + 1)),
        }
        return found | ({"relations": Index((n, self.outgoing), narrow(self.relations))} if self.outgoing else {})

    @cached_property
    def _first(self) -> dict[str, Array]:
        flat = np.arange(self.sizes.total, dtype=np.int64)
        at = [buckets(flat, self.anchors, salt=self.seed + j) for j in range(self.nearest)]
        found = {
            "anchors": np.stack(at, axis=1).astype(np.int32),
            "distances": np.full((len(flat), self.nearest), self.reach + 1, np.int32),
        }
        none = np.full((len(flat), self.outgoing), self.relations, np.int32)
        return found | ({"relations": none} if self.outgoing else {})

    def first_indexes(self) -> dict[str, Array]:
        """Hashes, as long as nobody has told the graph."""
        return {name: value.copy() for name, value in self._first.items()}

    def locate(self, ids: Ids, indexes: Indexes | None = None) -> Places:
        """What an id is spelt with."""
        found = self._first if indexes is None else indexes
        return {name: np.take(found[name], ids.flat, axis=0).astype(np.int64) for name in self.indexes()}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Two layers over everything side by side."""
        vectors = read.rows("anchors") + read.rows("distances")
        if self.outgoing:
            vectors = read.join((vectors, read.rows("relations")), 1)
        first, second = read.matrix("first"), read.matrix("second")
        x = vectors.reshape(len(ids), -1) @ first[:-1] + first[-1]
        return (x + abs(x)) / 2 @ second[:-1] + second[-1]  # half of x + |x| is relu; arrays and tensors agree on that
