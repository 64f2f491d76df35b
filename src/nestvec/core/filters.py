"""Metadata filters as typed values: never a string that something evaluates.

::

    {"section": "net", "size": {"$gt": 1000}, "tag": {"$in": ["a", "b"]}, "$or": [{...}, {...}]}

Several fields in one object are joined by *and*. A field is a name, or a path of names joined by dots. A
plain value means ``$eq``. Where a record holds a list, a condition is met when one of its elements meets it.

=========  =====================================================  =======================
operator   value                                                   met when the field …
=========  =====================================================  =======================
``$eq``    null, true/false, a number or a string                  equals it
``$ne``    the same                                                does not, or is absent
``$gt`` ``$gte`` ``$lt`` ``$lte``  a number or a string            is of that kind and larger …
``$in``    a list of such values                                   equals one of them
``$nin``   the same                                                equals none, or is absent
``$exists``  true or false                                         is there (null counts)
``$and`` ``$or``  a list of filters
``$not``   a filter                                                the filter is not met
=========  =====================================================  =======================

Values are compared within their kind: 1 equals 1.0, but neither ``true`` nor ``"1"``.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

from nestvec.core.errors import FilterError
from nestvec.core.types import JSON

Scalar = None | bool | int | float | str
Operator = Literal["$eq", "$gt", "$gte", "$lt", "$lte", "$in", "$exists"]

MAX_CONDITIONS = 1_000
"""Conditions in one filter, values of ``$in`` not counted: SQLite refuses deeper expressions than this."""
MAX_VALUES = 100_000
"""Values in one ``$in``."""


@dataclass(frozen=True)
class Condition:
    """One comparison: ``path operator value``."""

    path: tuple[str, ...]
    operator: Operator
    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True)
class All:
    """Met when every part is; met when there is none."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class AnyOf:
    """Met when one part is."""

    parts: tuple[Filter, ...]


@dataclass(frozen=True)
class Not:
    """Met when the part is not."""

    part: Filter


Filter = Condition | All | AnyOf | Not

_OPERATORS = ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists")


def parse_filter(where: Mapping[str, JSON]) -> Filter:
    """Read a filter in its JSON form.

    Raises:
        FilterError: something in it is not as the table above says; the message shows what and where.
    """
    parsed = _object(where, "where", depth=0)
    if sum(1 for _ in conditions(parsed)) > MAX_CONDITIONS:
        raise FilterError(f"a filter may have at most {MAX_CONDITIONS} conditions.")
    return parsed


def conditions(node: Filter) -> Iterator[Condition]:
    """Every comparison in a filter, in reading order."""
    if isinstance(node, Condition):
        yield node
    elif isinstance(node, Not):
        yield from conditions(node.part)
    else:
        for part in node.parts:
            yield from conditions(part)


def matches(node: Filter, metadata: Mapping[str, JSON]) -> bool:
    """Whether ``metadata`` meets the filter: the meaning that every faster way has to reproduce."""
    if isinstance(node, All):
        return all(matches(part, metadata) for part in node.parts)
    if isinstance(node, AnyOf):
        return any(matches(part, metadata) for part in node.parts)
    if isinstance(node, Not):
        return not matches(node.part, metadata)
    found, value = _at(metadata, node.path)
    if node.operator == "$exists":
        return found == node.value
    if not found:
        return False
    candidates = value if isinstance(value, list) else [value]
    return any(_meets(candidate, node) for candidate in candidates)


def kind(value: object) -> str:
    """What kind of scalar it is, as far as comparing goes: null, bool, number, text, or other."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    return "text" if isinstance(value, str) else "other"


def _at(metadata: Mapping[str, JSON], path: tuple[str, ...]) -> tuple[bool, JSON]:
    value: object = metadata
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return False, None
        value = value[name]
    return True, cast(JSON, value)


def _meets(value: JSON, condition: Condition) -> bool:
    wanted = condition.value
    if condition.operator == "$in":
        return any(kind(value) == kind(w) and value == w for w in cast(tuple[Scalar, ...], wanted))
    if kind(value) != kind(wanted):
        return False
    if condition.operator == "$eq":
        return value == wanted
    a, b = cast(float, value), cast(float, wanted)  # two numbers or two strings: the parser saw to it
    return {"$gt": a > b, "$gte": a >= b, "$lt": a < b, "$lte": a <= b}[condition.operator]


def _object(where: object, at: str, *, depth: int) -> Filter:
    if depth > 50:
        raise FilterError(f"a filter may be nested at most 50 deep, at {at}.")
    if not isinstance(where, Mapping):
        raise FilterError(f"{at} must be an object such as {{'section': 'net'}}, got {where!r}.")
    parts: list[Filter] = []
    for name, value in where.items():
        here = f"{at}.{name}"
        if not isinstance(name, str) or not name:
            raise FilterError(f"a field name in {at} must be a non-empty string, got {name!r}.")
        if name in ("$and", "$or"):
            if not isinstance(value, Sequence) or isinstance(value, str) or not value:
                raise FilterError(f"{here} must be a non-empty list of filters, got {value!r}.")
            branches = tuple(_object(v, f"{here}[{i}]", depth=depth + 1) for i, v in enumerate(value))
            parts.append(All(branches) if name == "$and" else AnyOf(branches))
        elif name == "$not":
            parts.append(Not(_object(value, here, depth=depth + 1)))
        elif name.startswith("$"):
            raise FilterError(f"{here}: {name} stands inside a field, as in {{'field': {{{name!r}: value}}}}.")
        else:
            parts.extend(_field(tuple(name.split(".")), value, here))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _field(path: tuple[str, ...], value: object, at: str) -> Iterator[Filter]:
    if not all(path):
        raise FilterError(f"{at}: a path must be names joined by single dots.")
    if any('"' in name or "\0" in name for name in path):
        raise FilterError(f"{at}: a field name in a filter may hold no double quote and no null character.")
    for name in path:
        _scalar(name, at)  # a name has to be valid Unicode, as a value has
    if not isinstance(value, Mapping):
        yield Condition(path, "$eq", _scalar(value, at))
        return
    if not value:
        raise FilterError(f"{at} must have an operator such as $gt, got an empty object.")
    for operator, wanted in value.items():
        yield _operator(path, operator, wanted, f"{at}.{operator}")


def _operator(path: tuple[str, ...], operator: object, wanted: object, at: str) -> Filter:
    if operator not in _OPERATORS:
        near = difflib.get_close_matches(str(operator), _OPERATORS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(_OPERATORS)}."
        raise FilterError(f"{at}: unknown operator {operator!r}; {hint}")
    if operator == "$exists":
        if not isinstance(wanted, bool):
            raise FilterError(f"{at} must be true or false, got {wanted!r}.")
        return Condition(path, "$exists", wanted)
    if operator in ("$in", "$nin"):
        if not isinstance(wanted, Sequence) or isinstance(wanted, str) or len(wanted) > MAX_VALUES:
            raise FilterError(f"{at} must be a list of at most {MAX_VALUES} values, got {str(wanted)[:80]!r}.")
        among = Condition(path, "$in", tuple(_scalar(v, at) for v in wanted))
        return among if operator == "$in" else Not(among)
    value = _scalar(wanted, at)
    if operator == "$ne":
        return Not(Condition(path, "$eq", value))
    if operator != "$eq" and kind(value) not in ("number", "text"):
        raise FilterError(f"{at} must be a number or a string, got {value!r}.")
    return Condition(path, cast(Operator, operator), value)


def _scalar(value: object, at: str) -> Scalar:
    if kind(value) == "other":
        raise FilterError(f"{at} must be null, true, false, a number or a string, got {value!r}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"{at} must be finite, got {value!r}.")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FilterError(f"{at} must fit into 64 bits, got {value!r}.")
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as cause:
            raise FilterError(f"{at} must be valid Unicode, got {value!r}.") from cause
    return cast(Scalar, value)
