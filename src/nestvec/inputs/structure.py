"""Where a text may be cut: headings, paragraphs, sentences. Offsets only; nothing is copied."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple


class Atom(NamedTuple):
    """The smallest piece that is kept whole while it fits: a heading or a sentence.

    Args:
        start: offset of its first character, never white space.
        end: offset after its last one, never white space.
        level: 0 for text, 1 for the outermost headings, 2 for the next, ...
        opens: whether a paragraph begins here (a heading always does).
        heading: the headings it stands under, outermost first, its own included if it is one.
    """

    start: int
    end: int
    level: int = 0
    opens: bool = False
    heading: tuple[str, ...] = ()


MAX_HEADING = 200
"""A longer line is a paragraph that happens to begin with ``#``, or stand above a rule."""

_LINE = re.compile(r"[^\n]+|\n")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+|$)")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}[ \t]*")
_WORD = re.compile(r"\S+")

# Every alternative is anchored at a place that is looked at once, so that time is linear in the text.
_BOUNDARY = re.compile(
    r"(?<=[.!?…。！？\"'”’)\]])\s++(?=[\"'“‘(\[«]?[^\W_a-z])"  # a stop, white space, and no small letter
    r"|(?<=[。！？])(?=[^\s。！？」』）])"  # no white space is needed after these
    r"|\n(?=[ \t]*+(?:[-*+•]|\d{1,3}[.)])[ \t])"  # an item of a list
)
_CLOSERS = "\"'”’)]"
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\[])(?:[A-Z]|e\.g|i\.e|cf|vs|al|etc|approx|ca|[Ff]igs?|[Ee]qs?|[Rr]efs?|[Ss]ec|[Cc]h|[Nn]o|[Vv]ol|pp?|"
    r"Dr|Mr|Mrs|Ms|Prof|St|Jr|Sr|Inc|Ltd|Co|Jan|Feb|Mar|Apr|Jun|Jul|Aug|Sept?|Oct|Nov|Dec)\.$"
)


def first_heading(text: str) -> str:
    """The first heading of a text; empty if it has none."""
    return next((atom.heading[-1] for atom in atoms(text) if atom.level), "")


def words(text: str, atom: Atom) -> Iterator[Atom]:
    """The pieces of ``atom`` between white space."""
    for found in _WORD.finditer(text, atom.start, atom.end):
        yield atom._replace(start=found.start(), end=found.end(), opens=atom.opens and found.start() == atom.start)


def rows(text: str, atom: Atom) -> Iterator[Atom]:
    """The lines of ``atom``: what a sentence without an end, such as a listing, is cut into first."""
    for found in _LINE.finditer(text, atom.start, atom.end):
        if trimmed := _trimmed(text, found.start(), found.end()):
            yield atom._replace(start=trimmed[0], end=trimmed[1], opens=atom.opens and trimmed[0] == atom.start)


def atoms(text: str) -> Iterator[Atom]:
    """Headings and sentences in order; together they hold every character that is not white space.

    Headings are lines after ``#`` signs (Markdown), and lines above a rule of punctuation, or between two
    (Markdown and reStructuredText). Inside a fence of code there are none.
    """
    state = _State(text)
    for line in _LINE.finditer(text):
        start, end = line.span()
        trimmed = _trimmed(text, start, end)
        if trimmed is None:
            # `\n` ends a line that had something on it; only one that had nothing ends a paragraph
            if text[start] != "\n" or start == 0 or text[start - 1] == "\n":
                yield from state.flush()
            continue
        if fence := _FENCE.match(text, start, end):
            state.fence = "" if state.fence and fence[1].startswith(state.fence) else state.fence or fence[1]
            state.lines.append(trimmed)
            continue
        if not state.fence and end - start <= MAX_HEADING:
            if atx := _ATX.match(text, start, end):
                yield from state.flush()
                yield state.heading(trimmed, text[atx.end() : trimmed[1]].rstrip("#").strip(), len(atx[1]))
                continue
            if underlined := state.underlined(trimmed):
                yield underlined
                continue
        state.lines.append(trimmed)
    yield from state.flush()


def _trimmed(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The span without white space at its ends, or None if nothing is left."""
    piece = text[start:end]
    left = len(piece) - len(piece.lstrip())
    return (start + left, start + len(piece.rstrip())) if left < len(piece) else None


@dataclass
class _State:
    text: str
    lines: list[tuple[int, int]] = field(default_factory=list)  # of the paragraph that is open
    path: list[tuple[int, str]] = field(default_factory=list)  # level and words of the headings in force
    rules: list[tuple[str, bool]] = field(default_factory=list)  # styles of underlining, in order of appearance
    fence: str = ""
    names: tuple[str, ...] = ()

    def flush(self) -> Iterator[Atom]:
        """The sentences of the open paragraph, which is closed."""
        if self.lines:
            start, end = self.lines[0][0], self.lines[-1][1]
            self.lines.clear()
            yield from _sentences(self.text, start, end, self.names)

    def heading(self, span: tuple[int, int], name: str, level: int) -> Atom:
        """A heading, which is in force from here on."""
        while self.path and self.path[-1][0] >= level:
            self.path.pop()
        self.path.append((level, name))
        self.names = tuple(name for _, name in self.path if name)
        return Atom(*span, level=level, opens=True, heading=self.names or ("",))

    def underlined(self, rule: tuple[int, int]) -> Atom | None:
        """The heading that the line at ``rule`` makes of the open paragraph, if it does."""
        mark = self.text[rule[0]]
        if not self.lines or not _RULE.fullmatch(self.text, *rule):
            return None
        over = len(self.lines) == 2 and bool(_RULE.fullmatch(self.text, *self.lines[0]))
        if over and self.text[self.lines[0][0]] != mark:
            return None
        name = self.text[slice(*self.lines[-1])]
        # docutils asks for a rule as long as the title; Markdown for any length, but only with = and -
        long_enough = rule[1] - rule[0] >= len(name) or mark in "=-"
        if len(self.lines) != 1 + over or not long_enough or len(name) > MAX_HEADING or _RULE.fullmatch(name):
            return None
        style = (mark, over)
        if style not in self.rules:
            self.rules.append(style)
        span = (self.lines[0][0], rule[1])
        self.lines.clear()
        return self.heading(span, name, self.rules.index(style) + 1)


def _sentences(text: str, start: int, end: int, heading: tuple[str, ...]) -> Iterator[Atom]:
    opens, here = True, start
    for found in _BOUNDARY.finditer(text, start, end):
        cut = found.start()
        if text[cut] != "\n" or text[cut - 1] in ".!?…" + _CLOSERS:
            before = text[max(here, cut - 12) : cut].rstrip(_CLOSERS)
            if not before or before[-1] not in ".!?…。！？" or (before[-1] == "." and _ABBREVIATION.search(before)):
                continue
        if trimmed := _trimmed(text, here, cut):
            yield Atom(*trimmed, opens=opens, heading=heading)
            opens = False
        here = found.end()
    if trimmed := _trimmed(text, here, end):
        yield Atom(*trimmed, opens=opens, heading=heading)
