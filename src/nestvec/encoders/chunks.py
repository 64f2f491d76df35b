"""What comes in, as texts and in pieces that can be held. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from nestvec.core import Record, Vectors
from nestvec.core.errors import InputError

T = TypeVar("T")

_CHUNK = 2048  # records sorted together: enough to fill batches with like lengths, few enough to hold
_CHUNK_CHARACTERS = 8 << 20  # … unless they are long; 8 MiB of text is some 2 million tokens


def each(records: Iterable[Any]) -> Iterable[Any]:
    """``records`` itself.

    Raises:
        InputError: it is one text or record, whose letters nobody wants encoded one by one.
    """
    if isinstance(records, str | Record):
        raise InputError(f"texts must come as several, got one {type(records).__name__}. For one text pass [text].")
    return records


def text_of(record: Any) -> str:
    """What an encoder reads of a record: its title, a space, and its text; of a string, itself.

    Raises:
        InputError: it is neither.
    """
    if isinstance(record, Record):
        return record.full_text
    if not isinstance(record, str):
        raise InputError(f"a text must be a Record or a str, got {type(record).__name__}: {record!r:.60}.")
    return record


def chunks(items: Iterable[T], *, size_of: Callable[[T], int]) -> Iterator[list[T]]:
    """Items in lists of at most 2,048, fewer where they are long."""
    chunk: list[T] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += size_of(item)
        if len(chunk) == _CHUNK or held >= _CHUNK_CHARACTERS:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def streamed(
    records: Iterable[Record | str], encode: Callable[[list[Record]], Vectors]
) -> Iterator[tuple[list[Record], Vectors]]:
    """Chunks of ``(records, vectors)``; a bare string becomes a record whose id is its position in the stream."""
    made = (
        record if isinstance(record, Record) else Record(str(position), text_of(record))
        for position, record in enumerate(each(records))
    )
    for chunk in chunks(made, size_of=lambda record: len(record.full_text)):
        yield chunk, encode(chunk)
