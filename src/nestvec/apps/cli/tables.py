"""``nestvec tables``: which compressed table of ids to use, measured on one's own rows."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import itertools
import json as jsons
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Quiet
from nestvec.apps.cli.console import AsJSON, Output, faint, several, size, strong
from nestvec.core.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from nestvec.core.types import JSON
    from nestvec.training.columns import Columns
    from nestvec.training.table_advisor import Advice, Measured

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


def tables(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV, TSV, JSON Lines or Parquet.")],
    target: Annotated[str, typer.Option("--target", metavar="COLUMN", help="Of two values; the greater counts as 1.")],
    budget: Annotated[str, typer.Option("--budget", metavar="SIZE,SIZE…", help="Such as 5MB,500kB.")],
    to: Annotated[Path | None, typer.Option("--to", metavar="FOLDER", help="For the winner, figures, picture.")] = None,
    methods: Annotated[str, typer.Option("--methods", metavar="NAME,NAME…", help="Instead of the usual ones.")] = "",
    numeric: Annotated[str, typer.Option("--numeric", metavar="COLUMN,…", help="Instead of those found.")] = "",
    drop: Annotated[str, typer.Option("--drop", metavar="COLUMN,…", help="Columns to leave out.")] = "",
    dim: Annotated[int, typer.Option("--dim", min=1, help="Width of a row.")] = 16,
    model: Annotated[str, typer.Option("--model", help="dcn or deepfm.")] = "dcn",
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Runs of each finalist.")] = 3,
    epochs: Annotated[float, typer.Option("--epochs", help="At most; training stops early.")] = 5.0,
    minutes: Annotated[float, typer.Option("--minutes", help="Begin nothing new after that.")] = math.inf,
    rows: Annotated[int, typer.Option("--rows", min=10, help="Read no more.")] = 1_000_000,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Find the table of ids that keeps most in so many bytes.

    Trains a small click model with every method that fits, the best of them with several seeds, and
    measures beside them a full table, narrow rows, and the dropping of rare ids.

    Example: nestvec tables clicks.csv --target clicked --budget 5MB,1MB --to advice
    """
    budgets = [as_bytes(text) for text in names_in(budget)]
    if not budgets:
        raise typer.BadParameter("--budget takes sizes with commas between, such as 5MB,500kB.")
    from nestvec.training.columns import fit_columns
    from nestvec.training.ctr import CTRSettings
    from nestvec.training.ctr_models import MODELS
    from nestvec.training.table_advisor import CANDIDATES, advise

    if model not in MODELS:
        raise typer.BadParameter(f"--model takes {' or '.join(MODELS)}, got {model!r}.")
    if not 0 < epochs < math.inf or not minutes > 0:
        raise typer.BadParameter(f"--epochs and --minutes take numbers above 0, got {epochs:g} and {minutes:g}.")
    if to is not None and to.exists() and not to.is_dir():
        raise typer.BadParameter(f"--to takes a folder, and {to} is a file.")
    out = Output(as_json=json, quiet=quiet)
    found = labelled(data, target, rows, out)
    import numpy as np

    known = {name for row in found for name in row}
    order = np.random.default_rng(11).permutation(len(found))
    cuts = [int(len(found) * 0.7), int(len(found) * 0.8)]
    parts = [[found[i] for i in sorted(piece)] for piece in np.split(order, cuts)]
    columns = fit_columns(parts[0], target, numeric=names_in(numeric) or None, drop=names_in(drop))
    out.note(f"{several(len(found), 'row')}, {several(len(known) - 1, 'column')}; {sum(columns.rows):,} ids")
    for column in columns.fields:
        out.note(f"  {column.name}: {column.kind}")
    out.note(f"  {target}: to be foretold, {columns.positive} counts as 1")
    train, valid, test = (both_labels(columns, part) for part in parts)
    settings = CTRSettings(model=model, epochs=epochs)
    advice = advise(
        (train, valid, test), budgets, dim=dim, seeds=seeds, settings=settings, minutes=minutes, say=out.note,
        candidates=names_in(methods) or CANDIDATES,
    )  # fmt: skip
    figures: JSON = {
        "measured": [m.to_json() for m in advice.measured],
        "chosen": {str(b): m.name for b, m in advice.chosen.items()},
        "recommended": advice.recommended.to_json(),
        "infeasible": [{"budget": b, "method": name, "least": least} for b, name, least in advice.infeasible],
        "doubt": round(advice.doubt, 5),
        "dropped": [{"budget": b, "method": name, "valid_auc": round(v, 5)} for b, name, v in advice.dropped],
    }
    if to is not None:
        _save(to, advice, columns, figures)
    out.json(figures)
    _show(out, advice, to, len(valid))


def labelled(data: Path, target: str, most: int, out: Output) -> list[dict[str, JSON]]:
    """The rows that have a value of ``target``; what was passed over is told.

    Raises:
        InputError: no row could be read; see also :func:`~nestvec.inputs.cells`.
    """
    from nestvec.inputs import ReadReport, cells
    from nestvec.training.columns import as_key

    read = ReadReport()
    rows = list(itertools.islice(cells(data, report=read), most))
    for line in read.lines()[1:]:
        out.note(line)
    if not rows:
        raise InputError(f"{data} must have a row that can be read, got {several(read.lost, 'broken row')}.")
    if not any(target in row for row in rows):
        return rows  # that there is no such column is for others to say, with the names there are
    kept = [row for row in rows if as_key(row.get(target))]
    if len(kept) < len(rows):
        out.note(f"{several(len(rows) - len(kept), 'row')} without {target} left out")
    return kept


def as_bytes(text: str, *, option: str = "--budget") -> int:
    """``5MB`` -> 5,000,000; ``1KiB`` -> 1,024.

    Raises:
        typer.BadParameter: that is no size.
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", text)
    if not found or found[2].lower() not in _UNITS:
        raise typer.BadParameter(f"{option} takes sizes such as 5MB, 500kB or 2MiB, got {text!r}.")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def names_in(text: str) -> list[str]:
    """What stands between commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def both_labels(columns: Columns, rows: list[dict[str, JSON]]):  # type: ignore[no-untyped-def]  # Examples needs torch's room
    """Rows as examples.

    Raises:
        InputError: only one label is among them.
    """
    examples = columns.encode(rows)
    if len(set(examples.labels.tolist())) < 2:
        raise InputError(
            f"each part of the rows must have both values of {columns.target!r}, got one in a part of "
            f"{several(len(rows), 'row')}. Give more rows."
        )
    return examples


def _show(out: Output, advice: Advice, to: Path | None, judges: int) -> None:
    front = {id(m) for m in advice.front()}
    widest = max(len(m.name) for m in advice.measured)
    head = f"{'method':{widest}}  {'bytes':>9}  {'AUC':>6}  {'± 95 %':>7}  {'train rows/s':>12}  {'lookups/s':>10}"
    for budget in [0, *sorted(advice.chosen, reverse=True)]:
        mine = [m for m in advice.measured if m.budget == budget]
        out.line(strong(f"under {size(budget)}" if budget else "no limit"))
        out.line(faint(head))
        for m in mine:
            out.line(_line(m, widest) + ("  on the front" if id(m) in front else ""))
        least = [(name, b) for at, name, b in advice.infeasible if at == budget]
        if least:
            out.line(faint("too large: " + ", ".join(f"{name} (from {size(b)})" for name, b in least)))
        out.line("")
    for budget, m in advice.chosen.items():
        out.line(f"under {size(budget)}: {m.name}")
    m = advice.recommended
    full = advice.measured[0]
    against = ", which fits" if m is full else f", AUC {m.auc - full.auc:+.4f} against a full table"
    out.line(strong(f"recommended: {m.name} in {size(m.bytes)}"), against)
    if full.auc - advice.doubt <= 0.5:
        out.line("Even a full table is no better than chance here: these columns do not tell the target.")
    out.line(faint(f"chosen by {several(judges, 'validation row')}, which tell an AUC to ± {advice.doubt:.4f}"))
    if to is not None:
        picture = ", pareto.png" if (to / "pareto.png").exists() else ""
        out.line(f"{to}: ids.table, columns.json, figures.json{picture}")


def _line(m: Measured, widest: int) -> str:
    margin = "-" if math.isinf(m.margin) else f"{m.margin:.4f}"
    return (
        f"{m.name:{widest}}  {size(m.bytes):>9}  {m.auc:.4f}  {margin:>7}  {m.train_rows_per_s:>12,.0f}"
        f"  {m.lookups_per_s:>10,.0f}"
    )


def _save(to: Path, advice: Advice, columns: Columns, figures: JSON) -> None:
    to.mkdir(parents=True, exist_ok=True)
    advice.recommended.best.table.save(to / "ids.table")
    (to / "columns.json").write_text(columns.to_json(), encoding="utf-8")
    (to / "figures.json").write_text(jsons.dumps(figures, indent=2), encoding="utf-8")
    try:
        draw(advice, to / "pareto.png")
    except MissingExtraError as cause:
        sys.stderr.write(f"no picture: {cause}\n")


def draw(advice: Advice, path: Path) -> None:
    """Quality against bytes, and the front.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
    except ImportError as cause:
        raise MissingExtraError("the picture", "plot") from cause
    figure = Figure(figsize=(8, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for m in advice.measured:
        margin = 0 if math.isinf(m.margin) else m.margin
        axes.errorbar(m.bytes, m.auc, yerr=margin, fmt="o", color="0.5", ecolor="0.85", ms=4, lw=1)
    front = advice.front()
    named = [*front, *(m for m in (advice.measured[0], advice.recommended) if m not in front)]
    for number, m in enumerate(sorted(named, key=lambda m: m.bytes)):
        at = (4, 6 if number % 2 else -12)  # neighbours on the front are named above and below it
        axes.annotate(m.name, (m.bytes, m.auc), xytext=at, textcoords="offset points", fontsize=8)
    axes.plot([m.bytes for m in front], [m.auc for m in front], color="tab:blue", lw=1.2, label="front")
    best = advice.recommended
    axes.plot(best.bytes, best.auc, "o", color="tab:red", label="recommended", zorder=4)
    aucs = [m.auc for m in advice.measured]
    room = 0.08 * (max(aucs) - min(aucs)) or 0.001  # wide intervals of two or three seeds may leave the picture
    axes.set(xscale="log", xlabel="size of the table", ylabel="AUC on test rows")
    axes.set_ylim(min(aucs) - room, max(aucs) + room)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: size(round(value))))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)
