"""The same front as a PNG, for slides and papers; drawn by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nestvec.apps.explore.front import axes, floor_of, ticks
from nestvec.core.errors import MissingExtraError
from nestvec.planner.result import Plan, Row

_GREY, _BLUE, _ORANGE = "#b4bcc6", "#2b6cb0", "#c2410c"


def save(plan: Plan, path: Path) -> None:
    """Write the picture.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patheffects import withStroke
    except ImportError as cause:
        raise MissingExtraError("A picture of a plan as PNG", "plot") from cause
    drawn = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(drawn)
    bottom, front = floor_of(plan), {id(row) for row in plan.front()}
    shown = [row for row in plan.rows if row.share >= bottom and row is not plan.choice]
    shown.sort(key=lambda row: (row.low is not None, id(row) in front))  # the grey ones below
    for axis, place in zip(axes(plan), drawn.subplots(1, 2, sharey=True), strict=True):
        for row in shown:
            _point(place, row, axis.of(row), bottom, _GREY if row.low is None and id(row) not in front else _BLUE)
        _point(place, plan.choice, axis.of(plan.choice), bottom, _ORANGE)
        least, most = (end(axis.of(row) for row in [*shown, plan.choice]) for end in (min, max))
        right = axis.of(plan.choice) > (least * most) ** 0.5  # beyond the middle of a logarithmic scale
        place.annotate(
            plan.choice.label, (axis.of(plan.choice), plan.choice.share), (-8 if right else 8, 8), c=_ORANGE,
            textcoords="offset points", ha="right" if right else "left",
            path_effects=[withStroke(linewidth=3, foreground="white")], zorder=1,  # below the points
        )  # fmt: skip
        place.axhline(plan.rules.keep, c="#5b6672", ls="--", lw=0.8)
        if axis.limit:
            place.axvline(axis.limit, c="#5b6672", ls="--", lw=0.8)
        place.set(xscale="log", xlabel=axis.title, ylim=(bottom, None))
        marked = ticks(*place.get_xlim())
        place.set_xticks(marked, [axis.label(value) for value in marked])
        place.set_xticks([], minor=True)
        place.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
        place.grid(axis="y", c="#e5e9ed", lw=0.7)
        place.set_axisbelow(True)
        place.spines[["top", "right"]].set_visible(False)
    drawn.axes[0].set_ylabel(f"kept {plan.target}")
    drawn.savefig(path, dpi=150)


def _point(place: Any, row: Row, x: float, bottom: float, colour: str) -> None:
    """Filled with its bound if it was judged, a ring with its error on the front, a grey dot elsewhere."""
    judged, grey = row.low is not None, colour == _GREY
    shape = "o" if row.candidate.vectors is None else "s"
    place.plot(
        [x], [row.share], shape, ms=8 if colour == _ORANGE else 3 if grey else 5, c=colour, alpha=0.6 if grey else 1,
        mfc=colour if judged or grey else "white", mew=0 if judged or grey else 1,
    )  # fmt: skip
    if not grey:
        low = row.low if row.low is not None else row.share - 2 * row.error
        place.plot([x, x], [max(low, bottom), row.share], c=colour, lw=1.2, alpha=0.7 if judged else 0.3, zorder=0)
