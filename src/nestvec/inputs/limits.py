"""How much is read at most, how bytes become text, and which columns are what."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Literal

from nestvec.core.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What one file may cost. Whatever goes beyond is skipped and named in the report.

    Args:
        max_file_bytes: the largest file (after unpacking) of a format that is held in memory whole: text, Markdown,
            reStructuredText, HTML, PDF, Python. Tables are read line by line and may be of any size.
        max_line_bytes: the longest line of a table; a longer one is passed over without being held in memory.
        max_expanded_bytes: where the reading of one ``.gz`` table stops, against archives made to expand for ever.
        encoding: how text is encoded where no byte-order mark, ``<meta charset>`` or Python cookie says otherwise.
        errors: ``strict`` skips text with bytes that the encoding does not know; ``replace`` puts U+FFFD for each.

    Raises:
        InputError: a limit is below 1, or the encoding or the treatment of errors is not known.
    """

    max_file_bytes: int = 512 << 20
    max_line_bytes: int = 8 << 20
    max_expanded_bytes: int = 16 << 30
    encoding: str = "utf-8"
    errors: Literal["strict", "replace"] = "strict"

    def __post_init__(self) -> None:
        for name in ("max_file_bytes", "max_line_bytes", "max_expanded_bytes"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, got {getattr(self, name)}.")
        if self.errors not in ("strict", "replace"):
            raise InputError(f"errors must be 'strict' or 'replace', got {self.errors!r}.")
        try:
            known = codecs.lookup(self.encoding)
            known.name.encode(self.encoding)  # "hex" and "zip" are codecs too, but not of text
        except LookupError as cause:
            raise InputError(
                f"encoding must be one that Python knows, got {self.encoding!r}. Try 'utf-8' or 'latin-1'."
            ) from cause


@dataclass(frozen=True)
class Fields:
    """Which columns of a table (or keys of a JSON object) are the id, the title and the text.

    Args:
        id: the column of ids; empty means ``id`` or ``_id``.
        title: the column of titles; empty means ``title``.
        text: the columns of text, joined by blank lines in this order; empty means the first of ``text``,
            ``content``, ``body``, ``abstract``, ``description``, ``summary`` that has text and, where there is none
            of them, every string of the row.
        header: whether the first line of a ``.csv`` or ``.tsv`` names the columns; if not, they are ``1``, ``2``, ...
        as_rows: a row need have no text: all its columns are metadata, and its text is where it stands, which is its
            name as well unless ``id`` says otherwise.
    """

    id: str = ""
    title: str = ""
    text: str | tuple[str, ...] = ()
    header: bool = True
    as_rows: bool = False

    @property
    def texts(self) -> tuple[str, ...]:
        """``text`` as a tuple; a single name may be given as it is."""
        return (self.text,) if isinstance(self.text, str) else self.text
