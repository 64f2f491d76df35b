"""A token of a text, as people can read it: what one of several vectors stands for."""

from __future__ import annotations

from dataclasses import dataclass

from nestvec.core.types import JSON


@dataclass(frozen=True)
class Token:
    """One token that an encoder has read.

    Args:
        text: as the text has it; the name of a token that stands in no text, such as ``[MASK]``.
        word: the whole word that it is a piece of; ``text`` itself where it is a word of its own.
        start: where it begins in the text, in characters; -1 where it does not stand there: special tokens, those of
            an instruction, and those that are put after a query.
        end: where it ends; -1 likewise.
        word_start: where its word begins; -1 likewise.
    """

    text: str
    word: str
    start: int = -1
    end: int = -1
    word_start: int = -1

    @property
    def in_text(self) -> bool:
        """Whether it stands in the text itself."""
        return self.start >= 0

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {"text": self.text, "word": self.word, "start": self.start, "end": self.end}
