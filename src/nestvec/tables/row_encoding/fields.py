"""What of a row is read, and how its values become keys and numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nestvec.core import Record
from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Array

_FAR = 4.0  # standard deviations beyond which a number says no more
_SAMPLE = 10_000  # rows that are looked at to guess what a column is
_FEW_NUMBERS = 20  # different whole numbers up to which they are taken for names of something
_AGAIN = 2.0  # times that a value of a category comes, on the mean
_WORDS = 3.0  # words of a text, on the mean

Row = Mapping[str, JSON]


@dataclass(frozen=True)
class RowFields:
    """What of a row is read, and as what.

    Args:
        categorical: fields whose value is a key, or a list of keys.
        numeric: fields whose value is a number; anything else counts as missing.
        text: fields that are joined and read by a text encoder.

    Raises:
        InputError: no field is named, or one twice.
    """

    categorical: tuple[str, ...] = ()
    numeric: tuple[str, ...] = ()
    text: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        every = self.categorical + self.numeric + self.text
        if not every or len(set(every)) != len(every):
            raise InputError(f"a row must be read by one or more different fields, got {every}.")


def guess_fields(rows: Sequence[Row], *, text: bool = True) -> RowFields:
    """What the columns of a data set seem to be, from its first 10,000 rows.

    Numbers with fractions, and whole ones with more than 20 different values, are numeric. Lists, booleans, and values
    of which each comes twice on the mean, are categorical. Other strings are text if they have three words on the mean.
    What is left says nothing about likeness (ids, say) and is not read; nor are columns of one value.

    Args:
        rows: of the data set.
        text: False to leave columns of text out.

    Raises:
        InputError: no column is left.
    """
    some = [checked(row) for row in rows[:_SAMPLE]]
    found: dict[str, list[str]] = {"categorical": [], "numeric": [], "text": []}
    for name in dict.fromkeys(name for row in some for name in row):
        kind = _kind([row.get(name) for row in some])
        if kind and (text or kind != "text"):
            found[kind].append(name)
    if not any(found.values()):
        names = ", ".join(dict.fromkeys(name for row in some for name in row)) or "none"
        raise InputError(f"a column must say what rows have in common, got none that does among: {names}.")
    return RowFields(tuple(found["categorical"]), tuple(found["numeric"]), tuple(found["text"]))


def _kind(values: Sequence[JSON]) -> str:
    given = [value for value in values if not (value is None or value in ("", []))]
    listed = any(isinstance(value, list) for value in given)
    keys = [key for value in given for key in keys_of(value) if isinstance(key, str | int | float)]
    different = len(set(map(str, keys)))
    if different < 2:
        return ""
    numbers = [v for v in given if isinstance(v, int | float) and not isinstance(v, bool)]
    whole = all(isinstance(v, int) or v.is_integer() for v in numbers)
    if len(numbers) == len(given) and (not whole or different > _FEW_NUMBERS):
        return "numeric" if not whole or different < len(given) else ""  # whole numbers that never come again are ids
    if listed or len(keys) >= _AGAIN * different:
        return "categorical"
    words = sum(len(str(v).split()) for v in given) / len(given)
    return "text" if words >= _WORDS else ""


def row_record(id_: str, row: Row) -> Record:
    """A record whose content is the row, as JSON, so that a changed row is a changed record; fields are metadata.

    Raises:
        InputError: a value is none that JSON has, such as a date or a numpy number.
    """
    try:
        text = json.dumps(dict(row), sort_keys=True, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as cause:
        raise InputError(f"row {id_!r} must hold values that JSON has: {cause}. Make them plain ones.") from cause
    return Record(id_, text, metadata=dict(row))


def checked(row: Any) -> Row:
    """The row, if it is one.

    Raises:
        InputError: it is no mapping.
    """
    if not isinstance(row, Mapping):
        raise InputError(f"a row must be a mapping of names to values, got {type(row).__name__}: {row!r:.60}.")
    return row


def check_columns(rows: Sequence[Row], fields: RowFields) -> None:
    """Return if every field has a value somewhere, categories can be keys, and numeric fields have numbers.

    Raises:
        InputError: one does not; its name, and the first value that is wrong, are in the message.
    """
    known = {name for row in rows for name in row}
    for name in fields.categorical + fields.numeric + fields.text:
        if name not in known:
            raise InputError(f"a field must be one that rows have, got {name!r}; there are {', '.join(sorted(known))}.")
    for name in fields.categorical:
        odd = (key for row in rows for key in keys_of(row.get(name)) if isinstance(key, dict | list | tuple))
        if (wrong := next(odd, None)) is not None:
            raise InputError(
                f"values of {name!r} must be strings, numbers or lists of them to be categories, got {wrong!r:.60}. "
                "Make them strings, or leave the field out."
            )
    for name in fields.numeric:
        if not any(math.isfinite(_number(row.get(name))) for row in rows):
            raise InputError(f"a numeric field must have numbers, got none in the {len(rows)} rows of {name!r}.")


def keys_of(value: JSON) -> list[Any]:
    """The values in one cell of a categorical field."""
    return list(value) if isinstance(value, list | tuple) else [value]


def text_of(row: Row, names: Sequence[str]) -> str:
    """Text fields side by side; what is missing is left out."""
    return " ".join(str(row[name]) for name in names if row.get(name) is not None)


def standardised(
    rows: Sequence[Row], names: Sequence[str], mean: Array | None = None, deviation: Array | None = None
) -> tuple[Array, Array, Array]:
    """``(z [n, k], mean [k], deviation [k])``; 0 where a number is missing, and at most 4 deviations either way."""
    numbers = np.array([[_number(row.get(name)) for name in names] for row in rows], np.float64)
    numbers = numbers.reshape(len(rows), len(names))
    there = np.isfinite(numbers)
    numbers = np.where(there, numbers, 0)
    if mean is None or deviation is None:
        largest = np.maximum(np.abs(numbers).max(axis=0, initial=0), 1)  # so that no square is beyond a float
        count = np.maximum(there.sum(axis=0), 1)
        scaled = numbers / largest
        middle = scaled.sum(axis=0) / count
        spread = np.sqrt((np.where(there, scaled - middle, 0) ** 2).sum(axis=0) / count)
        mean, deviation = middle * largest, np.where(spread > 0, spread, 1.0) * largest
    with np.errstate(over="ignore"):
        z = np.clip(numbers / deviation - mean / deviation, -_FAR, _FAR)
    return np.where(there, z, 0), mean, deviation


def _number(value: JSON) -> float:
    """A number as float64; NaN where there is none, or none that a float64 holds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return np.nan
    try:
        return float(value)
    except OverflowError:
        return np.nan
