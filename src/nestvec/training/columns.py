"""Columns of a table to ids: vocabularies by falling frequency, cuts for numbers, several slots for lists."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Array
from nestvec.training.ctr_data import Examples

Row = Mapping[str, JSON]

NULL, UNSEEN, FIRST = 0, 1, 2
"""Ids that every field keeps: no value, and a value that was not there when the vocabulary was made."""

_BINS = 32
"""Cuts of a number: its rank in 32 steps is what a small model can use of it."""
_MOST_VALUES = 10
"""Values of a list that are read; the others are passed over."""
_REPEATED = 0.5
"""Whole numbers of which so few come often enough to be values are cut like those with fractions."""
_LISTS = 0.2
"""A column of strings is one of lists if so many of them hold the separator."""


@dataclass(frozen=True)
class Column:
    """One field.

    Args:
        name: of the column.
        keys: values to ids from ``FIRST`` on; empty for numbers.
        cuts: rising; a number's id is ``FIRST`` plus how many it reaches. Empty for values.
        slots: values read a row.
    """

    name: str
    keys: Mapping[str, int] = field(default_factory=dict)
    cuts: tuple[float, ...] = ()
    slots: int = 1

    @property
    def rows(self) -> int:
        """Ids."""
        return FIRST + (len(self.cuts) + 1 if self.cuts else len(self.keys))

    @property
    def kind(self) -> str:
        """What it was taken for, in a few words."""
        values = f"{len(self.keys):,} value" + ("" if len(self.keys) == 1 else "s")
        if self.cuts:
            return f"numbers, {len(self.cuts) + 1} steps"
        if not self.keys:
            return "no value comes often enough"
        return f"lists of up to {self.slots} of {values}" if self.slots > 1 else values

    def encode(self, value: JSON, separator: str) -> list[int]:
        """``slots`` ids inside the field; -1 fills up a list."""
        if self.cuts:
            number = as_number(value)
            return [NULL if number is None else FIRST + int(np.searchsorted(self.cuts, number, side="right"))]
        found = [self.keys.get(key, UNSEEN) for key in as_keys(value, separator if self.slots > 1 else "")]
        found = (found or [NULL])[: self.slots]
        return found + [-1] * (self.slots - len(found))


@dataclass(frozen=True)
class Columns:
    """All fields of a table, and which column is to be predicted.

    Args:
        target: that column.
        positive: its value that counts as 1.
        fields: the others.
        separator: between the values of a list in a string.
    """

    target: str
    positive: str
    fields: tuple[Column, ...]
    separator: str = "|"

    @property
    def rows(self) -> tuple[int, ...]:
        """Ids of each field."""
        return tuple(column.rows for column in self.fields)

    def encode(self, rows: Sequence[Row]) -> Examples:
        """Rows to ids and labels; a row without a label counts as 0."""
        starts = np.cumsum([0, *self.rows])
        spans, at = [], 0
        for column in self.fields:
            spans.append((at, at + column.slots))
            at += column.slots
        ids = np.empty((len(rows), at), np.int64)
        for column, (a, b), start in zip(self.fields, spans, starts, strict=False):
            local = np.array([column.encode(row.get(column.name), self.separator) for row in rows], np.int64)
            ids[:, a:b] = np.where(local < 0, -1, local + start).reshape(len(rows), b - a)
        labels = np.array([as_key(row.get(self.target)) == self.positive for row in rows], np.float32)
        return Examples(ids, labels, self.rows, tuple(spans), tuple(column.name for column in self.fields))

    def to_json(self) -> str:
        """Text that tells which id stands for which value."""
        fields = [{"name": c.name, "keys": list(c.keys), "cuts": list(c.cuts), "slots": c.slots} for c in self.fields]
        whole = {"target": self.target, "positive": self.positive, "separator": self.separator, "fields": fields}
        return json.dumps(whole, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Columns:
        """What :meth:`to_json` wrote.

        Raises:
            InputError: it is not that.
        """
        try:
            whole = json.loads(text)
            fields = tuple(
                Column(c["name"], {key: FIRST + i for i, key in enumerate(c["keys"])}, tuple(c["cuts"]), c["slots"])
                for c in whole["fields"]
            )
            return cls(whole["target"], whole["positive"], fields, whole["separator"])
        except (ValueError, KeyError, TypeError) as cause:
            raise InputError(f"columns must be what Columns.to_json wrote: {cause!r}") from cause


def fit_columns(
    rows: Sequence[Row], target: str, *, numeric: Iterable[str] | None = None, drop: Iterable[str] = (),
    min_count: int = 2, separator: str = "|",
) -> Columns:  # fmt: skip
    """Look at ``rows`` and decide what each column is.

    A column of numbers is cut at its quantiles if some have fractions, or if most of its rows have a number that
    comes fewer than ``min_count`` times; any other is a vocabulary of its values as text, those of fewer rows left
    out, which teaches the row of unseen values. ``1`` and ``"1"`` are one value; NaN, null and the empty string are
    none. Lists, and strings with the separator in them, have several.

    Args:
        rows: for training only, so that the vocabulary knows nothing of the others.
        target: column of labels: two values, of which the greater counts as 1.
        numeric: columns to be cut, instead of those that are found.
        drop: columns to leave out.
        min_count: see above.
        separator: in strings that are lists; empty for none.

    Raises:
        InputError: no such column, no rows, one label only or more than two, a numeric column without numbers, or no
            column is left.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    wanted = {"target": [target], "numeric": list(numeric or ()), "drop": list(drop)}
    for what, columns in wanted.items():
        for name in columns:
            if name not in names:
                raise InputError(f"{what} must name a column, got {name!r}; there are {', '.join(names) or 'none'}.")
    positive = _positive(rows, target)
    fields = []
    for name in names:
        if name == target or name in wanted["drop"]:
            continue
        values = [row.get(name) for row in rows]
        cut = name in wanted["numeric"] if numeric is not None else _is_number(values, min_count)
        fields.append(_cut(name, values) if cut else _vocabulary(name, values, min_count, separator))
    if not fields:
        raise InputError(f"there must be a column beside {target!r} to learn from, got none.")
    return Columns(target, positive, tuple(fields), separator)


def as_key(value: JSON) -> str:
    """A value as text; empty if there is none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else json.dumps(value) if isinstance(value, dict) else str(value)


def as_keys(value: JSON, separator: str) -> list[str]:
    """The values in one cell."""
    if isinstance(value, list):
        pieces = [as_key(piece) for piece in value]
    else:
        text = as_key(value)
        pieces = [piece.strip() for piece in text.split(separator)] if separator else [text]
    return [piece for piece in dict.fromkeys(pieces) if piece]


def as_number(value: JSON) -> float | None:
    """A finite number, or None."""
    try:
        number = float(value) if isinstance(value, int | float | str) and value != "" else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _positive(rows: Sequence[Row], target: str) -> str:
    found = Counter(as_key(row.get(target)) for row in rows)
    found.pop("", None)
    if len(found) != 2:
        some = ", ".join(repr(value) for value, _ in found.most_common(5)) or "none"
        raise InputError(
            f"target {target!r} must have two different values, got {len(found)} in {len(rows)} rows to learn from "
            f"({some})."
        )
    return max(found, key=lambda key: (as_number(key) is not None, as_number(key) or 0.0, key))


def _is_number(values: Sequence[JSON], min_count: int) -> bool:
    # a missing whole number makes floats of all the others, in Parquet too: that NaN is no fraction
    given = [v for v in values if v is not None and not (isinstance(v, float) and math.isnan(v))]
    if not given or not all(isinstance(v, int | float) for v in given):
        return False
    if any(isinstance(v, float) and not v.is_integer() for v in given):
        return True
    return sum(count for count in Counter(given).values() if count >= min_count) < _REPEATED * len(given)


def _cut(name: str, values: Sequence[JSON]) -> Column:
    numbers: Array = np.array([n for value in values if (n := as_number(value)) is not None])
    if not len(numbers):
        raise InputError(f"a numeric column must have numbers, got none in the {len(values)} rows of {name!r}.")
    cuts = np.unique(np.quantile(numbers, np.arange(1, _BINS) / _BINS))
    return Column(name, cuts=tuple(cuts.tolist()))


def _vocabulary(name: str, values: Sequence[JSON], min_count: int, separator: str) -> Column:
    texts = [value for value in values if isinstance(value, str)]
    lists = any(isinstance(value, list) for value in values) or (
        bool(separator) and bool(texts) and sum(separator in text for text in texts) > _LISTS * len(texts)
    )
    counts: Counter[str] = Counter()
    longest = 1
    for value in values:
        keys = as_keys(value, separator if lists else "")
        counts.update(keys)
        longest = max(longest, len(keys))
    kept = sorted((key for key, count in counts.items() if count >= min_count), key=lambda key: (-counts[key], key))
    slots = min(longest, _MOST_VALUES) if lists else 1
    return Column(name, {key: FIRST + i for i, key in enumerate(kept)}, slots=slots)
