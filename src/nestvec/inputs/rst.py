"""reStructuredText: one document a file."""

from __future__ import annotations

from collections.abc import Iterator

from nestvec.core import Record
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.structure import first_heading


def read_rst(incoming: Incoming) -> Iterator[Record]:
    """One record; its title is the first section title. Directives and roles are left as they stand.

    Raises:
        UnreadableError: see :meth:`Incoming.text`.
    """
    text = incoming.text()
    yield Record(incoming.name, text, metadata={"source": incoming.source}, title=first_heading(text))
