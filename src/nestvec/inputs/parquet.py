"""Parquet: one document a row. Needs the extra ``parquet``."""

from __future__ import annotations

import io
from collections.abc import Iterator

from nestvec.core import Record
from nestvec.core.errors import MissingExtraError
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.report import Reason
from nestvec.inputs.rows import row_record

ROWS = 1024
"""Rows held in memory at a time."""


def read_parquet(incoming: Incoming) -> Iterator[Record]:
    """One record a row; rows are numbered from 1.

    Raises:
        MissingExtraError: pyarrow is not installed.
        UnreadableError: see :meth:`Incoming.open`; or the file is damaged or has no rows.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as cause:
        raise MissingExtraError("reading Parquet files", "parquet") from cause
    number = 0
    try:
        with incoming.open() as stream:
            # Parquet is read from its end, so a packed one has to be unpacked first
            seekable = io.BytesIO(incoming.data()) if incoming.packed else stream
            if not seekable.read(1):
                raise UnreadableError(Reason.EMPTY, "0 bytes")
            for batch in pq.ParquetFile(seekable).iter_batches(batch_size=ROWS):
                for row in batch.to_pylist():
                    number += 1
                    where = f"{incoming.name}:{number}"
                    try:
                        yield row_record(
                            row,
                            fallback_id=where,
                            source=incoming.source,
                            fields=incoming.fields,
                            report=incoming.report,
                        )
                    except UnreadableError as cause:
                        incoming.skip(cause.reason, cause.detail, where=where)
    except (pa.ArrowException, UnicodeDecodeError) as cause:
        raise UnreadableError(Reason.DAMAGED, str(cause)) from cause
    if not number:
        raise UnreadableError(Reason.EMPTY, "no rows")
