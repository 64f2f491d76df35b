"""Reading one's own data, strictly: a file of judgements with a mistake gives a wrong figure, so it gives none."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import xxhash

from nestvec.core.errors import InputError

_SUFFIXES = (".jsonl", ".tsv", ".csv")


@dataclass(frozen=True)
class Row:
    """One line of a file.

    Args:
        values: by column.
        where: file and line, for messages.
    """

    values: dict[str, Any]
    where: str

    def text(self, *names: str) -> str:
        """The first of the columns ``names`` that is there, as text.

        Raises:
            InputError: there is none, or it is empty or no text.
        """
        value = self._first(names)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{self.where}: {names[0]!r} must be text that is not empty, got {value!r}.")
        return value

    def label(self, *names: str) -> str:
        """As :meth:`text`; a whole number or truth value is taken as its text."""
        value = self._first(names)
        return str(value) if isinstance(value, int) else Row({names[0]: value}, self.where).text(names[0])

    def number(self, *names: str) -> float:
        """The first of the columns ``names`` that is there, as a finite number.

        Raises:
            InputError: there is none, or it is no number, NaN or infinite.
        """
        value = self._first(names)
        try:
            found = float(value)
        except (TypeError, ValueError):
            found = math.nan
        if not math.isfinite(found) or isinstance(value, bool):
            raise InputError(f"{self.where}: {names[0]!r} must be a finite number, got {value!r}.")
        return found

    def texts(self, *names: str) -> tuple[str, ...]:
        """The first of the columns ``names`` that is there, as a list of texts; one text is a list of one."""
        value = self._first(names)
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(v, str) and v.strip() for v in values):
            raise InputError(f"{self.where}: {names[0]!r} must be a list of texts, got {value!r}.")
        return tuple(values)

    def joined(self, *names: str) -> str:
        """The columns ``names`` that are not empty, a line each.

        Raises:
            InputError: all of them are.
        """
        found = "\n".join(str(self.values[name]) for name in names if str(self.values.get(name) or "").strip())
        return found or self.text(*names)

    def _first(self, names: Sequence[str]) -> Any:
        for name in names:
            if name in self.values and self.values[name] is not None:
                return self.values[name]
        raise InputError(f"{self.where}: there must be a column {' or '.join(names)}, got {', '.join(self.values)}.")


def find(path: Path) -> Path:
    """``path``, or the same with ``.gz`` behind it.

    Raises:
        InputError: neither is a file.
    """
    for candidate in (path, path.with_name(path.name + ".gz")):
        if candidate.is_file():
            return candidate
    raise InputError(f"there must be a file {path.name} or {path.name}.gz in {str(path.parent)!r}, got neither.")


@contextmanager
def opened(file: Path) -> Iterator[TextIO]:
    """The lines of a text file, gzipped or not, as they are; a byte order mark is passed over.

    Raises:
        InputError: it is not UTF-8, or the gzip file is broken.
    """
    start = gzip.open if file.suffix == ".gz" else open
    try:
        with start(file, "rt", encoding="utf-8-sig", newline="") as lines:
            yield cast(TextIO, lines)
    except UnicodeDecodeError as cause:
        raise InputError(f"{file.name} must be UTF-8, got {cause}.") from cause
    except (gzip.BadGzipFile, EOFError) as cause:
        raise InputError(f"{file.name} must be a whole gzip file, got one that is broken: {cause}.") from cause


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSONL, TSV or CSV file, gzipped or not; TSV and CSV start with the names of their columns.

    Raises:
        InputError: there is no such file, it has another ending, a line is broken, or there are no rows.
    """
    file = find(path)
    kind = Path(file.name.removesuffix(".gz")).suffix
    if kind not in _SUFFIXES:
        raise InputError(f"data must be in a {', '.join(_SUFFIXES)} file (or .gz of it), got {file.name!r}.")
    with opened(file) as lines:
        rows = list(_objects(lines, file.name) if kind == ".jsonl" else _columns(lines, file.name, kind))
    if not rows:
        raise InputError(f"{file.name} must have at least one row, got none.")
    return rows


def digest(*parts: object) -> str:
    """32 hexadecimal digits of anything JSON can say: equal for equal data."""
    return xxhash.xxh3_128_hexdigest(json.dumps(parts, separators=(",", ":")).encode())


def once(names: Sequence[str], what: str) -> None:
    """Return if no name comes twice.

    Raises:
        InputError: one does.
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"{what} must be unique, got {name!r} twice.")
        seen.add(name)


def _objects(lines: Iterator[str], name: str) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except ValueError as cause:
            raise InputError(f"{name}:{number}: a line must be a JSON object, got {cause}.") from cause
        if not isinstance(value, dict):
            raise InputError(f"{name}:{number}: a line must be a JSON object, got {type(value).__name__}.")
        yield Row(value, f"{name}:{number}")


def _columns(lines: Iterator[str], name: str, kind: str) -> Iterator[Row]:
    tabs = kind == ".tsv"  # of which a field may begin with a quotation mark that means nothing
    reader = csv.reader(lines, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(lines)
    head = next(reader, [])
    for fields in reader:
        if not fields:
            continue
        where = f"{name}:{reader.line_num}"
        if len(fields) != len(head):
            raise InputError(f"{where}: there must be {len(head)} columns as in the first line, got {len(fields)}.")
        yield Row(dict(zip(head, fields, strict=True)), where)
