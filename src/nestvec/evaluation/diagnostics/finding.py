"""What a diagnostic says: figures, what is usual, what they mean, and what to do."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nestvec.core.types import JSON


@dataclass(frozen=True)
class Figure:
    """One number.

    Args:
        name: in the field's words.
        value: NaN where there was nothing to measure.
        interval: of 95 %, where a sample stands for the whole; else None.
        note: a few words to read it by.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    note: str = ""

    def __str__(self) -> str:
        around = "" if self.interval is None else f" [{', '.join(map(_short, self.interval))}]"
        return f"{_short(self.value)}{around}" + (f"  {self.note}" if self.note else "")

    def to_json(self) -> dict[str, JSON]:
        """Plain data; None for a value that JSON cannot hold."""
        low, high = self.interval or (None, None)
        return {
            "name": self.name,
            "value": _finite(self.value),
            "low": _finite(low),
            "high": _finite(high),
            "note": self.note,
        }


@dataclass(frozen=True)
class Finding:
    """One diagnostic.

    Args:
        name: one word, for programs.
        title: what was asked.
        figures: what was measured.
        basis: on how much of the data.
        usual: what other data gave, and which.
        meaning: what these figures say.
        advice: what to do; empty where there is nothing to do.
    """

    name: str
    title: str
    figures: tuple[Figure, ...]
    basis: str
    usual: str
    meaning: str
    advice: str = ""

    def __getitem__(self, name: str) -> float:
        """The value of a figure by its name."""
        return next(figure.value for figure in self.figures if figure.name == name)

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "figures": [figure.to_json() for figure in self.figures],
            "basis": self.basis,
            "usual": self.usual,
            "meaning": self.meaning,
            "advice": self.advice,
        }


@dataclass(frozen=True)
class Report:
    """Everything that was found.

    Args:
        name: of what was looked at.
        n: vectors.
        dim: ``d``.
        findings: in the order in which they are best read.
        skipped: name and reason of what could not be measured.
    """

    name: str
    n: int
    dim: int
    findings: tuple[Finding, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    def __getitem__(self, name: str) -> Finding:
        """A finding by its name."""
        return next(finding for finding in self.findings if finding.name == name)

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return {
            "of": self.name,
            "vectors": self.n,
            "dim": self.dim,
            "findings": [finding.to_json() for finding in self.findings],
            "skipped": [{"name": name, "reason": reason} for name, reason in self.skipped],
        }


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "not measurable" if math.isnan(value) else "infinite"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
