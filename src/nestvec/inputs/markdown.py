"""Markdown: one document a file, its front matter taken off."""

from __future__ import annotations

import re
from collections.abc import Iterator

from nestvec.core import Record
from nestvec.core.types import JSON
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.report import Reason
from nestvec.inputs.structure import first_heading

_FRONT = re.compile(r"\A---[ \t]*\n(.*?)^(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_PAIR = re.compile(r"^([A-Za-z][\w-]*)[ \t]*:[ \t]*(\S.*?)[ \t]*$", re.MULTILINE)


def read_markdown(incoming: Incoming) -> Iterator[Record]:
    """One record. Title: that of the front matter, else the first heading.

    Of the front matter only lines of the form ``key: value`` are understood; they become metadata, as strings.

    Raises:
        UnreadableError: see :meth:`Incoming.text`; or there is nothing but front matter.
    """
    text = incoming.text()
    front: dict[str, JSON] = {}
    if found := _FRONT.match(text):
        front = {key: value.strip("\"'") for key, value in _PAIR.findall(found[1])}
        text = text[found.end() :]
        if not text.strip():
            raise UnreadableError(Reason.NO_TEXT, "nothing after the front matter")
    title = str(front.pop("title", "")) or first_heading(text)
    if "source" in front:
        front["source_column"] = front.pop("source")
    yield Record(incoming.name, text, metadata={"source": incoming.source, **front}, title=title)
