"""Queries where nobody wrote any: titles and first sentences of the records, each to find what is near its own."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from nestvec.core.record import Record
from nestvec.core.types import Int64
from nestvec.evaluation.lexical import sentences

_WORDS = range(3, 41)  # of a query: fewer say little, more are no query
_WORD = re.compile(r"\w+")


def from_records(records: Sequence[Record], count: int, *, seed: int = 0) -> tuple[list[str], Int64[np.ndarray, " q"]]:
    """Queries made of records drawn at random, and the position of the record that each was made of.

    Every other query is a title, where the record has one of three words or more that is not its id; the others are the
    first sentence of at least three words. Records that give neither are passed over, and equal queries come once.

    Args:
        records: all that may be drawn.
        count: how many queries at most.
        seed: of the draw.
    """
    found: dict[str, int] = {}
    for i in np.random.default_rng(seed).permutation(len(records)).tolist():
        if len(found) == count:
            break
        options = [_title(records[i]), _sentence(records[i])]
        text = next((t for t in (options if len(found) % 2 == 0 else options[::-1]) if t), "")
        if text:
            found.setdefault(text, i)
    return list(found), np.array(list(found.values()), np.int64)


def _title(record: Record) -> str:
    title = " ".join((record.title or "").split())
    return title if title != record.id and len(_WORD.findall(title)) in _WORDS else ""


def _sentence(record: Record) -> str:
    """The first sentence that could be a query, cut to as many words."""
    for piece in sentences(record.text[:4000]):
        words = piece.split()
        if len(_WORD.findall(piece)) >= _WORDS.start:
            return " ".join(words[: _WORDS.stop - 1])
    return ""
