"""One item of data on its way to a vector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import xxhash

from nestvec.core.errors import InputError
from nestvec.core.types import JSON


@dataclass(frozen=True)
class Text:
    """A part of a record that is text."""

    text: str


Part = Text
"""What a record may be made of. Images, audio, rows and nodes join this union as their readers arrive."""


@dataclass(frozen=True)
class Place:
    """Where in a longer document a passage stands.

    Args:
        parent: id of the whole document.
        start: offset of the first character of the passage in the document's text.
        end: offset after the last one.
        heading: the headings above the passage, outermost first.
        number: which passage of its document this is, from 0.
    """

    parent: str
    start: int
    end: int
    heading: tuple[str, ...] = ()
    number: int = 0


@dataclass(frozen=True)
class Record:
    """An id, content, and whatever else is known about it.

    Args:
        id: unique in a collection; a record with the id of an earlier one replaces it.
        content: parts, or one string, which becomes one :class:`Text` part.
        metadata: names to JSON values, for filters and for show.
        title: what the document calls itself; encoders put it before the text.
        place: set on passages of a longer document.

    Raises:
        InputError: the id is empty or has a null character, or there is no content.
    """

    id: str
    content: tuple[Part, ...] | str
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    title: str = ""
    place: Place | None = None

    def __post_init__(self) -> None:
        if not self.id or "\0" in self.id:
            raise InputError(f"a record's id must be a non-empty string without null characters, got {self.id!r}.")
        if isinstance(self.content, str):
            object.__setattr__(self, "content", (Text(self.content),))
        if not self.content:
            raise InputError(f"a record must have content, got none for id {self.id!r}.")

    @property
    def text(self) -> str:
        """Its text parts, joined by blank lines."""
        assert not isinstance(self.content, str)  # noqa: S101  # __post_init__ saw to it; this is for mypy
        return "\n\n".join(part.text for part in self.content)

    @property
    def full_text(self) -> str:
        """What an encoder reads: the title, a space, and the text; the text alone if there is no title."""
        return f"{self.title} {self.text}" if self.title else self.text

    @property
    def digest(self) -> bytes:
        """16 bytes that are equal for two records that an encoder cannot tell apart (xxh3-128 of the full text)."""
        return xxhash.xxh3_128_digest(self.full_text.encode("utf-8", "surrogatepass"))
