"""CSV and TSV: a header, and one document a row."""

from __future__ import annotations

import csv
import re
import threading
from collections.abc import Iterator

from nestvec.core import Record
from nestvec.core.types import JSON
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming, LongLine
from nestvec.inputs.report import Reason
from nestvec.inputs.rows import row_record

_INTEGER = re.compile(r"-?(?:0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,14})\.\d{1,15}(?:[eE][+-]?\d{1,2})?", re.ASCII)

_LONG = "\ud800"
"""Stands in a cell for a line that was too long. Bytes that cannot be decoded give U+DC80 and above, never this."""

_field_limit = threading.Lock()  # the csv module has one limit for the whole process; it is raised for one row only


def read_delimited(incoming: Incoming) -> Iterator[Record]:
    """One record a row.

    A ``.csv`` is quoted as in RFC 4180, and separated by whichever of comma, semicolon and tab is most frequent in
    its first line. A ``.tsv`` is separated by tabs; a quote inside a cell means itself, and a cell that is quoted
    as a whole is unquoted. Cells that are plain numbers become numbers in the metadata, empty ones null.

    Raises:
        UnreadableError: see :meth:`Incoming.lines`; or there is no row, or the header cannot be read.
    """
    header: list[str] = []
    rows = 0
    for number, row in _rows(incoming):
        where = f"{incoming.name}:{number}"
        try:
            _check(row, incoming)
            if not header:
                header = (
                    [cell.strip() for cell in row] if incoming.fields.header else [*map(str, range(1, len(row) + 1))]
                )
                if len(set(header)) < len(header):
                    raise UnreadableError(Reason.BROKEN_ROW, f"column names must differ, the header is {header}")
                if incoming.fields.header:
                    continue
            rows += 1
            yield _record(incoming, header, row, where)
        except UnreadableError as cause:
            if not header or not rows:
                raise UnreadableError(cause.reason, f"in the first line: {cause.detail}") from cause
            incoming.skip(cause.reason, cause.detail, where=where)
    if not rows:
        raise UnreadableError(Reason.EMPTY, "no row below the header" if header else "no line with anything on it")


def _record(incoming: Incoming, header: list[str], row: list[str], where: str) -> Record:
    if len(row) != len(header):
        raise UnreadableError(Reason.BROKEN_ROW, f"{len(row)} cells where the header has {len(header)}")
    record = row_record(
        dict(zip(header, row, strict=True)),
        fallback_id=where,
        source=incoming.source,
        fields=incoming.fields,
        report=incoming.report,
    )
    metadata = {key: value if key == "source" else _typed(value) for key, value in record.metadata.items()}
    return Record(record.id, record.content, metadata=metadata, title=record.title)


def _typed(cell: JSON) -> JSON:
    """A number where the cell is one in its plainest spelling; so ``007`` and ``1e5`` stay strings."""
    if not isinstance(cell, str) or not cell:
        return None if cell == "" else cell
    if _INTEGER.fullmatch(cell):
        return int(cell)
    return float(cell) if _DECIMAL.fullmatch(cell) else cell


def _check(row: list[str], incoming: Incoming) -> None:
    for cell in row:
        if cell.isascii():
            continue
        if _LONG in cell:
            most = incoming.limits.max_line_bytes
            raise UnreadableError(Reason.LINE_TOO_LONG, f"more than {most:,} bytes; raise Limits.max_line_bytes")
        bad = next((c for c in cell if "\udc80" <= c <= "\udcff"), "")
        if bad:
            raise UnreadableError(Reason.ENCODING, f"byte 0x{ord(bad) - 0xDC00:02x} in a cell")


def _texts(incoming: Incoming) -> Iterator[str]:
    """Lines for the parser. What cannot be kept is marked with surrogates, so that the right row is passed over."""
    errors = "surrogateescape" if incoming.limits.errors == "strict" else "replace"
    for _, line in incoming.lines():
        if isinstance(line, LongLine):
            # a quote that opened or closed in the lost line has to do so for the parser as well
            yield ('"' if line.quotes % 2 else "") + _LONG + "\n"
        else:
            yield incoming.decode_line(line, errors=errors)


def _rows(incoming: Incoming) -> Iterator[tuple[int, list[str]]]:
    """Non-empty rows with the number of the line each ended on."""
    if incoming.suffix != ".csv":
        for number, text in enumerate(_texts(incoming), 1):
            if stripped := text.rstrip("\r\n"):
                yield number, [_unquoted(cell) for cell in stripped.split("\t")]
        return
    texts = _texts(incoming)
    first = next(texts, "")
    outside = re.sub(r'"[^"]*"', "", first)
    delimiter = max(",;\t", key=outside.count)  # the comma wins a tie: it comes first
    parser = csv.reader(_chain(first, texts), delimiter=delimiter)
    while True:
        begun = parser.line_num + 1
        try:
            with _field_limit:
                before = csv.field_size_limit(incoming.limits.max_line_bytes)
                try:
                    row = next(parser)
                finally:
                    csv.field_size_limit(before)
        except StopIteration:
            return
        except csv.Error as cause:
            detail = f"{cause}; lines {begun} to {parser.line_num}; is a quote closed?"
            incoming.skip(Reason.BROKEN_ROW, detail, where=f"{incoming.name}:{begun}")
            continue
        if any(row):
            yield parser.line_num, row


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    if first:
        yield first
    yield from rest


def _unquoted(cell: str) -> str:
    if len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in (inner := cell[1:-1]).replace('""', ""):
        return inner.replace('""', '"')
    return cell
