"""One hit as a person wants to see it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from nestvec.core.errors import InputError
from nestvec.core.record import Place, Record
from nestvec.core.types import JSON
from nestvec.search.explaining import Explanation

_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True)
class Result:
    """A record that was found.

    Args:
        record: the record, a passage of a longer document as often as not.
        score: how well it fits; higher is better, and comparable only within one search.
        rid: its row id.
    """

    record: Record
    score: float
    rid: int
    _why: Callable[[], Explanation] | None = field(default=None, repr=False, compare=False)

    @property
    def id(self) -> str:
        """Id of the record."""
        return self.record.id

    @property
    def text(self) -> str:
        """Its text."""
        return self.record.text

    @property
    def title(self) -> str:
        """Title of the document."""
        return self.record.title

    @property
    def metadata(self) -> Mapping[str, JSON]:
        """Its metadata."""
        return self.record.metadata

    @property
    def place(self) -> Place | None:
        """Where in its document it stands; None for a record that is a whole document."""
        return self.record.place

    @property
    def document(self) -> str:
        """Id of the document that it is, or is a passage of."""
        return self.record.place.parent if self.record.place else self.record.id

    def explain(self) -> Explanation:
        """Which token of the query was matched with which token of it; see :meth:`Collection.explain`.

        The collection must still be open. If the record was replaced since, it is the new one that is explained.

        Raises:
            InputError: it was not found by meaning.
            NotFoundError: the record was deleted since.
        """
        if self._why is None:
            raise InputError("a result must come of a search by meaning to be explained, got one that does not.")
        return self._why()

    def snippet(self, query: str = "", *, width: int = 160) -> str:
        """The stretch of its text that shares most words with ``query``, on one line, about ``width`` characters."""
        words = {word.casefold() for word in _WORD.findall(query) if len(word) > 2}
        sentences = [s for s in (" ".join(s.split()) for s in _SENTENCE.split(self.text)) if s]
        if not sentences:
            return ""
        shared = [len(words & {w.casefold() for w in _WORD.findall(s)}) for s in sentences]
        at = shared.index(max(shared))
        text = sentences[at]
        for following in sentences[at + 1 :]:
            if len(text) + len(following) >= width:
                break
            text = f"{text} {following}"
        return text if len(text) <= width else text[: width - 1].rsplit(" ", 1)[0] + "…"

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        place: JSON = None
        if self.place is not None:
            place = {
                "start": self.place.start,
                "end": self.place.end,
                "number": self.place.number,
                "heading": list(self.place.heading),
            }
        return {
            "id": self.id,
            "document": self.document,
            "score": round(self.score, 6),
            "title": self.title,
            "text": self.text,
            "place": place,
            "metadata": dict(self.metadata),
        }
