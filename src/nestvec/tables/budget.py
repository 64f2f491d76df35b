"""A table that fits into so many bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from nestvec.core.errors import BudgetError, InputError
from nestvec.tables.frozen import stored_bytes
from nestvec.tables.method import Sizes
from nestvec.tables.packing import number_of
from nestvec.tables.spec import CODECS, METHODS, Setting, TableSpec, as_rows, resolve, search_of

_SMALL = 200
"""Fields with at most so many ids may be exact: two hundred rows are cheap, and collisions there hurt most."""
_SHARE = 4
"""Exact fields may take one part in so many of the budget."""


def fit_spec(
    name: str, rows: int | Iterable[int] | Mapping[str, int], dim: int, bytes: int,  # noqa: A002  # the unit
    *, seed: int = 0, **settings: Setting,
) -> TableSpec:  # fmt: skip
    """The largest table of a method whose file has at most ``bytes``.

    Everything counts that is needed to serve it: rows, projections, networks, scales, the description and checksums.
    The one setting that decides about the size is solved for by bisection, unless it is given. Fields with at most
    200 ids keep a row for each, as far as a quarter of the budget goes.

    Args:
        name: of a method, with a codec if wanted: ``hash``, ``quotient_remainder+int4``, ``alpt4``.
        rows: ids of each field.
        dim: width of a row.
        bytes: the budget.
        seed: of the hashes and of the first values.
        settings: of the method, held as given.

    Raises:
        BudgetError: the method cannot be that small; says how small it can.
        InputError, UnknownNameError: see :class:`TableSpec`.

    Cost: about twenty descriptions; no table is made.
    """
    sizes = as_rows(rows)
    method, given = resolve(name)
    least = 0
    for codec in _codecs(given, dim):
        # says what is wrong with it
        start = TableSpec(method, sizes, dim, settings, codec, seed=seed, search=search_of(name))
        for limit in sorted({_exact(start, bytes), 0}, reverse=True):
            found, least = _largest(replace(start, exact_below=limit), bytes)
            if found is not None:
                return found
    raise BudgetError(f"{name} of {sum(sizes):,} ids and dim {dim}", asked=bytes, least=least)


def least_bytes(name: str, rows: int | Iterable[int] | Mapping[str, int], dim: int, **settings: Any) -> int:
    """Bytes that a method cannot go below for these fields.

    Raises:
        InputError, UnknownNameError: see :class:`TableSpec`.
    """
    try:
        return stored_bytes(fit_spec(name, rows, dim, 1, **settings))
    except BudgetError as told:
        return told.least


def _codecs(codec: str, dim: int) -> list[str]:
    """The codec, or all there are of its family that suit rows of ``dim``, the best first."""
    if codec != "dpq":
        return [codec]
    return [name for name in reversed(CODECS) if name.startswith("dpq") and dim % number_of(name) == 0]


def _exact(spec: TableSpec, budget: int) -> int:
    """The largest limit of exact fields that the budget bears."""
    best = 0
    for limit in sorted({n for n in spec.rows if n <= _SMALL}):
        kept = sum(n for n in spec.rows if n <= limit)
        if stored_bytes(TableSpec("full@1", (kept,), spec.dim, codec=spec.codec)) <= budget / _SHARE:
            best = limit
    return best


def _largest(start: TableSpec, budget: int) -> tuple[TableSpec | None, int]:
    """The largest that fits, or None; and the bytes of the smallest there is."""

    def at(value: int | None) -> TableSpec:
        chosen = {} if value is None or knob is None else {knob.name: knob.of(value)}
        return replace(start, settings={**start.settings, **chosen})

    rest = tuple(n for n in start.rows if n > start.exact_below)
    knob = METHODS[start.method].knob(Sizes(rest), start.dim) if rest else None
    if knob is None or knob.name in start.settings:
        spec = at(None)
        size = stored_bytes(spec)
        return (spec if size <= budget else None), size
    rising = _bytes(at, knob.low) <= _bytes(at, knob.high)
    small, large = (knob.low, knob.high) if rising else (knob.high, knob.low)
    least = _bytes(at, small)
    if least > budget:
        return None, least
    return at(_bisect(lambda value: _bytes(at, value) <= budget, small, large)), least


def _bisect(fits: Callable[[int], bool], fitting: int, other: int) -> int:
    """The value nearest to ``other`` that fits; ``fitting`` does, and fitting ends once on the way."""
    if fits(other):
        return other
    while abs(other - fitting) > 1:
        middle = (fitting + other) // 2
        fitting, other = (middle, other) if fits(middle) else (fitting, middle)
    return fitting


def _bytes(at: Callable[[int | None], TableSpec], value: int) -> int:
    try:
        return stored_bytes(at(value))
    except InputError:  # a setting beyond what the others allow makes no table at all
        return int(np.iinfo(np.int64).max)
