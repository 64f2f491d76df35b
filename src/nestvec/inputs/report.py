"""What a reading has seen, made, repaired and passed over. Counts are exact; examples are few."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple


class Reason(StrEnum):
    """Why something was passed over, or what was mended. A fixed list, so that a report stays small."""

    BINARY = "binary data"
    BROKEN_JSON = "broken JSON"
    BROKEN_ROW = "broken row"
    DAMAGED = "damaged"
    DUPLICATE_CONTENT = "duplicate content"
    DUPLICATE_ID = "duplicate id"
    EMPTY = "empty"
    ENCODING = "undecodable bytes"
    ENCRYPTED = "encrypted"
    HIDDEN = "hidden"
    LINE_TOO_LONG = "line too long"
    LOOP = "directory loop"
    MISSING_EXTRA = "missing extra"
    NO_DOCSTRINGS = "no docstrings"
    NO_SOURCE = "no source code"
    NO_TEXT = "no text"
    NO_TEXT_LAYER = "no text layer"
    NOT_A_FILE = "not a regular file"
    NOT_AN_OBJECT = "not an object"
    TEST_CODE = "test code"
    TOO_DEEP = "nested too deeply"
    TOO_LARGE = "too large"
    UNKNOWN_TYPE = "unknown type"
    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    # repairs
    CHARACTER = "character replaced"
    ID = "id replaced"
    OVER_BUDGET = "passage over budget"
    PDF = "PDF read with warnings"
    TITLE = "title shortened"


class Example(NamedTuple):
    """One case: where it was, and what about it."""

    where: str
    detail: str


@dataclass
class Tally:
    """How often, and the first few cases."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)


MAX_SUFFIXES = 100
"""Different unknown suffixes that are counted apart; the rest are counted together, so that memory is bounded."""


@dataclass
class ReadReport:
    """Counts everything that a reading met. Hand one to :func:`read` and the same one to :func:`passages`.

    It grows while the stream is consumed and is complete when the stream has ended. One report may serve several
    readings; it then holds their sum.

    Args:
        max_examples: how many cases of each reason are kept; the counts are exact all the same.

    Attributes:
        files: files (or Python modules) that were opened.
        documents: whole documents that were given out.
        passages: records that :func:`passages` gave out, whole documents among them.
        split: documents that did not fit the budget and became several passages.
        duplicates: documents with the text of an earlier one, given out or not.
        skipped: what was passed over, by reason.
        repaired: what was given out after a change, by kind.
        unknown_types: files passed over as ``unknown type``, by suffix.
    """

    max_examples: int = 5
    files: int = 0
    documents: int = 0
    passages: int = 0
    split: int = 0
    duplicates: int = 0
    skipped: dict[str, Tally] = field(default_factory=dict)
    repaired: dict[str, Tally] = field(default_factory=dict)
    unknown_types: dict[str, int] = field(default_factory=dict)

    def skip(self, reason: Reason, where: str, detail: str = "") -> None:
        """Count one thing that was passed over."""
        self._add(self.skipped, reason, where, detail)

    def repair(self, reason: Reason, where: str, detail: str = "") -> None:
        """Count one thing that was changed before it was given out."""
        self._add(self.repaired, reason, where, detail)

    def skip_type(self, suffix: str, where: str) -> None:
        """Count one file of a type that no reader knows."""
        shown = suffix or "(none)"
        if shown not in self.unknown_types and len(self.unknown_types) >= MAX_SUFFIXES:
            shown = "(other)"
        self.unknown_types[shown] = self.unknown_types.get(shown, 0) + 1
        self.skip(Reason.UNKNOWN_TYPE, where, f"no reader for files ending in {suffix!r}" if suffix else "no suffix")

    @property
    def lost(self) -> int:
        """Things passed over, not counting hidden files and duplicates."""
        quiet = {Reason.HIDDEN, Reason.DUPLICATE_CONTENT}
        return sum(tally.count for reason, tally in self.skipped.items() if reason not in quiet)

    def lines(self) -> list[str]:
        """The report for people, one fact a line, most frequent reason first."""
        out = [f"{self.files:,} files, {self.documents:,} documents"]
        if self.passages:
            out[0] += f", {self.passages:,} passages ({self.split:,} documents were split)"
        for word, tallies in (("skipped", self.skipped), ("repaired", self.repaired)):
            for reason, tally in sorted(tallies.items(), key=lambda item: (-item[1].count, item[0])):
                out.append(f"{word} {tally.count:,}: {reason}")
                if reason == Reason.UNKNOWN_TYPE:
                    out[-1] += f" ({', '.join(f'{n:,} {suffix}' for suffix, n in sorted(self.unknown_types.items()))})"
                if reason == Reason.HIDDEN:  # counted for completeness; nobody wants to see the insides of .git
                    continue
                out += [f"  {where}" + (f": {detail}" if detail else "") for where, detail in tally.examples]
                if tally.count > len(tally.examples):
                    out.append(f"  and {tally.count - len(tally.examples):,} more")
        return out

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def to_json(self) -> dict[str, Any]:
        """The report for programs; only JSON values."""
        counts: dict[str, Any] = {
            name: getattr(self, name) for name in ("files", "documents", "passages", "split", "duplicates")
        }
        for name in ("skipped", "repaired"):
            counts[name] = {
                str(reason): {"count": tally.count, "examples": [example._asdict() for example in tally.examples]}
                for reason, tally in getattr(self, name).items()
            }
        return counts | {"unknown_types": dict(self.unknown_types)}

    def _add(self, tallies: dict[str, Tally], reason: Reason, where: str, detail: str) -> None:
        tally = tallies.setdefault(reason, Tally())
        tally.count += 1
        if len(tally.examples) < self.max_examples:
            # a detail may quote the data, and the data may be a very long line with stray surrogates
            clean = (part.encode("utf-8", "backslashreplace").decode() for part in (where[:500], detail[:500]))
            tally.examples.append(Example(*clean))
