"""A metadata filter as SQL over the JSON column of a row, with every value bound, none written into the text."""

from __future__ import annotations

import json
from typing import Any, cast

from nestvec.core.filters import All, AnyOf, Condition, Filter, Not, Scalar, kind

_TYPES = {"number": "('integer', 'real')", "text": "('text')"}
_COMPARE = {"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}


def to_sql(node: Filter) -> tuple[str, dict[str, Any]]:
    """A boolean expression over ``row.meta`` that is never NULL, and its bindings (names start with ``f``)."""
    bindings: dict[str, Any] = {}

    def bind(value: Any) -> str:
        name = f"f{len(bindings)}"
        bindings[name] = value
        return f":{name}"

    def walk(node: Filter) -> str:
        if isinstance(node, All):
            return _joined([walk(part) for part in node.parts], " AND ") or "1"
        if isinstance(node, AnyOf):
            return _joined([walk(part) for part in node.parts], " OR ") or "0"
        if isinstance(node, Not):
            return f"(NOT {walk(node.part)})"
        path = bind("$" + "".join(f".{json.dumps(name, ensure_ascii=False)}" for name in node.path))
        if node.operator == "$exists":
            return f"((json_type(row.meta, {path}) IS NOT NULL) = {int(bool(node.value))})"
        plain = _test(node, f"json_type(row.meta, {path})", f"json_extract(row.meta, {path})", bind)
        element = _test(node, "e.type", "e.atom", bind)
        return (
            f"coalesce(CASE json_type(row.meta, {path}) WHEN 'array' THEN "
            f"EXISTS (SELECT 1 FROM json_each(row.meta, {path}) AS e WHERE {element}) ELSE {plain} END, 0)"
        )

    return walk(node), bindings


def _joined(parts: list[str], word: str) -> str:
    """Parts in parentheses, halves of halves: as one long chain SQLite would count each as a level of depth."""
    if len(parts) < 2:
        return "".join(parts)
    middle = len(parts) // 2
    return f"({_joined(parts[:middle], word)}{word}{_joined(parts[middle:], word)})"


def _test(node: Condition, type_: str, value: str, bind: Any) -> str:
    """One condition on one value, given as SQL for its JSON type and for itself."""
    if node.operator == "$in":
        return _among(cast("tuple[Scalar, ...]", node.value), type_, value, bind)
    wanted = cast(Scalar, node.value)
    if wanted is None or isinstance(wanted, bool):
        return f"{type_} = {bind(json.dumps(wanted))}"  # SQLite's names of these types are null, true and false
    return f"({type_} IN {_TYPES[kind(wanted)]} AND {value} {_COMPARE[node.operator]} {bind(wanted)})"


def _among(wanted: tuple[Scalar, ...], type_: str, value: str, bind: Any) -> str:
    tests = []
    for name, types in _TYPES.items():
        of_kind = [v for v in wanted if kind(v) == name]
        if of_kind:  # one JSON list: a binding each would run into SQLite's limit
            list_ = bind(json.dumps(of_kind, ensure_ascii=False))
            tests.append(f"({type_} IN {types} AND {value} IN (SELECT value FROM json_each({list_})))")
    words = sorted({json.dumps(v) for v in wanted if v is None or isinstance(v, bool)})
    tests += [f"{type_} = {bind(word)}" for word in words]
    return "(" + (" OR ".join(tests) or "0") + ")"
