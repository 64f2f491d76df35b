"""Plain text: one document a file."""

from __future__ import annotations

from collections.abc import Iterator

from nestvec.core import Record
from nestvec.inputs.incoming import Incoming


def read_txt(incoming: Incoming) -> Iterator[Record]:
    """One record, without a title.

    Raises:
        UnreadableError: see :meth:`Incoming.text`.
    """
    yield Record(incoming.name, incoming.text(), metadata={"source": incoming.source})
