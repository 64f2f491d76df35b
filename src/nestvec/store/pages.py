"""SQLite pages with a checksum in each, so that a flipped bit is an error and never an answer.

SQLite keeps a number of bytes at the end of every page free for extensions. Here they hold the xxh3-64 of
the rest of the page, seeded with its offset in the file (a page written to the wrong place is found too).
The checksum is set when a page goes to the database file and compared when it comes back. Pages in the
write-ahead log carry SQLite's own checksums. Any SQLite can read the file; only the check is ours.

The same idea, with another sum, is SQLite's cksumvfs extension (sqlite.org/cksumvfs.html), which cannot be
loaded into most builds of Python.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import xxhash

PAGE = 8192
RESERVED = 8
VFS = "nestvec-pages"

_registered: apsw.VFS | None = None
_registering = threading.Lock()


def register() -> str:
    """Make the file layer known to SQLite, once a process, and return its name."""
    global _registered  # noqa: PLW0603  # SQLite's own registry is global; this only keeps the object alive
    with _registering:
        if _registered is None:
            _registered = _Layer(VFS, base="")
    return VFS


def page_sum(page: bytes | memoryview, offset: int) -> bytes:
    """8 bytes: xxh3-64 of a page without its last 8 bytes, seeded with its offset in the file."""
    return xxhash.xxh3_64_digest(page[:-RESERVED], seed=offset)


def damaged_pages(path: Path) -> Iterator[int]:
    """Yield the number (from 1) of every page in a database file whose checksum does not match.

    A page of zeros is one that the file grew by and SQLite has not used yet; the structure check of
    SQLite itself finds a page of zeros that should hold something.
    """
    with path.open("rb") as file:
        offset = 0
        while page := file.read(PAGE):
            if len(page) < PAGE or (page_sum(page, offset) != page[-RESERVED:] and any(page)):
                yield offset // PAGE + 1
            offset += PAGE


class _Layer(apsw.VFS):
    """The default file layer of the system, with checksums on database files."""

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802  # SQLite's name
        if flags[0] & apsw.SQLITE_OPEN_MAIN_DB:
            return _Pages("", name, flags)
        return super().xOpen(name, flags)


class _Pages(apsw.VFSFile):
    """A database file."""

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  # SQLite's name
        page = super().xRead(amount, offset)
        whole = amount == PAGE and len(page) == PAGE  # SQLite also peeks at the first 100 bytes of the file
        if whole and page_sum(page, offset) != page[-RESERVED:]:
            raise apsw.CorruptError(f"the checksum of page {offset // PAGE + 1} does not match")
        if amount == PAGE and 0 < len(page) < PAGE:  # SQLite would take the rest for zeros
            raise apsw.CorruptError(f"page {offset // PAGE + 1} is cut off")
        return page

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802  # SQLite's name
        page = bytes(data)
        if len(page) == PAGE:
            page = page[:-RESERVED] + page_sum(page, offset)
        super().xWrite(page, offset)
