"""Bytes to text, without guessing."""

from __future__ import annotations

import codecs

from nestvec.core.errors import InputError
from nestvec.inputs.report import Reason

MARKS = (  # UTF-32 before UTF-16: the mark of the one begins with the mark of the other
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


class UnreadableError(InputError):
    """One file, or what is left of it, cannot be read. Caught in :func:`read`, which reports it and goes on.

    Args:
        reason: the kind of trouble.
        detail: what exactly, for the report.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else str(reason))
        self.reason = reason
        self.detail = detail


def marked(data: bytes) -> tuple[str, int]:
    """The encoding that a byte-order mark at the start of ``data`` declares, and its length; ``("", 0)`` if none."""
    return next(((name, len(mark)) for mark, name in MARKS if data.startswith(mark)), ("", 0))


def is_wide(encoding: str) -> bool:
    """Whether ASCII characters take more than one byte, so that a line does not end at the line end."""
    return codecs.lookup(encoding).name.startswith(("utf-16", "utf-32"))


def decode(data: bytes, *, encoding: str, errors: str) -> str:
    """Text with line ends made those of Unix. A byte-order mark wins over ``encoding``.

    Raises:
        UnreadableError: there are null bytes, or bytes that the encoding does not know while ``errors`` is strict.
    """
    declared, skip = marked(data)
    encoding = declared or encoding
    if not is_wide(encoding) and (null := data.find(b"\0")) >= 0:
        raise UnreadableError(Reason.BINARY, f"null byte at offset {null}")
    try:
        text = data[skip:].decode(encoding, errors)
    except UnicodeDecodeError as cause:
        where = f"byte 0x{cause.object[cause.start]:02x} at offset {cause.start + skip} is not {encoding}"
        raise UnreadableError(Reason.ENCODING, where) from cause
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text
