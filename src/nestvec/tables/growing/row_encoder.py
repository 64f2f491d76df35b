"""Rows of a data set as vectors: categories, numbers and text brought together in one space, without labels."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, final

import numpy as np
import xxhash

from nestvec.core import Record, Size, Space, Vectors
from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import JSON, Array, Int64, Matrix
from nestvec.tables.growing.factors import Design, factors
from nestvec.tables.growing.spec import FIRST
from nestvec.tables.growing.table import GrowingTable

_CHUNK = 2048
_FAR = 4.0  # standard deviations beyond which a number says no more
_PRIOR = 5.0  # occurrences added to each value's, so that one that came once does not outweigh all

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


def row_record(id_: str, row: Row) -> Record:
    """A record whose content is the row, as JSON, so that a changed row is a changed record; fields are metadata."""
    return Record(id_, json.dumps(dict(row), sort_keys=True, ensure_ascii=False), metadata=dict(row))


@final
@dataclass(frozen=True, eq=False)
class RowEncoder:
    """Rows to vectors. Made by :meth:`fit`; an encoder like any other, for records made by :func:`row_record`.

    ``v = unit(sum_f sum_k E[f, k] + z N + t T - c)``: rows of a table for the values of all categorical fields, ``z``
    the standardised numbers, ``t`` the text's vector, ``c`` what a mean row gives. A value that the table does not
    know, and a number that is missing, add nothing.

    Args:
        table: of the values; one for all fields. It may go on learning (``GrowingRows(table, field=…)``), and the space
            is another one after each step.
        fields: that are read.
        arrays: ``mean`` and ``deviation`` ``[k]`` of the numbers, ``numbers`` ``[k, d]``, ``words`` ``[t, d]``,
            ``centre`` ``[d]``.
        text_encoder: for text fields; None where there are none.
    """

    table: GrowingTable
    fields: RowFields
    arrays: Mapping[str, Matrix | Array] = field(repr=False)
    text_encoder: Encoder | None = None
    window: int = 0
    kind: ClassVar[str] = "row@1"

    @classmethod
    def fit(
        cls, rows: Iterable[Row], fields: RowFields, table: GrowingTable, *, text_encoder: Encoder | None = None,
        seed: int = 0,
    ) -> RowEncoder:  # fmt: skip
        """Fit to the rows themselves, without labels: values that come in like rows get like vectors.

        Multiple factor analysis: categories as indicators over the root of their frequency, numbers standardised, text
        vectors over their largest singular value, so that no kind of field outweighs the others; then the leading
        directions of all of it.

        Args:
            rows: mappings of names to JSON values; all are held while this runs.
            fields: that are read.
            table: its rows for the values are set; its dim is that of the vectors.
            text_encoder: must be given exactly where there are text fields.
            seed: of the start of the iteration.

        Raises:
            InputError: fewer rows than dimensions, or fewer values and numbers; a text encoder too many or missing.

        Source: Escofier and Pagès 1994 (Computational Statistics & Data Analysis 18(1)); Pagès 2004 (Revue de
        Statistique Appliquée 52(4)) for numbers beside categories; Halko et al. 2011, sec. 4.5 (SIAM Review 53(2)).
        """
        if (text_encoder is None) == bool(fields.text):
            raise InputError(f"a text encoder must come with text fields, got {text_encoder} and {fields.text}.")
        every = [_checked(row) for row in rows]
        for name in fields.categorical:
            table.admit([key for row in every for key in _values(row.get(name))], field=name)
        z, mean, deviation = _standardised(every, fields.numeric)
        words = _text_vectors(every, fields.text, text_encoder)
        at, starts = _cells(every, fields, table)
        known, columns = np.unique(at, return_inverse=True)
        share = (np.bincount(columns.reshape(-1), minlength=len(known)) + _PRIOR) / (len(every) + _PRIOR)
        weight = 1 / np.sqrt(share)
        weight[known < FIRST] = 0  # a missing or unknown value is no likeness
        largest = _largest(words)
        design = Design(columns.reshape(-1), starts, weight, np.concatenate([z, words / largest], axis=1))
        directions, centre = factors(design, table.spec.dim, seed=seed)
        own = directions[: len(known)] * weight[:, None]
        table.put(known[known >= FIRST], own[known >= FIRST].astype(np.float32))
        numbers, text = np.split(directions[len(known) :], [len(fields.numeric)])
        arrays = {"mean": mean, "deviation": deviation, "numbers": numbers, "words": text / largest, "centre": centre}
        return cls(table, fields, {n: a.astype(np.float32) for n, a in arrays.items()}, text_encoder)

    @property
    def space(self) -> Space:
        """Another one after every change of the table."""
        digest = xxhash.xxh3_128(f"{self.table.space.weights}\0{self.fields}".encode())
        if self.text_encoder is not None:
            digest.update(self.text_encoder.space.fingerprint.encode())
        for name, array in sorted(self.arrays.items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        return Space("rows", digest.hexdigest(), "sum", self.table.spec.dim)

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """0 for each: a row is never cut."""
        return [0] * len(texts)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Records of :func:`row_record`, or JSON objects, to ``[n, d]`` float32, in the order given.

        Raises:
            InputError: a text is no JSON object; a smaller size or an instruction is asked for.
        """
        if instruction or (size is not None and Size.parse(size) != Size()):
            raise InputError(f"rows have one size and no instruction, got {size!r} and {instruction!r}.")
        if isinstance(records, str | Record):
            raise InputError(f"rows must come as several, got one {type(records).__name__}. For one row pass [row].")
        rows = [_read(record.text if isinstance(record, Record) else record) for record in records]
        parts = [self._vectors(rows[a : a + _CHUNK]) for a in range(0, len(rows), _CHUNK)]
        return Vectors(np.concatenate([np.empty((0, self.table.spec.dim), np.float32), *parts]), self.space)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Rows as JSON objects, of which any fields may be missing, to ``[q, d]``."""
        return self.encode(queries, size=size, instruction=instruction)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Chunks of ``(records, vectors)``; a bare string becomes a record whose id is its position."""
        chunk: list[Record] = []
        for position, record in enumerate(records):
            chunk.append(record if isinstance(record, Record) else Record(str(position), record))
            if len(chunk) == _CHUNK:
                yield chunk, self.encode(chunk)
                chunk = []
        if chunk:
            yield chunk, self.encode(chunk)

    def _vectors(self, rows: list[Row]) -> Matrix:
        a = self.arrays
        at, starts = _cells(rows, self.fields, self.table)
        found = _sums(self.table.values(at), starts) - a["centre"]
        z, _, _ = _standardised(rows, self.fields.numeric, a["mean"], a["deviation"])
        found = found + z @ a["numbers"] + _text_vectors(rows, self.fields.text, self.text_encoder) @ a["words"]
        length = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Matrix = (found / np.where(length > 0, length, 1)).astype(np.float32)
        return unit


def _read(text: str) -> Row:
    try:
        return _checked(json.loads(text))
    except ValueError as cause:
        raise InputError(f"a row must be a JSON object, got {text[:60]!r}. Make records with row_record.") from cause


def _checked(row: Any) -> Row:
    if not isinstance(row, Mapping):
        raise InputError(f"a row must be a mapping of names to values, got {type(row).__name__}: {row!r:.60}.")
    return row


def _values(value: JSON) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _cells(
    rows: list[Row], fields: RowFields, table: GrowingTable
) -> tuple[Int64[np.ndarray, " c"], Int64[np.ndarray, " n1"]]:
    """``(rows of the table [c], starts [n + 1])`` of all values of all categorical fields, row by row."""
    owner, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for name in fields.categorical:
        values = [_values(row.get(name)) for row in rows]
        owner.append(np.repeat(np.arange(len(rows)), [len(some) for some in values]))
        found.append(table.lookup([key for some in values for key in some], field=name))
    owners, at = np.concatenate(owner), np.concatenate(found)
    order = np.argsort(owners, kind="stable")
    return at[order], np.searchsorted(owners[order], np.arange(len(rows) + 1)).astype(np.int64)


def _sums(values: Array, starts: Int64[np.ndarray, " n1"]) -> Array:
    out = np.zeros((len(starts) - 1, values.shape[1]), np.float32)
    filled = starts[1:] > starts[:-1]
    if filled.any():
        out[filled] = np.add.reduceat(values, starts[:-1][filled], axis=0)
    return out


def _standardised(
    rows: list[Row], names: tuple[str, ...], mean: Array | None = None, deviation: Array | None = None
) -> tuple[Array, Array, Array]:
    """``(z [n, k], mean [k], deviation [k])``; 0 where a number is missing."""
    cells = [[_number(row.get(name)) for name in names] for row in rows]
    numbers = np.array(cells, np.float64).reshape(len(rows), len(names))
    there = np.isfinite(numbers)
    if mean is None or deviation is None:
        count = np.maximum(there.sum(axis=0), 1)
        mean = np.where(there, numbers, 0).sum(axis=0) / count
        spread = np.sqrt((np.where(there, numbers - mean, 0) ** 2).sum(axis=0) / count)
        deviation = np.where(spread > 0, spread, 1.0)
    z = np.clip(np.where(there, (numbers - mean) / deviation, 0), -_FAR, _FAR)
    return z, mean, deviation


def _number(value: JSON) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else np.nan


def _text_vectors(rows: list[Row], names: tuple[str, ...], encoder: Encoder | None) -> Array:
    if encoder is None:
        return np.zeros((len(rows), 0), np.float32)
    return encoder.encode([" ".join(str(row.get(name) or "") for name in names) for row in rows]).values


def _largest(words: Array) -> float:
    """The largest singular value of the centred vectors over the root of their number; 1 where there is none."""
    moved = words - words.mean(axis=0) if words.size else words
    top = float(np.linalg.eigvalsh(moved.T @ moved / len(words))[-1]) if words.size else 0.0
    return float(np.sqrt(top)) if top > 0 else 1.0
