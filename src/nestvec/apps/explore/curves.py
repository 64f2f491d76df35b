"""Lines over a common axis as a drawing in SVG, in the colours of the page that they stand in."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

_WIDTH, _HEIGHT = 900.0, 230.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 130.0, 14.0, 40.0
_COLOURS = ("#2b6cb0", "#c2410c", "#2f855a", "#805ad5", "#b7791f", "#4a5568")
_STYLE = (
    "<style>.t{fill:var(--soft,#5b6672);font:12px system-ui,sans-serif}.n{fill:var(--ink,#1d232b)}"
    ".a{stroke:var(--line,#d9dee4)}.m{stroke:var(--soft,#5b6672);stroke-dasharray:3 4;opacity:.7}</style>"
)

Points = Sequence[tuple[float, float]]


def drawing(lines: Mapping[str, Points], *, x: str, y: str, marks: Sequence[float] = ()) -> str:
    """The picture.

    Args:
        lines: points of each line by its name, by rising x; all of them together at least one.
        x: title of the axis below.
        y: what the picture shows.
        marks: places on the axis below with a dashed line.
    """
    points = [point for line in lines.values() for point in line]
    left, right = _room(min(p[0] for p in points), max(p[0] for p in points))
    low, high = _room(min(p[1] for p in points), max(p[1] for p in points))

    def across(value: float) -> float:
        return _LEFT + (value - left) / (right - left) * (_WIDTH - _LEFT - _RIGHT)

    def up(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = []
    for value in _ticks(low, high):
        parts += [_line(_LEFT, up(value), _WIDTH - _RIGHT, up(value), "a")]
        parts += [_text(_LEFT - 8, up(value) + 4, f"{value:g}", "end")]
    parts += [_text(across(value), _HEIGHT - _BOTTOM + 18, f"{value:g}", "middle") for value in _ticks(left, right)]
    parts += [_line(across(mark), _TOP, across(mark), _HEIGHT - _BOTTOM, "m") for mark in marks]
    for i, (name, line) in enumerate(lines.items()):
        colour = _COLOURS[i % len(_COLOURS)]
        path = " ".join(f"{across(a):.1f},{up(b):.1f}" for a, b in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>')
        place = _TOP + 12 + 17 * i
        parts.append(
            f'<line x1="{_WIDTH - _RIGHT + 10:g}" x2="{_WIDTH - _RIGHT + 26:g}" y1="{place - 4:g}" y2="{place - 4:g}" '
            f'stroke="{colour}" stroke-width="3"/>' + _text(_WIDTH - _RIGHT + 32, place, name, "start", "t n")
        )
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x, "middle", "t n"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(y)}">{_STYLE}{"".join(parts)}</svg>'
    )


def _room(low: float, high: float) -> tuple[float, float]:
    """The same range with room around it, and never an empty one."""
    gap = (high - low) * 0.04 or max(abs(high), 1.0) * 0.1
    return low - gap, high + gap


def _ticks(low: float, high: float) -> list[float]:
    """Round values inside a range, three to eight of them."""
    step = 10.0 ** math.floor(math.log10((high - low) / 3))
    step = next(step * part for part in (1, 2, 5, 10) if (high - low) / (step * part) <= 8)
    return [round(step * i, 12) for i in range(math.ceil(low / step), math.floor(high / step) + 1)]


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "t") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
