"""``nestvec report``: all that is known of a collection, on one page."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output
from nestvec.apps.cli.planning import (
    AskedWith,
    Depths,
    JudgedBy,
    Numbers,
    Sample,
    measured_task,
    read_questions,
    vectors_asked,
)
from nestvec.apps.cli.progress import waiting
from nestvec.apps.cli.searching import Folder
from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from nestvec.apps.explore.report import Contents
    from nestvec.planner import Plan
    from nestvec.planner.questions import Questions


def report(
    folder: Folder,
    to: Annotated[Path, typer.Option("--to", metavar="FILE", help="The page.")] = Path("report.html"),
    judgements: JudgedBy = None,
    queries: AskedWith = None,
    budget: Annotated[str, typer.Option("--budget", metavar="TEXT", help="Of the plan; see: nestvec plan.")] = "",
    keep: Annotated[float, typer.Option("--keep", min=0.01, max=1.0, help="Of the plan.")] = 0.98,
    plan: Annotated[bool, typer.Option("--plan/--no-plan", help="Try the sizes; takes the most time.")] = True,
    depths: Depths = "none",
    vectors: Numbers = "auto",
    sample: Sample = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Where its encoder is now, if that moved.")
    ] = None,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Write a page about a collection: how it answers, what sizes keep, what its vectors are like.

    One HTML file that loads nothing. What cannot be measured is left out, and the page says why.

    Example: nestvec report my.nest --judgements judged.jsonl --to report.html
    """
    from nestvec.apps.explore.report import report as written

    out = Output(as_json=json, quiet=quiet)
    if to.is_dir():
        raise InputError(f"--to must be a file, got {str(to)!r}, which is a folder.")
    asked = read_questions(judgements, queries)
    made: Plan | None = None
    absent = {"plan": "It was not asked for."}
    if plan:
        made, absent["plan"] = _plan(
            out, folder, asked, (budget, keep), depths=depths, sample=sample, seed=seed,
            vectors=vectors_asked(folder, vectors),
            load={"source": model, "precision": precision.value, "device": device},
        )  # fmt: skip
    contents = _contents(out, folder, asked, made, absent, model)
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(written(contents), encoding="utf-8")
    out.json({"report": str(to), "plan": None if made is None else made.to_json()})
    if out.talks:
        out.line(f"wrote {to}")


def _plan(
    out: Output,
    folder: Path,
    asked: Questions | None,
    wanted: tuple[str, float],
    *,
    vectors: tuple[int | str, ...],
    seed: int,
    **how: Any,
) -> tuple[Plan | None, str]:
    """The plan, or why there is none: a report of a small collection is still worth something."""
    from nestvec.planner import Budget, Dials, Rules
    from nestvec.planner import plan as find

    limits, dials = Budget.parse(wanted[0]), Dials(vectors=vectors)
    rules = Rules(keep=limits.keep or wanted[1], seed=seed)
    try:
        task = measured_task(out, folder, asked, tokens=bool(dials.many), seed=seed, **how)
        return find(task, limits, rules=rules, dials=dials, say=out.note), ""
    except InputError as cause:
        return None, f"There is none: {cause}"


def _contents(
    out: Output,
    folder: Path,
    asked: Questions | None,
    made: Plan | None,
    absent: dict[str, str],
    model: str | None,
) -> Contents:
    from nestvec.apps.explore.quality import answered
    from nestvec.apps.explore.report import Contents
    from nestvec.search.collection import Collection

    judged = None
    absent["answered"] = "Nobody judged anything; --judgements names a file that says what answers what."
    with Collection.open(folder, encoder=model) as collection:
        info = collection.info()
        documents = len({record.place.parent if record.place else record.id for record in collection.records()})
        if asked is not None and asked.gains is not None:
            out.note("answering the judged queries")
            judged = answered(collection, asked)
    findings, skipped, absent["findings"] = _diagnosed(out, folder)
    return Contents(folder.name, info, documents, judged, made, findings, skipped, absent)


def _diagnosed(out: Output, folder: Path) -> tuple[tuple[Any, ...], tuple[tuple[str, str], ...], str]:
    """What diagnostics found, what they left out, and why there is nothing, if so."""
    from nestvec.evaluation.diagnostics import Subject, diagnose

    try:
        with Subject.from_collection(folder) as subject, waiting(out, "looking at the vectors"):
            found = diagnose(subject)
    except InputError as cause:
        return (), (), f"Nothing can be said: {cause}"
    return tuple(found.findings), tuple(found.skipped), ""
