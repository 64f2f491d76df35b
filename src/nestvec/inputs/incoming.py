"""One file on its way in: what every reader is handed."""

from __future__ import annotations

import gzip
import io
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from nestvec.inputs.decoding import UnreadableError, decode, is_wide, marked
from nestvec.inputs.limits import Fields, Limits
from nestvec.inputs.report import ReadReport, Reason


@runtime_checkable
class ByteStream(Protocol):
    """What of a binary file is needed here."""

    def read(self, size: int = -1, /) -> bytes:
        """At most ``size`` bytes; fewer only at the end."""
        ...

    def readline(self, size: int = -1, /) -> bytes:
        """Up to the next line end, or ``size`` bytes."""
        ...


class LongLine(NamedTuple):
    """Stands for a line that was too long to keep.

    Args:
        size: its length in bytes.
        quotes: how many double quotes it had; the reader of CSV needs to know whether that is odd.
    """

    size: int
    quotes: int


@dataclass(frozen=True)
class Incoming:
    """One file, and all that a reader needs to turn it into records.

    Args:
        path: where it lies; for a Python package, only its name.
        name: what ids of its records begin with.
        source: its path as the user wrote it, for ``metadata["source"]``.
        limits: see :class:`Limits`.
        fields: see :class:`Fields`.
        report: where a reader tells what it passed over.
        stream: its bytes, where they do not come from ``path``.
    """

    path: Path
    name: str
    source: str
    limits: Limits = field(default_factory=Limits)
    fields: Fields = field(default_factory=Fields)
    report: ReadReport = field(default_factory=ReadReport)
    stream: ByteStream | None = None

    @property
    def packed(self) -> bool:
        """Whether it is compressed with gzip."""
        return self.path.suffix.lower() == ".gz"

    @property
    def suffix(self) -> str:
        """What kind of file it is, in small letters: ``.jsonl`` for ``a.JSONL`` and ``a.jsonl.gz``."""
        return Path(self.path.stem if self.packed else self.path.name).suffix.lower()

    def skip(self, reason: Reason, detail: str = "", *, where: str = "") -> None:
        """Report something in this file that was passed over."""
        self.report.skip(reason, where or self.source, detail)

    @contextmanager
    def open(self) -> Iterator[ByteStream]:
        """Its bytes, unpacked.

        Raises:
            UnreadableError: not a regular file, gone, not permitted, or a damaged archive.
        """
        if self.stream is not None:
            yield self.stream
            return
        try:
            # opening a pipe would wait for a writer that may never come
            if not stat.S_ISREG(os.stat(self.path).st_mode):  # noqa: PTH116  # Path.stat cannot say less
                raise UnreadableError(Reason.NOT_A_FILE, "a pipe, socket or device; to read a pipe, give '-'")
            with self.path.open("rb") as file:
                yield gzip.GzipFile(fileobj=file) if self.packed else file
        except FileNotFoundError as cause:
            raise UnreadableError(Reason.VANISHED, "it was there when the folder was listed") from cause
        except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
            raise UnreadableError(Reason.DAMAGED, f"gzip: {cause}") from cause
        except OSError as cause:
            raise UnreadableError(Reason.UNREADABLE, cause.strerror or str(cause)) from cause

    def data(self) -> bytes:
        """All its bytes, unpacked.

        Raises:
            UnreadableError: as :meth:`open`; or it is empty, or larger than ``max_file_bytes``.
        """
        most = self.limits.max_file_bytes
        with self.open() as stream:
            data = stream.read(most + 1)
        if len(data) > most:
            raise UnreadableError(Reason.TOO_LARGE, f"more than {most:,} bytes; raise Limits.max_file_bytes to read it")
        if not data:
            raise UnreadableError(Reason.EMPTY, "0 bytes")
        return data

    def text(self, *, encoding: str = "") -> str:
        """All its text.

        Args:
            encoding: what the file declares about itself; empty means ``limits.encoding``.

        Raises:
            UnreadableError: as :meth:`data` and :func:`decode`; or there is nothing but white space.
        """
        text = decode(self.data(), encoding=encoding or self.limits.encoding, errors=self.limits.errors)
        if not text.strip():
            raise UnreadableError(Reason.EMPTY, "nothing but white space")
        if self.limits.errors == "replace" and "\ufffd" in text:
            self.report.repair(Reason.CHARACTER, self.source, f"{text.count(chr(0xFFFD)):,} times U+FFFD")
        return text

    def lines(self) -> Iterator[tuple[int, bytes | LongLine]]:
        """Its lines, numbered from 1, with their ends; one that is too long as a :class:`LongLine`.

        No more than one line of ``max_line_bytes`` is in memory at a time (UTF-16 and UTF-32 files, which have no
        plain line ends, are read whole). A byte-order mark is taken off.

        Raises:
            UnreadableError: as :meth:`open`; or the file begins with null bytes, or unpacks to more than
                ``max_expanded_bytes``.
        """
        with self.open() as stream:
            first = stream.readline(self.limits.max_line_bytes + 1)
            encoding, skip = marked(first)
            if is_wide(encoding or self.limits.encoding):
                rest = stream.read(self.limits.max_file_bytes)
                text = decode(first + rest, encoding=self.limits.encoding, errors=self.limits.errors)
                yield from self._capped(io.BytesIO(text.encode(self._line_encoding, "surrogatepass")), b"")
                return
            if b"\0" in first[:1024] and len(first) <= self.limits.max_line_bytes:
                raise UnreadableError(Reason.BINARY, f"null byte at offset {first.find(0)}")
            yield from self._capped(stream, first[skip:])

    @property
    def _line_encoding(self) -> str:
        return "utf-8" if is_wide(self.limits.encoding) else self.limits.encoding

    def decode_line(self, line: bytes, *, errors: str) -> str:
        """One line of :meth:`lines` as text.

        Raises:
            UnicodeDecodeError: ``errors`` is strict and there are bytes that the encoding does not know.
        """
        return line.decode(self._line_encoding, errors)

    def _capped(self, stream: ByteStream, line: bytes) -> Iterator[tuple[int, bytes | LongLine]]:
        most, total, number = self.limits.max_line_bytes, 0, 0
        while line := line or stream.readline(most + 1):
            number += 1
            size, quotes = len(line), 0
            if size > most:
                while line and not line.endswith(b"\n"):
                    quotes += line.count(b'"')
                    line = stream.readline(1 << 20)
                    size += len(line)
                yield number, LongLine(size, quotes + line.count(b'"'))
            else:
                yield number, line
            line, total = b"", total + size
            if self.packed and total > self.limits.max_expanded_bytes:
                raise UnreadableError(
                    Reason.TOO_LARGE, f"unpacks to more than {self.limits.max_expanded_bytes:,} bytes"
                )
