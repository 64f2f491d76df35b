"""The encoder of rows: a table for their categories, and directions for their numbers and their text."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, final

import numpy as np
import xxhash

from nestvec.core import Record, Size, Space, Vectors
from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Array, Int64, Matrix
from nestvec.tables.growing.spec import FIRST
from nestvec.tables.growing.table import GrowingTable
from nestvec.tables.row_encoding.factors import Design, factors
from nestvec.tables.row_encoding.fields import Row, RowFields, check_columns, checked, keys_of, standardised, text_of
from nestvec.tables.row_encoding.saving import SavedRows, read_beside, save_beside

_CHUNK = 2048
_PRIOR = 5.0  # occurrences added to each value's, so that one that came once does not outweigh all


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
        arrays: ``mean`` and ``deviation`` ``[k]`` float64 of the numbers; float32 ``numbers`` ``[k, d]``,
            ``words`` ``[t, d]``, ``centre`` ``[d]``.
        text_encoder: for text fields; None where there are none.
    """

    table: GrowingTable
    fields: RowFields
    arrays: Mapping[str, Matrix | Array] = field(repr=False)
    text_encoder: Encoder | None = None
    window: int = 0
    kind: ClassVar[str] = "row@1"
    reads_rows: ClassVar[bool] = True
    """A collection gives it whole rows of tables to read, and no texts out of them."""

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
            InputError: fewer rows than dimensions, or fewer values and numbers; a text encoder too many or missing; a
                field that no row has, or whose values do not suit it.

        Source: Escofier and Pagès 1994 (Computational Statistics & Data Analysis 18(1)); Pagès 2004 (Revue de
        Statistique Appliquée 52(4)) for numbers beside categories; Halko et al. 2011, sec. 4.5 (SIAM Review 53(2)).
        """
        if (text_encoder is None) == bool(fields.text):
            raise InputError(f"a text encoder must come with text fields, got {text_encoder} and {fields.text}.")
        every = [checked(row) for row in rows]
        if len(every) < table.spec.dim:
            raise InputError(
                f"a row encoder of {table.spec.dim} dimensions must be fitted to as many rows, got {len(every)}. Give "
                "more rows, or make a table of fewer dimensions."
            )
        check_columns(every, fields)
        for name in fields.categorical:
            table.admit([key for row in every for key in keys_of(row.get(name))], field=name)
        z, mean, deviation = standardised(every, fields.numeric)
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
        small = {"numbers": numbers, "words": text / largest, "centre": centre}
        arrays = {"mean": mean, "deviation": deviation, **{n: a.astype(np.float32) for n, a in small.items()}}
        return cls(table, fields, arrays, text_encoder)

    def save(self) -> Path:
        """Save the table and, as one commit with it, what turns its rows into vectors; returns the folder.

        Raises:
            StoreError: the table was opened for reading.
            DiskError: the disk refuses; what was saved before is safe.
        """
        text = self.text_encoder
        found = (str(getattr(text, "source", "")), str(getattr(text, "size", "full")), text.space) if text else None
        save_beside(self.table, SavedRows(self.fields, self.arrays, found))
        return self.table.path

    @classmethod
    def load(cls, folder: str | Path, *, text_encoder: Encoder | None = None, write: bool = False) -> RowEncoder:
        """Open what :meth:`save` wrote; every byte is checked. Close its ``table`` when it is no longer needed.

        Args:
            folder: of the table.
            text_encoder: the one that it was fitted with, where there are text fields.
            write: open the table for writing, to train it further.

        Raises:
            NoCollectionError: there is no table.
            NotFoundError: there is a table, and no encoder was saved with it.
            CorruptError: a file is damaged.
            InputError: a text encoder is missing, or one too many.
            SpaceMismatchError: it is not the one that it was fitted with.
        """
        table = GrowingTable.open(folder, write=write)
        try:
            saved = read_beside(table.path, table.notes)
            if (saved.text is None) != (text_encoder is None):
                needs = "no text encoder" if saved.text is None else f"the text encoder {saved.text[2]}"
                raise InputError(f"the row encoder in {folder} must be opened with {needs}, got {text_encoder}.")
            if saved.text is not None and text_encoder is not None:
                saved.text[2].require(text_encoder.space)
        except BaseException:
            table.close()
            raise
        return cls(table, saved.fields, saved.arrays, text_encoder)

    @property
    def source(self) -> str:
        """Its folder, by which a collection finds it again when it was saved."""
        return str(self.table.path.resolve())

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
            InputError: a text is no JSON object, or none that has one of the fields; a smaller size or an instruction
                is asked for.
        """
        if instruction or (size is not None and Size.parse(size) != Size()):
            raise InputError(f"rows have one size and no instruction, got {size!r} and {instruction!r}.")
        if isinstance(records, str | Record):
            raise InputError(f"rows must come as several, got one {type(records).__name__}. For one row pass [row].")
        rows = [self._read(record.text if isinstance(record, Record) else record) for record in records]
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

    def _read(self, text: str) -> Row:
        try:
            row = checked(json.loads(text))
        except (ValueError, RecursionError) as cause:
            raise InputError(
                f"a row must be a JSON object, got {text[:60]!r}. Make records with row_record."
            ) from cause
        names = self.fields.categorical + self.fields.numeric + self.fields.text
        if row.keys().isdisjoint(names):
            raise InputError(f"a row must have one or more of {', '.join(names)}, got {', '.join(row) or 'none'}.")
        return row

    def _vectors(self, rows: list[Row]) -> Matrix:
        a = self.arrays
        at, starts = _cells(rows, self.fields, self.table)
        found = _sums(self.table.values(at), starts) - a["centre"]
        z, _, _ = standardised(rows, self.fields.numeric, a["mean"], a["deviation"])
        found = found + z @ a["numbers"] + _text_vectors(rows, self.fields.text, self.text_encoder) @ a["words"]
        length = np.linalg.norm(found, axis=1, keepdims=True)
        unit: Matrix = (found / np.where(length > 0, length, 1)).astype(np.float32)
        return unit


def _cells(
    rows: list[Row], fields: RowFields, table: GrowingTable
) -> tuple[Int64[np.ndarray, " c"], Int64[np.ndarray, " n1"]]:
    """``(rows of the table [c], starts [n + 1])`` of all values of all categorical fields, row by row."""
    owner, found = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    for name in fields.categorical:
        values = [keys_of(row.get(name)) for row in rows]
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


def _text_vectors(rows: list[Row], names: tuple[str, ...], encoder: Encoder | None) -> Array:
    if encoder is None:
        return np.zeros((len(rows), 0), np.float32)
    texts = [text_of(row, names) for row in rows]
    out = np.zeros((len(rows), encoder.space.dim), np.float32)
    given = [i for i, text in enumerate(texts) if text]
    out[given] = encoder.encode([texts[i] for i in given]).values  # what is missing says nothing
    return out


def _largest(words: Array) -> float:
    """The largest singular value of the centred vectors over the root of their number; 1 where there is none."""
    moved = words - words.mean(axis=0) if words.size else words
    top = float(np.linalg.eigvalsh(moved.T @ moved / len(words))[-1]) if words.size else 0.0
    return float(np.sqrt(top)) if top > 0 else 1.0
