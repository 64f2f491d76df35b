"""Methods whose index map is no formula: what they store beside their parts, and when they may change it.

An index map may need integers that no formula gives: the anchors near a node, pointers to centroids, the ids that own
a row. They lie in named integer arrays, next to the parts, and ``locate`` is handed them (:class:`Indexed`). Some
methods learn them (:class:`Adaptive`): while a table is trained it shows such a method what happened after every step
(:class:`Learning`), and the method may rewrite its integers and the values of its parts. All of it is numpy, so a
method stays one file that knows no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nestvec.core.types import Array
from nestvec.tables.method import Ids, Method, Places

Indexes = Mapping[str, Array]
"""Integer arrays of an index map, by name."""


@dataclass(frozen=True)
class Index:
    """One array of integers that an index map looks things up in.

    Args:
        shape: of it.
        dtype: as it is served: the narrowest that holds it. Training may use a wider one.
        served: whether a lookup needs it. What only training needs is not saved, and does not count as bytes.
    """

    shape: tuple[int, ...]
    dtype: str = "int64"
    served: bool = True


@dataclass(frozen=True)
class Learning:
    """What a method is shown after a step of training.

    Args:
        step: which, from 1; 0 where nobody counts.
        of: how many there will be; 0 where nobody knows.
        values: for each part ``[rows, width]`` float32, to be read and written in place.
        indexes: to be read and written in place.
        seen: for each lookup since the last step its ids, and for each of them the norm of the gradient of its row.
            Empty unless the method ``watches``.
    """

    step: int
    of: int
    values: Mapping[str, Array]
    indexes: Indexes
    seen: tuple[tuple[Ids, Array], ...] = ()

    def reaches(self, share: float) -> bool:
        """Whether this is the step that completes ``share`` of the training; never where nobody knows its length."""
        return self.of > 0 and self.step == max(round(share * self.of), 1)


@runtime_checkable
class Indexed(Protocol):
    """A :class:`~nestvec.tables.method.Method` whose index map looks integers up."""

    def indexes(self) -> Mapping[str, Index]:
        """What is stored beside the parts; the same keys as :meth:`first_indexes`."""
        ...

    def first_indexes(self) -> dict[str, Array]:
        """What an untrained table holds, unless it is given others."""
        ...

    def locate(self, ids: Ids, indexes: Indexes | None = None, /) -> Places:
        """The index map; the first one where no ``indexes`` are given."""
        ...


@runtime_checkable
class Adaptive(Indexed, Protocol):
    """An :class:`Indexed` method that learns its integers."""

    watches: ClassVar[bool]
    """Whether it wants to know the gradients of rows."""

    def settled(self, indexes: Indexes, /) -> bool:
        """Whether the table is as small as it will be served. Some train a larger one first."""
        ...

    def settle(self, learning: Learning, /) -> None:
        """Make it so now."""
        ...

    def adapt(self, learning: Learning, /) -> None:
        """Called after every step."""
        ...


def indexed(method: object) -> Indexed | None:
    """``method`` as what it is, if its index map looks integers up."""
    return method if isinstance(method, Indexed) else None


def adaptive(method: object) -> Adaptive | None:
    """``method`` as what it is, if its index map is learnt."""
    return method if isinstance(method, Adaptive) else None


def places(method: Method, ids: Ids, indexes: Indexes) -> Places:
    """Where ``ids`` stand, by the formula or by ``indexes``."""
    learnt: Any = method
    found: Places = learnt.locate(ids, indexes) if indexes else method.locate(ids)
    return found


def narrow(top: int) -> str:
    """The smallest unsigned type that holds 0 to ``top``; ``int64`` beyond 32 bits."""
    return next((name for name in ("uint8", "uint16", "uint32") if top <= np.iinfo(name).max), "int64")
