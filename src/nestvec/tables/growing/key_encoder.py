"""The keys of a growing table as records of a collection, so that they are found by likeness."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, final

from nestvec.core import Record, Size, Space, Vectors
from nestvec.core.errors import InputError, NotFoundError
from nestvec.tables.growing.spec import UNKNOWN
from nestvec.tables.growing.table import GrowingTable

_CHUNK = 8192


@final
@dataclass(frozen=True, eq=False)
class KeyEncoder:
    """Keys to the values of their rows; a record's text is its key.

    The space is that of the table: new keys leave it as it is, so a collection takes them at any time; training makes
    it another one, and ``collection.resize("full", encoder=KeyEncoder(table))`` brings all its vectors over.

    Args:
        table: where the rows are; it is only read.
        field: that keys belong to.
        integers: keys are whole numbers, whose digits are the text of a record.
    """

    table: GrowingTable
    field: str = ""
    integers: bool = False
    window: int = 0
    kind: ClassVar[str] = "key@1"

    @property
    def space(self) -> Space:
        """That of the table."""
        return self.table.space

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """0 for each: a key is never cut."""
        return [0] * len(texts)

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Records or keys to ``[n, dim]`` float32, in the order given.

        Raises:
            NotFoundError: a key has no row; admit it to the table first.
            InputError: a text is no whole number where those are keys; a smaller size or an instruction is asked for.
        """
        if instruction or (size is not None and Size.parse(size) != Size()):
            raise InputError(f"rows of a table have one size and no instruction, got {size!r} and {instruction!r}.")
        if isinstance(records, str | Record):
            raise InputError(f"keys must come as several, got one {type(records).__name__}. For one key pass [key].")
        keys = [self._key(record.text if isinstance(record, Record) else record) for record in records]
        rows = self.table.lookup(keys, field=self.field)
        if (rows == UNKNOWN).any():
            first = keys[int((rows == UNKNOWN).argmax())]
            raise NotFoundError(
                f"a key must have a row in {self.table.path}, field {self.field!r}, got {first!r} without one. Admit "
                "it first."
            )
        return Vectors(self.table.values(rows), self.space)

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Keys to ``[q, dim]``: what is like them is what is looked for."""
        return self.encode(queries, size=size, instruction=instruction)

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Chunks of ``(records, vectors)``; a bare string becomes a record whose id is its position."""
        every = (r if isinstance(r, Record) else Record(str(i), r) for i, r in enumerate(records))
        while chunk := list(islice(every, _CHUNK)):
            yield chunk, self.encode(chunk)

    def _key(self, text: str) -> Any:
        if not self.integers:
            return text
        try:
            return int(text)
        except ValueError as cause:
            raise InputError(f"a key must be a whole number, got {text[:60]!r}.") from cause
