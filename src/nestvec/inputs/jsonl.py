"""JSON Lines: one object a line, one document an object."""

from __future__ import annotations

import json
from collections.abc import Iterator

from nestvec.core import Record
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming, LongLine
from nestvec.inputs.report import Reason
from nestvec.inputs.rows import row_record


def read_jsonl(incoming: Incoming) -> Iterator[Record]:
    """One record a line; a line that cannot be read is reported with its number and passed over.

    Raises:
        UnreadableError: see :meth:`Incoming.lines`; or there is nothing but white space.
    """
    some = False
    for number, line in incoming.lines():
        if isinstance(line, bytes) and not line.strip():
            continue
        some = True
        where = f"{incoming.name}:{number}"
        try:
            yield row_record(
                _parse(incoming, line),
                fallback_id=where,
                source=incoming.source,
                fields=incoming.fields,
                report=incoming.report,
            )
        except UnreadableError as cause:
            incoming.skip(cause.reason, cause.detail, where=where)
    if not some:
        raise UnreadableError(Reason.EMPTY, "no line with anything on it")


def _parse(incoming: Incoming, line: bytes | LongLine) -> dict[str, object]:
    if isinstance(line, LongLine):
        raise UnreadableError(Reason.LINE_TOO_LONG, f"{line.size:,} bytes; raise Limits.max_line_bytes to read it")
    try:
        row = json.loads(incoming.decode_line(line, errors=incoming.limits.errors))
    except UnicodeDecodeError as cause:
        raise UnreadableError(
            Reason.ENCODING, f"byte 0x{line[cause.start]:02x} at offset {cause.start} of the line"
        ) from cause
    except RecursionError as cause:
        raise UnreadableError(Reason.TOO_DEEP, "deeper than the JSON parser goes") from cause
    except ValueError as cause:  # JSONDecodeError, and a number of thousands of digits
        raise UnreadableError(Reason.BROKEN_JSON, str(cause)) from cause
    if not isinstance(row, dict):
        raise UnreadableError(Reason.NOT_AN_OBJECT, f"a line must be an object {{...}}, got {type(row).__name__}")
    return row
