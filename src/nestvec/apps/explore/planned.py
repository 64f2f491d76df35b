"""A plan as sections of a page."""

from __future__ import annotations

import json

from nestvec.apps.explore import front
from nestvec.apps.explore.page import Table, figure, folded, page, paragraph, preformatted
from nestvec.planner.result import Plan, Row
from nestvec.planner.words import amount, is_asked_for, milliseconds, percent, sentences

_COLUMNS = ("setting", "made", "index", "encoder", "disk", "p50", "p95", "kept", "at least")


def whole_page(plan: Plan, *, title: str) -> str:
    """A page of its own."""
    return page(title, under(plan), [body(plan)])


def under(plan: Plan) -> str:
    """What was asked for, in a line."""
    asked = [f"keep {percent(plan.rules.keep)}"]
    asked += [f"memory {amount(plan.budget.ram)}"] if plan.budget.ram else []
    asked += [f"disk {amount(plan.budget.disk)}"] if plan.budget.disk else []
    asked += [f"{name} {milliseconds(value)}" for name in ("p50", "p95") if (value := getattr(plan.budget, name))]
    return f"Asked for: {', '.join(asked)}. {plan.facts['records']:,} records, {plan.queries:,} queries."


def body(plan: Plan) -> str:
    """Sentences, the picture, tables, and what it takes to make the plan again."""
    first, *rest = sentences(plan)
    facts = {key: value for key, value in plan.to_json().items() if key != "settings"}
    return "".join(
        [
            paragraph(first, "lead"),
            *(paragraph(text) for text in rest),
            figure(front.drawing(plan), front.caption(plan)),
            finalists(plan).html(),
            paragraph(
                "at least: lower bounds that hold for all rows of this table at once. "
                f"{plan.target}, new: where the score on {plan.queries} other queries lies, also for all at once. "
                "Times are from a query's text to its answer."
                + ("" if all(row.timed for row in plan.finalists) else " Times in brackets are computed."),
                "soft",
            ),
            folded(f"All {len(plan.rows)} settings", everything(plan).html()),
            folded("What it takes to make this plan again", preformatted(json.dumps(facts, indent=2))),
        ]
    )


def finalists(plan: Plan) -> Table:
    """What was judged, cheapest first."""
    rows = plan.finalists
    cells = [[*_cells(row), f"{row.mean:.3f}", "{:.3f} – {:.3f}".format(*row.interval or (0, 0))] for row in rows]
    marked = next((i for i, row in enumerate(rows) if row is plan.choice), None)
    columns = (*_COLUMNS, plan.target, f"{plan.target}, new")
    return Table(columns, cells, "Judged settings, cheapest first", marked, frozenset({1}))


def everything(plan: Plan) -> Table:
    """Every setting, by memory."""
    rows = sorted(plan.rows, key=lambda row: (row.ram, -row.share))
    cells = [[*_cells(row), f"{row.queries}", _why_not(plan, row)] for row in rows]
    marked = next(i for i, row in enumerate(rows) if row is plan.choice)
    return Table((*_COLUMNS, "queries", ""), cells, marked=marked, text=frozenset({1, 10}))


def _why_not(plan: Plan, row: Row) -> str:
    """Why a setting could not be chosen, whatever it keeps."""
    return "" if row.fits else "over budget" if is_asked_for(plan, row) else "not asked for"


def _cells(row: Row) -> list[str]:
    times = [milliseconds(row.p50), milliseconds(row.p95)]
    return [
        row.label,
        row.candidate.made,
        amount(row.ram - row.encoder),
        amount(row.encoder),
        amount(row.disk),
        *(times if row.timed else [f"({time})" for time in times]),
        percent(row.share),
        "" if row.low is None else percent(row.low),
    ]
