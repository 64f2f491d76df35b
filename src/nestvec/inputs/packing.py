"""Sentences to passages: the longest runs that fit, cut at the best joint, with some overlap."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from nestvec.core.protocols import TokenCounter
from nestvec.inputs.structure import Atom, atoms, rows, words

BATCH = 4096
"""Pieces of one document that are counted in one call."""


class Passage(NamedTuple):
    """A span of the document, and the headings in force where its own text (not the overlap) begins."""

    start: int
    end: int
    heading: tuple[str, ...]


class Sized(NamedTuple):
    """A piece and its tokens."""

    atom: Atom
    tokens: int


def pack(text: str, *, room: int, overlap: int, count: TokenCounter) -> list[Passage]:
    """Spans of ``text`` of at most ``room`` tokens (by the sum over their pieces), covering all of it.

    Args:
        text: a document.
        room: tokens that a passage may have, at least 1.
        overlap: tokens that a passage repeats of the one before, where the cut is inside a section.
        count: counts tokens.
    """
    packer = _Packer(text, room, min(overlap, room // 4), count)
    for piece in _sized(text, atoms(text), room, count):
        packer.add(piece)
    packer.close(everything=True)
    return packer.done


def _sized(text: str, pieces: Iterator[Atom], room: int, count: TokenCounter) -> Iterator[Sized]:
    """Pieces with their tokens; those larger than ``room`` as lines, words, or parts of words."""
    while batch := list(islice(pieces, BATCH)):
        for atom, tokens in zip(batch, count([text[a.start : a.end] for a in batch]), strict=True):
            if tokens <= room or atom.end - atom.start == 1:
                yield Sized(atom, tokens)
            else:
                yield from _sized(text, _smaller(text, atom), room, count)


def _smaller(text: str, atom: Atom) -> Iterator[Atom]:
    for finer in (rows, words):
        pieces = finer(text, atom)
        first = next(pieces)
        if first.end < atom.end:
            yield first
            yield from pieces
            return
    middle = (atom.start + atom.end) // 2
    yield atom._replace(end=middle)
    yield atom._replace(start=middle, opens=False)


class _Packer:
    """Takes pieces one by one. ``lead`` of those at hand are overlap, and belong to the passage before."""

    def __init__(self, text: str, room: int, overlap: int, count: TokenCounter) -> None:
        self.text, self.room, self.overlap, self.count = text, room, overlap, count
        self.done: list[Passage] = []
        self.hand: list[Sized] = []
        self.last: list[Sized] = []  # the pieces of the passage that was given out last
        self.lead = 0
        self.tokens = 0
        self.top = 99  # the outermost level of heading that came so far

    def add(self, piece: Sized) -> None:
        """Put one more piece to those at hand, after closing passages until it fits."""
        level = piece.atom.level
        self.top = min(self.top, level or self.top)
        # a section begins a new passage if the one before is not too small to stand alone
        full_enough = self.tokens * 4 > self.room * (2 if level <= self.top + 1 else 3)
        if level and full_enough and not self._only_headings():
            self.close(everything=True)
        while self.tokens + piece.tokens > self.room and len(self.hand) > self.lead:
            self.close(everything=False)
            if len(self.hand) == self.lead:
                self._overlap_before(piece)
        while self.hand and self.tokens + piece.tokens > self.room:  # only overlap is left, and it has to give way
            self.tokens -= self.hand.pop(0).tokens
            self.lead -= 1
        self.hand.append(piece)
        self.tokens += piece.tokens

    def close(self, *, everything: bool) -> None:
        """Give out a passage: all at hand, or up to the best place to cut; the rest stays at hand."""
        if len(self.hand) == self.lead:
            return
        cut = len(self.hand) if everything else self._best_cut()
        gone, self.hand = self.hand[:cut], self.hand[cut:]
        self.done.append(Passage(gone[0].atom.start, gone[-1].atom.end, gone[self.lead].atom.heading))
        self.last, self.lead = gone, 0
        self.tokens = sum(piece.tokens for piece in self.hand)
        if self.hand and not everything:
            self._overlap_before(self.hand[0])

    def _only_headings(self) -> bool:
        return all(piece.atom.level for piece in self.hand[self.lead :])

    def _best_cut(self) -> int:
        """How many of the pieces at hand make the passage.

        A heading does not stay behind without its section; a paragraph is kept whole if that leaves the passage
        more than half full.
        """
        end = len(self.hand)
        while end > self.lead + 1 and self.hand[end - 1].atom.level:
            end -= 1
        if self.hand[end - 1].atom.level:  # nothing but headings: they have to stand alone
            return len(self.hand)
        if end < len(self.hand):
            return end
        used = self.tokens
        for i in range(len(self.hand) - 1, self.lead, -1):
            used -= self.hand[i].tokens
            if used * 2 <= self.room:
                break
            if self.hand[i].atom.opens and not self.hand[i - 1].atom.level:
                return i
        return end

    def _overlap_before(self, piece: Sized) -> None:
        """Repeat the end of the passage before ahead of ``piece``, unless a section begins with it."""
        if piece.atom.level or not self.overlap:
            return
        left = min(self.overlap, self.room - self.tokens)
        tail: list[Sized] = []
        for old in reversed(self.last):
            if old.atom.level:
                break
            if old.tokens > left:
                tail += self._last_words(old, left) if not tail else []
                break
            tail.append(old)
            left -= old.tokens
        if tail and tail[-1].atom.start == self.last[0].atom.start:  # a passage never repeats all of the one before
            tail.pop()
        self.hand[:0] = tail[::-1]
        self.lead = len(tail)
        self.tokens += sum(old.tokens for old in tail)

    def _last_words(self, piece: Sized, left: int) -> list[Sized]:
        """Of a sentence longer than the overlap, the words at its end that fit, last first."""
        if left < 1 or piece.atom.end - piece.atom.start > 100 * self.room:
            return []
        last = list(words(self.text, piece.atom))[1:][-left:]
        out: list[Sized] = []
        for atom, n in zip(last[::-1], self.count([self.text[a.start : a.end] for a in last[::-1]]), strict=True):
            left -= n
            if left < 0:
                break
            out.append(Sized(atom._replace(opens=False), n))
        return out
