"""What a method of compression is: an index map and a composer over named parts.

A row is ``compose(part[locate(id)] for every part)``. The index map (:meth:`Method.locate`) is numpy alone. The
composer (:meth:`Method.compose`) is written with operators that arrays and tensors both have, and asks a
:class:`Reading` for the rest, so that the rows of training and of serving come from the same lines. How the numbers
of a part are kept (floats, or a few bits) is no concern of a method: see ``packing`` and ``rows``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Int64
from nestvec.tables.words import Words

Places = Mapping[str, Array]
"""For each part the rows that stand behind an id: ``[n, k]`` int64."""


@dataclass(frozen=True)
class Part:
    """One stored array of a table.

    Args:
        rows: how many.
        width: floats in a row.
        spread: values start uniform in ``mean ± spread``.
        mean: see ``spread``.
        whole: read as one matrix by every lookup (a projection, a layer), so no codec shrinks its rows.
        trained: whether training changes it (a running average is kept, and not trained).
        kept: how many of its numbers are stored, with where they stand; None for all.
        leading: whether those are the beginnings of rows.
        words: how its rows are spelt, if they are; no codec then touches them.
        spare: further rows that are there while the table learns, and are not saved.
    """

    rows: int
    width: int
    spread: float = 0.05
    mean: float = 0.0
    whole: bool = False
    trained: bool = True
    kept: int | None = None
    leading: bool = False
    words: Words | None = None
    spare: int = 0


@dataclass(frozen=True)
class Sizes:
    """The fields that a table serves, by how many ids each has, and where each begins in the joint numbering.

    Args:
        rows: ids of each field; those of field ``f`` are ``starts[f]`` to ``starts[f] + rows[f] - 1``.
    """

    rows: tuple[int, ...]

    @cached_property
    def starts(self) -> Int64[np.ndarray, " fields"]:
        """``[fields]`` first id of each."""
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(self.rows, dtype=np.int64)])[:-1]

    @property
    def total(self) -> int:
        """Ids of all fields."""
        return sum(self.rows)

    def split(self, flat: Int64[np.ndarray, " n"]) -> Ids:
        """``[n]`` joint ids -> the same with their fields."""
        if len(self.rows) == 1:
            return Ids(flat, np.zeros(len(flat), np.int64), flat)
        field = np.searchsorted(self.starts, flat, side="right") - 1
        return Ids(flat, field, flat - self.starts[field])


@dataclass(frozen=True)
class Ids:
    """Ids in three numberings.

    Args:
        flat: ``[n]`` joint number.
        field: ``[n]`` which field.
        local: ``[n]`` number inside the field.
    """

    flat: Array
    field: Array
    local: Array

    def __len__(self) -> int:
        return len(self.flat)


@runtime_checkable
class Reading(Protocol):
    """What a composer reads: numpy arrays where a table is served, tensors with gradients where it is trained."""

    def rows(self, part: str, /) -> Any:
        """``[n, k, w]``: what stands at ``locate(ids)[part]``."""
        ...

    def matrix(self, part: str, /) -> Any:
        """``[rows, w]``: a part that is read as a whole."""
        ...

    def constant(self, value: Array, /) -> Any:
        """A numpy array as an array of this kind, without gradient."""
        ...

    def join(self, pieces: tuple[Any, ...], axis: int, /) -> Any:
        """Arrays of this kind, one after another along ``axis``."""
        ...

    def normalise(self, mean: str, variance: str, x: Any, /) -> Any:
        """``[n, w]`` batch-normalised; the parts ``mean`` and ``variance``, ``[1, w]``, keep the running ones."""
        ...

    def mish(self, x: Any, /) -> Any:
        """``x * tanh(log(1 + e^x))``."""
        ...


@runtime_checkable
class Method(Protocol):
    """A way to stand many rows on few numbers. A frozen dataclass of ``sizes``, ``dim``, ``seed`` and its settings."""

    id: ClassVar[str]

    @property
    def sizes(self) -> Sizes:
        """The fields."""
        ...

    @property
    def dim(self) -> int:
        """Width of a row."""
        ...

    @property
    def seed(self) -> int:
        """Of the hashes."""
        ...

    def parts(self) -> Mapping[str, Part]:
        """What is stored, by name."""
        ...

    def locate(self, ids: Ids, /) -> Places:
        """The index map; parts that are read whole are left out."""
        ...

    def compose(self, read: Any, ids: Ids, /) -> Any:
        """``[n, dim]`` rows from what ``read`` (a :class:`Reading`) gives; called with the ids of ``locate``."""
        ...


@dataclass(frozen=True)
class Knob:
    """The setting that decides how large a method is; from ``low`` to ``high`` bytes only rise, or only fall.

    Args:
        name: of the setting.
        low: its least value.
        high: its greatest.
        of: what the setting is for one of them; itself, unless the setting is no whole number.
    """

    name: str
    low: int
    high: int
    of: Callable[[int], Any] = int


def at_least(low: int, **values: int) -> None:
    """Return if every value reaches ``low``.

    Raises:
        InputError: one does not; its name and value are in the message.
    """
    for name, value in values.items():
        if value < low:
            raise InputError(f"{name} must be at least {low}, got {value}.")
