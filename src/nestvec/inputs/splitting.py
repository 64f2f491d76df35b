"""Documents to passages that fit an encoder's window, cut where the text itself has its joints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from nestvec.core import Place, Record, Text
from nestvec.core.errors import InputError
from nestvec.core.protocols import TokenCounter
from nestvec.inputs.packing import Passage, pack
from nestvec.inputs.report import ReadReport, Reason

CHUNK_RECORDS = 1024
"""Documents whose tokens are counted in one call: enough that the call itself costs nothing."""

CHUNK_CHARACTERS = 4_000_000
"""Where a chunk ends early, so that long documents are not held many at a time."""

MAX_ROUNDS = 12
"""How often a document is cut anew, with less room, when its passages turn out too long. See :func:`_split`."""


def passages(
    records: Iterable[Record],
    *,
    budget: int,
    count: TokenCounter,
    overlap: int = 32,
    report: ReadReport | None = None,
) -> Iterator[Record]:
    """The same documents in the same order, those longer than ``budget`` tokens in pieces.

    A passage takes as much as fits, and is cut at a heading, else between paragraphs, else between sentences, else
    between lines, words, and last inside a word. Its text is exactly ``text[place.start:place.end]`` of its
    document, and every character that is not white space is in some passage. A document that fits is given out
    whole and under its own id; the pieces of one that does not are ``id#0``, ``id#1``, ... All keep title and
    metadata, and have a :class:`Place`.

    Args:
        records: documents. One that has a place already is a passage of something longer, and its pieces say so.
        budget: tokens of title and text together, at least 1: the ``window`` of an encoder.
        count: counts tokens of many texts at once: the ``count_tokens`` of an encoder.
        overlap: how many tokens of the passage before are repeated where a cut is inside a section, in whole
            sentences where one is short enough; at most a quarter of the room. 0 for none.
        report: told how many documents were split, and what was shortened.

    Raises:
        InputError: ``budget < 1`` or ``overlap < 0``.

    Cost: tokens are counted once for a document that fits, at most three times for one that does not; a document
    of fewer ASCII characters than ``budget`` is not counted at all. About a thousand documents are in memory.
    """
    if budget < 1:
        raise InputError(f"budget must be at least 1 token, got {budget}. Pass the encoder's window.")
    if overlap < 0:
        raise InputError(f"overlap must be at least 0 tokens, got {overlap}.")
    return _passages(iter(records), _Frame(budget, overlap, count, ReadReport() if report is None else report))


@dataclass(frozen=True)
class _Frame:
    budget: int
    overlap: int
    count: TokenCounter
    report: ReadReport


def _passages(records: Iterator[Record], frame: _Frame) -> Iterator[Record]:
    while chunk := list(_chunk(records)):
        unsure = [i for i, record in enumerate(chunk) if not _surely_fits(record.full_text, frame.budget)]
        counts = frame.count([chunk[i].full_text for i in unsure]) if unsure else []
        over = {i for i, n in zip(unsure, counts, strict=True) if n > frame.budget}
        for i, record in enumerate(chunk):
            pieces = _split(record, frame) if i in over else [_whole(record)]
            frame.report.passages += len(pieces)
            frame.report.split += len(pieces) > 1
            yield from pieces


def _chunk(records: Iterator[Record]) -> Iterator[Record]:
    size = 0
    for record in islice(records, CHUNK_RECORDS):
        yield record
        size += len(record.text)
        if size > CHUNK_CHARACTERS:
            return


def _surely_fits(text: str, budget: int) -> bool:
    # A token covers at least one ASCII character, and some tokenizers put one more before the first. Of other
    # characters this is not so: WordPiece takes a Hangul syllable apart into two or three tokens.
    return len(text) < budget and text.isascii()


def _whole(record: Record) -> Record:
    return record if record.place else replace(record, place=Place(record.id, 0, len(record.text)))


def _split(record: Record, frame: _Frame) -> list[Record]:
    """The pieces of one document.

    Tokens of pieces are added up while packing, which is exact only where tokens never cross white space. So the
    passages are counted as the encoder will see them, and packed again with less room if one is too long.
    """
    text = record.text
    titled, title_tokens = _fitting_title(record, frame)
    room = max(1, frame.budget - title_tokens)
    cut, aim = pack(text, room=room, overlap=frame.overlap, count=frame.count), room
    for _ in range(MAX_ROUNDS):
        pieces = _records(titled, text, cut)
        excess = max(frame.count([piece.full_text for piece in pieces])) - frame.budget
        if excess <= 0 or aim == 1:
            break
        aim = max(1, min(aim - excess, aim * 9 // 10))
        cut = pack(text, room=aim, overlap=frame.overlap, count=frame.count)
    for piece, n in zip(pieces, frame.count([p.full_text for p in pieces]) if excess > 0 else (), strict=False):
        if n > frame.budget:  # not even one character fits beside the title, or the counter is not monotone
            frame.report.repair(Reason.OVER_BUDGET, piece.id, f"{n} tokens, budget {frame.budget}")
    return pieces


def _fitting_title(record: Record, frame: _Frame) -> tuple[Record, int]:
    """The record with a title of at most half the budget, and the tokens that the title takes."""
    if not record.title:
        return record, 0
    tokens = frame.count([record.title])[0]
    most = frame.budget // 2
    if tokens <= most:
        return record, tokens
    kept = pack(record.title, room=max(1, most), overlap=0, count=frame.count)[:1] if most else []
    title = record.title[: kept[0].end] if kept else ""
    tokens = frame.count([title])[0] if title else 0
    if tokens > most:
        title, tokens = "", 0
    frame.report.repair(Reason.TITLE, record.id, f"to {tokens} tokens of a budget of {frame.budget}")
    # the encoder reads the short one; whoever shows a hit wants the whole
    return replace(record, title=title, metadata={**record.metadata, "full_title": record.title}), tokens


def _records(record: Record, text: str, cut: list[Passage]) -> list[Record]:
    """Passages as records. Only one passage (the rest was title or white space) keeps the document's id."""
    above = record.place or Place(record.id, 0, len(text))
    if len(cut) < 2:
        start, end = (cut[0].start, cut[0].end) if cut else (0, 0)
        place = replace(above, start=above.start + start, end=above.start + end)
        return [replace(record, content=(Text(text[start:end]),), place=place)]
    return [
        replace(
            record,
            id=f"{record.id}#{number}",
            content=(Text(text[piece.start : piece.end]),),
            place=Place(
                above.parent, above.start + piece.start, above.start + piece.end, above.heading + piece.heading, number
            ),
        )
        for number, piece in enumerate(cut)
    ]
