"""One function from a path, pattern, stream or iterable to records."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import xxhash

from nestvec.core import Record
from nestvec.core.errors import InputError, MissingExtraError
from nestvec.inputs import python_package, walk
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.limits import Fields, Limits
from nestvec.inputs.readers import READERS, SUFFIXES
from nestvec.inputs.report import ReadReport, Reason
from nestvec.inputs.rows import row_record

Source = str | Path | Iterable[Record | str | Mapping[str, Any] | Path]
"""What :func:`read` takes."""

PYTHON = "python:"

NAMED_FIRSTS = 100_000
"""How many documents are remembered by id, so that the report can say whose duplicate one is; about 20 MB."""


def read(
    source: Source,
    *,
    report: ReadReport | None = None,
    limits: Limits | None = None,
    fields: Fields | None = None,
    duplicates: Literal["skip", "keep"] = "skip",
) -> Iterator[Record]:
    """A stream of whole documents, each with its own id.

    Nothing that is wrong with a file, a line or a row stops the stream: it is passed over and the report says why.

    Args:
        source: one of

            - a file, a folder, or a pattern with ``*``, ``?``, ``[...]`` or ``**``;
            - ``"-"`` for standard input: JSON Lines if its first character is ``{``, else one document of text;
            - ``"python:json"`` for the docstrings of an importable package or module, ``"python:stdlib"`` for those
              of the standard library; nothing is imported;
            - an iterable of records, dictionaries (read as rows of a table), strings (each the text of a document)
              and ``Path`` objects (each a file or folder).
        report: what was seen and what was passed over is counted here.
        limits: how large files and lines may be, and how bytes become text.
        fields: which columns of tables are id, title and text.
        duplicates: what happens to a document that an encoder could not tell from an earlier one. Kept or not, it
            is counted. A second document with the id of an earlier one is always passed over.

    Returns:
        An iterator; files are opened as it is consumed, in the order of their names.

    Raises:
        InputError: there is nothing at ``source``. Raised here, before the first record; the nearest name is offered.
            Later, if an item of an iterable is of no usable type or a string that names a file.
        MissingExtraError: a file that was named itself needs a library that is not installed.

    Cost: one document, or one block of rows, in memory at a time, and 32 bytes (as Python objects, about 200) for
    each document so far, against duplicates.
    """
    if duplicates not in ("skip", "keep"):
        raise InputError(f"duplicates must be 'skip' or 'keep', got {duplicates!r}.")
    setup = _Setup(report if report is not None else ReadReport(), limits or Limits(), fields or Fields())
    if isinstance(source, str | Path):
        _check(source)
        records = _from_name(str(source), setup, as_given=False)
    elif isinstance(source, Mapping | bytes) or not hasattr(source, "__iter__"):
        raise InputError(
            f"a source must be a path, a pattern, '-', 'python:name' or an iterable, got {type(source).__name__}. "
            "For one record pass [record]."
        )
    else:
        for path in source if isinstance(source, list | tuple) else ():
            if isinstance(path, Path):
                _check(path)
        records = _from_items(source, setup)
    return _once(records, setup.report, keep=duplicates == "keep")


def read_several(
    sources: Iterable[str | Path],
    *,
    report: ReadReport | None = None,
    limits: Limits | None = None,
    fields: Fields | None = None,
) -> Iterator[Record]:
    """:func:`read` for several paths, patterns or packages, one after the other, as if they were one source.

    Raises:
        InputError: there is nothing at one of them. Raised here, before the first record.
        MissingExtraError: as :func:`read`.
    """
    setup = _Setup(report if report is not None else ReadReport(), limits or Limits(), fields or Fields())
    names = list(sources)
    for name in names:
        _check(name)
    records = (record for name in names for record in _from_name(str(name), setup, as_given=False))
    return _once(records, setup.report, keep=False)


@dataclass(frozen=True)
class _Setup:
    report: ReadReport
    limits: Limits
    fields: Fields

    def incoming(self, path: Path, *, name: str, source: str) -> Incoming:
        return Incoming(path, name, source, limits=self.limits, fields=self.fields, report=self.report)


def _check(source: str | Path) -> None:
    if isinstance(source, str) and source.startswith(PYTHON):
        python_package.check(source.removeprefix(PYTHON))
    elif source != "-":
        walk.check(str(source))


def _from_name(source: str, setup: _Setup, *, as_given: bool) -> Iterator[Record]:
    if source == "-":
        yield from _from_stdin(setup)
    elif source.startswith(PYTHON):
        name = source.removeprefix(PYTHON)
        incoming = setup.incoming(Path(name), name=name, source=source)
        yield from _guarded("python-package@1", incoming, direct=True)
    else:
        for found in walk.files(source, as_given=as_given, report=setup.report):
            shown = os.fsencode(found.path).decode("utf-8", "replace")
            incoming = setup.incoming(found.path, name=found.name, source=shown)
            reader = SUFFIXES.get(incoming.suffix, "txt@1" if found.direct and not found.path.suffix else "")
            if not reader:
                setup.report.skip_type("".join(found.path.suffixes[-2:] if incoming.packed else incoming.suffix), shown)
                continue
            setup.report.files += 1
            yield from _guarded(reader, incoming, direct=found.direct)


def _from_stdin(setup: _Setup) -> Iterator[Record]:
    stream = sys.stdin.buffer
    if not isinstance(stream, io.BufferedReader):
        raise InputError("standard input must be a stream of bytes; it has been replaced by something else.")
    reader = "jsonl@1" if stream.peek(1).lstrip()[:1] == b"{" else "txt@1"
    setup.report.files += 1
    yield from _guarded(
        reader, replace(setup.incoming(Path("-"), name="stdin", source="-"), stream=stream), direct=True
    )


def _guarded(reader: str, incoming: Incoming, *, direct: bool) -> Iterator[Record]:
    """What ``reader`` gives; trouble ends the file, not the stream."""
    try:
        yield from READERS[reader](incoming)
    except UnreadableError as cause:
        incoming.skip(cause.reason, cause.detail)
    except RecursionError:
        incoming.skip(Reason.TOO_DEEP, f"deeper than {reader} goes")
    except MissingExtraError as cause:
        if direct:
            raise
        incoming.skip(Reason.MISSING_EXTRA, str(cause))


def _from_items(items: Iterable[Any], setup: _Setup) -> Iterator[Record]:
    for item in items:
        if isinstance(item, Record):
            yield item
        elif isinstance(item, Path):
            yield from _from_path(item, setup)
        elif isinstance(item, str | Mapping):
            try:
                yield _from_item(item, setup)
            except UnreadableError as cause:
                setup.report.skip(cause.reason, "item", cause.detail)
        else:
            raise InputError(
                f"items must be records, dictionaries, strings or Paths, got {type(item).__name__} {item!r:.80}."
            )


def _from_path(path: Path, setup: _Setup) -> Iterator[Record]:
    try:
        walk.check(str(path))
    except InputError as cause:  # it was there when read() looked, or comes from a generator
        setup.report.skip(Reason.VANISHED, str(path), str(cause))
        return
    yield from _from_name(str(path), setup, as_given=True)


def _from_item(item: str | Mapping[str, Any], setup: _Setup) -> Record:
    """A record of a string or a dictionary. Without an id of its own it is named by what it says.

    So the same item given again replaces itself in a collection, and never another one.
    """
    if isinstance(item, str):
        if Path(item[-12:]).suffix.lower() in SUFFIXES and len(item) < 4096 and Path(item).is_file():
            raise InputError(f"a string in an iterable is a text, and {item!r} is also a file. Pass Path({item!r}).")
        item = {"text": item}
        fields = Fields()
    else:
        fields = setup.fields
    record = row_record(item, fallback_id="item", source="", fields=fields, report=setup.report)
    metadata = {key: value for key, value in record.metadata.items() if key != "source"}
    if "source_column" in metadata and "source_column" not in item:
        metadata["source"] = metadata.pop("source_column")  # there is no file, so the name is free
    named = record.id if record.id != "item" else f"item:{record.digest.hex()[:16]}"
    return replace(record, id=named, metadata=metadata)


@dataclass
class _Seen:
    """Digests of what was given out: 16 bytes each for the text and the id."""

    texts: set[bytes] = field(default_factory=set)
    ids: set[bytes] = field(default_factory=set)
    firsts: dict[bytes, str] = field(default_factory=dict)


def _once(records: Iterator[Record], report: ReadReport, *, keep: bool) -> Iterator[Record]:
    seen = _Seen()
    for record in records:
        text, name = record.digest, xxhash.xxh3_128_digest(record.id.encode("utf-8", "surrogatepass"))
        if text in seen.texts:
            report.duplicates += 1
            if not keep:
                report.skip(Reason.DUPLICATE_CONTENT, record.id, f"same as {seen.firsts.get(text, 'an earlier one')}")
                continue
        if name in seen.ids:
            report.skip(Reason.DUPLICATE_ID, record.id, f"in {record.metadata.get('source', 'the iterable')}")
            continue
        seen.texts.add(text)
        seen.ids.add(name)
        if len(seen.firsts) < NAMED_FIRSTS:
            seen.firsts.setdefault(text, record.id)
        report.documents += 1
        yield record
