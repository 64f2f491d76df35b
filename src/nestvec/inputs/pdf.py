"""PDF: the text layer, one document a page, so that a hit can name its page."""

from __future__ import annotations

import io
import logging
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nestvec.core import Record
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.report import Reason
from nestvec.inputs.rows import clean_text

# A hostile or broken file reaches every corner of a PDF parser, and pypdf lets through whatever happens there.
# Not here, so that they are never taken for a bad file: MemoryError, KeyboardInterrupt, and errors of nestvec.
_BROKEN = (
    ArithmeticError, AssertionError, AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError,
    ValueError, zlib.error,
)  # fmt: skip

_logging = threading.Lock()


def read_pdf(incoming: Incoming) -> Iterator[Record]:
    """One record a page, with id ``name#p1`` and ``metadata["page"]``; the title is that of the document.

    Pages without text are reported, each. A page that cannot be read does not stop the ones after it.

    Raises:
        UnreadableError: see :meth:`Incoming.data`; or the file is encrypted or damaged, or no page has text.
    """
    data = incoming.data()
    complaints: list[str] = []
    reader, title, pages = _opened(data, complaints)
    some, blank = False, []
    for number in range(1, pages + 1):
        where = f"{incoming.name}#p{number}"
        try:
            text = _page_text(reader, number, complaints)
        except UnreadableError as cause:
            incoming.skip(cause.reason, cause.detail, where=where)
            some = True
            continue
        if not text.strip():
            blank.append(where)
            continue
        some = True
        metadata: dict[str, Any] = {"source": incoming.source, "page": number, "pages": pages}
        yield Record(where, text, metadata=metadata, title=title)
    if complaints:
        incoming.report.repair(Reason.PDF, incoming.source, f"{len(complaints)} warnings, first: {complaints[0]}")
    if not some:
        raise UnreadableError(Reason.NO_TEXT_LAYER, f"none of {pages} pages has text; it may be a scan")
    for where in blank:
        incoming.skip(Reason.NO_TEXT_LAYER, "a page without text", where=where)


@contextmanager
def _listening(complaints: list[str]) -> Iterator[None]:
    """Catch what pypdf logs, so that it reaches the report and not the standard error stream."""
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("pypdf")
    with _logging:  # one reading at a time changes the logger, and puts it back
        before = logger.propagate
        logger.addHandler(handler)
        logger.propagate = False
        try:
            yield
        finally:
            logger.propagate = before
            logger.removeHandler(handler)


def _opened(data: bytes, complaints: list[str]) -> tuple[Any, str, int]:
    """The reader, the title and the number of pages."""
    import pypdf
    from pypdf.errors import DependencyError, PyPdfError

    try:
        with _listening(complaints):
            reader = pypdf.PdfReader(io.BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):
                raise UnreadableError(Reason.ENCRYPTED, "it opens only with a password")
            pages = len(reader.pages)
            title = reader.metadata.title if reader.metadata else ""
    except UnreadableError:
        raise
    except DependencyError as cause:
        raise UnreadableError(Reason.ENCRYPTED, str(cause)) from cause
    except (PyPdfError, *_BROKEN) as cause:
        raise UnreadableError(Reason.DAMAGED, f"PDF: {type(cause).__name__}: {cause}") from cause
    return reader, " ".join(clean_text(str(title or "")).split()), pages


def _page_text(reader: Any, number: int, complaints: list[str]) -> str:
    from pypdf.errors import PyPdfError

    try:
        with _listening(complaints):
            return clean_text(reader.pages[number - 1].extract_text())
    except (PyPdfError, *_BROKEN) as cause:
        raise UnreadableError(Reason.DAMAGED, f"PDF: {type(cause).__name__}: {cause}") from cause
