"""The Pareto front of a plan as a drawing: kept quality over memory, and over time to answer."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from nestvec.planner.result import Plan, Row
from nestvec.planner.words import amount, milliseconds, percent

_WIDTH, _HEIGHT = 450.0, 360.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 58.0, 16.0, 34.0, 46.0
_BELOW = 0.25  # how far below what is asked for the picture reaches: plans that bad are no choice


@dataclass(frozen=True)
class Axis:
    """One quantity over the width of a panel, in a logarithmic scale.

    Args:
        title: of the axis.
        of: the quantity.
        shown: for people.
        limit: what the budget allows, if anything.
    """

    title: str
    of: Callable[[Row], float]
    shown: Callable[[float], str]
    limit: float | None

    def label(self, value: float) -> str:
        """Of a tick: ``2 ms`` and not ``2.00 ms``."""
        return self.shown(value).replace(".00 ", " ").replace(".0 ", " ")


def axes(plan: Plan) -> tuple[Axis, Axis]:
    """Memory and time; the encoder is left out of the memory where it is the same for all."""
    same = plan.full.encoder if len({row.encoder for row in plan.rows}) == 1 else 0
    limit = float(plan.budget.ram - same) if plan.budget.ram is not None and plan.budget.ram > same else None
    return (
        Axis(
            "memory of the index" if same or not plan.full.encoder else "memory, encoder included",
            lambda row: float(row.ram - same), amount, limit,
        ),
        Axis("time to answer, 95th percentile", lambda row: row.p95, milliseconds, plan.budget.p95),
    )  # fmt: skip


def floor_of(plan: Plan) -> float:
    """Kept share at the bottom of the picture."""
    least = min(row.share for row in plan.rows)
    return max(0.0, math.floor(20 * max(least - 0.02, plan.rules.keep - _BELOW)) / 20)


def caption(plan: Plan) -> str:
    """What the picture shows."""
    hidden = sum(row.share < floor_of(plan) for row in plan.rows)
    more = f" {hidden} settings that keep less than {percent(floor_of(plan))} are not shown." if hidden else ""
    more = (" Squares: several vectors a record." if plan.several else "") + more
    return (
        f"Each point is a setting: what it keeps of the full size's {plan.target}, over what it costs. Filled: judged; "
        "the line reaches down to its lower bound. Rings and grey: seen with a few queries only; the line of a ring is "
        "two standard errors. Grey: another setting costs no more in memory and time and kept no less. Orange: the "
        "plan. Dashed: what was asked for." + more
    )


def drawing(plan: Plan) -> str:
    """The picture as SVG, with the colours of the page that it stands in."""
    parts = [_panel(plan, axis, shift=i * (_WIDTH + 10)) for i, axis in enumerate(axes(plan))]
    style = (
        "<style>.t{fill:var(--soft,#5b6672);font:12px system-ui,sans-serif}.n{fill:var(--ink,#1d232b)}"
        ".a{stroke:var(--line,#d9dee4)}.l{stroke:var(--soft,#5b6672);stroke-dasharray:4 4;opacity:.8}"
        ".e{fill:var(--back,#fff);stroke:var(--front,#2b6cb0)}.o{stroke:var(--front,#2b6cb0);opacity:.3}"
        ".g{fill:var(--point,#b4bcc6);opacity:.6}.f{fill:var(--front,#2b6cb0)}.w{stroke:var(--front,#2b6cb0);opacity:.55}"
        "text.c{paint-order:stroke;stroke:var(--back,#fff);stroke-width:4px}"
        ".c{fill:var(--chosen,#c2410c)}.v{stroke:var(--chosen,#c2410c);stroke-width:2}</style>"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * _WIDTH + 10:g} {_HEIGHT:g}" role="img" '
        f'aria-label="{escape(caption(plan))}">{style}{"".join(parts)}</svg>'
    )


def _panel(plan: Plan, axis: Axis, *, shift: float) -> str:
    bottom = floor_of(plan)
    top = max(1.0, *(row.share for row in plan.rows)) + 0.02
    shown = [row for row in plan.rows if row.share >= bottom]
    values = [axis.of(row) for row in shown] + ([axis.limit] if axis.limit else [])
    low, high = math.log10(min(values)) - 0.06, math.log10(max(values)) + 0.06

    def x(value: float) -> float:
        return _LEFT + (math.log10(value) - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return _TOP + (top - max(share, bottom)) / (top - bottom) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [_line(_LEFT, y(s), _WIDTH - _RIGHT, y(s), "a") + _text(_LEFT - 8, y(s) + 4, f"{100 * s:.0f} %", "end")
             for s in _steps(bottom, top)]  # fmt: skip
    for value in ticks(10**low, 10**high):
        parts += [_line(x(value), _HEIGHT - _BOTTOM, x(value), _HEIGHT - _BOTTOM + 4, "a")]
        parts += [_text(x(value), _HEIGHT - _BOTTOM + 18, axis.label(value), "middle")]
    parts += [_line(_LEFT, y(plan.rules.keep), _WIDTH - _RIGHT, y(plan.rules.keep), "l")]
    if axis.limit:
        parts.append(_line(x(axis.limit), _TOP, x(axis.limit), _HEIGHT - _BOTTOM, "l"))
    parts += _points(plan, shown, lambda row: x(axis.of(row)), y)
    parts.append(_text(_LEFT, 18.0, f"kept {plan.target}", "start", "t n"))
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, axis.title, "middle", "t n"))
    return f'<g transform="translate({shift:g} 0)">{"".join(parts)}</g>'


def _points(plan: Plan, shown: Sequence[Row], x: Callable[[Row], float], y: Callable[[float], float]) -> list[str]:
    """Grey ones below, then the front, then what was judged, the plan on top."""
    front = {id(row) for row in plan.front()}
    judged = [row for row in shown if row.low is not None and row is not plan.choice]
    open_ = [row for row in shown if row.low is None and id(row) in front]
    parts = [_dot(x(row), y(row.share), 2.6, "g", row, plan) for row in shown if row.low is None and row not in open_]
    for row in open_:
        parts += [_line(x(row), y(row.share) + 3.4, x(row), max(y(row.share - 2 * row.error), y(row.share) + 3.4), "o")]
        parts += [_dot(x(row), y(row.share), 3.2, "e", row, plan)]
    for row in judged:
        parts += [
            _line(x(row), y(row.share), x(row), y(row.low or 0.0), "w"),
            _dot(x(row), y(row.share), 3.6, "f", row, plan),
        ]
    row = plan.choice
    if row.low is not None:
        parts.append(_line(x(row), y(row.share), x(row), y(row.low), "v"))
    parts.append(_dot(x(row), y(row.share), 5.5, "c", row, plan))
    right = x(row) > _WIDTH * 0.6
    named = _text(x(row) + (-9 if right else 9), y(row.share) - 9, row.label, "end" if right else "start", "t c")
    return [named, *parts]  # the name hides nothing


def _dot(x: float, y: float, radius: float, kind: str, row: Row, plan: Plan) -> str:
    said = f"{row.label}: {amount(row.ram)}, {milliseconds(row.p95)}, keeps {percent(row.share)}"
    said += f", at least {percent(row.low)}" if row.low is not None else f" ({row.queries} queries)"
    said += f" of {plan.target}"
    if row.candidate.vectors is not None:
        half = 0.9 * radius  # a square of about the same area
        place = f'x="{x - half:.1f}" y="{y - half:.1f}" width="{2 * half:.2f}" height="{2 * half:.2f}"'
        return f'<rect class="{kind}" {place}><title>{escape(said)}</title></rect>'
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{escape(said)}</title></circle>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _text(x: float, y: float, text: str, anchor: str, kind: str = "t") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _steps(bottom: float, top: float) -> list[float]:
    """Shares to draw lines at."""
    step = 0.05 if top - bottom < 0.45 else 0.1 if top - bottom < 0.8 else 0.2
    first = math.ceil(round(bottom / step, 6))
    return [step * i for i in range(first, math.floor(top / step + 1e-9) + 1)]


def ticks(low: float, high: float) -> list[float]:
    """Round values, at most about six, two at least; in equal steps where no powers of ten lie between."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for parts in (tuple(range(1, 10)), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,)):
        found = [part * 10.0**decade for decade in decades for part in parts if low <= part * 10.0**decade <= high]
        if len(found) <= 6:
            break
    if len(found) > 1:
        return found
    for step in (part * 10.0**decade for decade in reversed(decades) for part in (0.5, 0.2, 0.1)):
        found = [step * i for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
        if len(found) > 2:
            return found
    return [low * 1.02, high / 1.02]
