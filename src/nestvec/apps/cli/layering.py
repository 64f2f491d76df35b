"""``nestvec layers``: which depth of a model, or which mean of its layers, gives the best vectors for a task."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, clean, faint, strong
from nestvec.apps.cli.evaluating import Bare, Data, Fresh, Kept, Tasks
from nestvec.apps.cli.progress import waiting

if TYPE_CHECKING:
    from nestvec.evaluation.layers import LayerReport, Row

_MADE = {
    "model": "the full model",
    "distilled": "a rung of the ladder, trained",
    "closed": "a rung of the ladder, by a formula",
    "slice": "a layer (or the token table) as it is: nothing was fitted",
    "mean": "the states of several layers, averaged before they are pooled",
}


def layers(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="default, a model folder, or a hub id.")],
    tasks: Tasks = "stsb,cranfield,trec_coarse",
    data: Data = None,
    ladder: Annotated[
        str,
        typer.Option("--ladder", metavar="LADDER", help="A folder; default for the one that nestvec has; or none."),
    ] = "default",
    results: Kept = Path("nestvec-results"),
    no_baselines: Bare = False,
    fresh: Fresh = False,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Measure every depth of a model, and means of its layers, and suggest the best.

    One pass of the texts gives all of them. The best is chosen on one half of the items and confirmed on the other;
    BM25, TF-IDF and the trivial baseline stand beside. Needs no training.

    Example: nestvec layers my-bert --tasks stsb,retrieval=my-folder
    """
    from nestvec.encoders import TextEncoder
    from nestvec.evaluation import BASELINES, Shelf, Suite, choose, layer_report

    out = Output(as_json=json, quiet=quiet)
    chosen = choose([name for name in tasks.split(",") if name.strip()])
    if not chosen:
        raise typer.BadParameter("--tasks takes one name or more; see: nestvec tasks")
    suite = Suite(
        chosen, data=data, shelf=Shelf(results, reads=not fresh), baselines=() if no_baselines else BASELINES,
        trivial=not no_baselines,
    )  # fmt: skip
    loaded = suite.load()
    with waiting(out, "opening the model"):
        encoder = TextEncoder.load(
            model, precision=precision.value, device=device, ladder=None if ladder == "none" else ladder
        ).layered()

    def say(task: str, system: str) -> None:
        if out.talks:
            sys.stderr.write(clean(f"{task}: {system} …") + "\n")
            sys.stderr.flush()

    report = layer_report(encoder, suite, label=model, loaded=loaded, progress=say)
    out.json({"model": encoder.space.encoder, **report.to_json()})
    for task, rows in report.rows.items():
        _task(out, report, task, rows)
    _suggest(out, report)
    used = {row.made for rows in report.rows.values() for row in rows}
    if not quiet:
        out.line("")
        out.table([(name, text) for name, text in _MADE.items() if name in used])
    out.note(f"Results are in {results}. Intervals are 95 %, by bootstrap over the items of each task.")


def _task(out: Output, report: LayerReport, task: str, rows: Sequence[Row]) -> None:
    """Sizes in the order of their depth, the best score marked, baselines below."""
    outcome = rows[0].result.outcome
    out.line("")
    out.line(strong(task), f"  {rows[0].result.metric}, {len(outcome.items):,} {outcome.unit}; beside it: minus the "
             "full model")  # fmt: skip
    beside = sorted(report.baselines[task], key=lambda result: -result.outcome.score)
    width = max(len(name) for name in (*(row.size for row in rows), *(result.system for result in beside)))
    top = max(row.result.outcome.score for row in rows)
    for row in rows:
        got = row.result.outcome.interval()
        best = "*" if got.mean == top else " "
        out.line(f" {best}{row.size:{width}}  {row.made:9}  {got.mean:7.4f}  [{got.low:.4f}, {got.high:.4f}]",
                 faint(_gap(row)))  # fmt: skip
    for result in beside:
        got = result.outcome.interval()
        out.line(f"  {result.system:{width}}  {'baseline':9}  {got.mean:7.4f}  [{got.low:.4f}, {got.high:.4f}]")


def _gap(row: Row) -> str:
    if row.gap is None:
        return ""
    ends = row.gap.interval
    return f"  {ends.mean:+.4f} [{ends.low:+.4f}, {ends.high:+.4f}]" + ("" if row.separable else "  not separable")


def _suggest(out: Output, report: LayerReport) -> None:
    from nestvec.evaluation.comparison import sentences

    if report.suggestions:
        out.line("")
        out.line(strong("Best, chosen on one half of the items and measured on the other"))
    for one in report.suggestions:
        which = one.tasks[0] if len(one.tasks) == 1 else f"all {len(one.tasks)} tasks, by the mean of their scores"
        out.block(f"{which}: {one}", indent=2)
    for task, why in report.skipped.items():
        out.block(f"{task} has no say: {why}.", indent=2)
    for told in sentences(report.warned):
        out.block(f"warning: {told}")
