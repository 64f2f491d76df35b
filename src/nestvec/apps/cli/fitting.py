"""``nestvec fit``: make the smaller sizes of a model useful, from texts without labels."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import math
import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, command
from nestvec.apps.cli.errors import Interrupted

if TYPE_CHECKING:
    from nestvec.training.terms import Term

_PIECE = 1500  # characters: about the 256 to 512 tokens that models read


def fit(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="default, a model folder, or a hub id.")],
    paths: Annotated[
        list[str],
        typer.Argument(metavar="TEXTS...", help="Files, folders, quoted patterns, python:NAME, or - (stdin)."),
    ],
    to: Annotated[Path, typer.Option("--to", metavar="LADDER", help="A new or empty folder, or an older ladder.")],
    steps: Annotated[int, typer.Option("--steps", min=0, help="Of training; 0 solves, and does not train.")] = 1500,
    minutes: Annotated[float, typer.Option("--minutes", help="Stop training by then.")] = math.inf,
    depths: Annotated[
        str, typer.Option("--depths", metavar="K,K…", help="Rungs to make; 0 is a token table.")
    ] = "0,1,2,3",
    dims: Annotated[
        str, typer.Option("--dims", metavar="D,D…", help="Leading dimensions to train as well.")
    ] = "64,128",
    rank: Annotated[int, typer.Option("--rank", min=1, help="Of the adapters: larger is better and bigger.")] = 64,
    table_rank: Annotated[int, typer.Option("--table-rank", min=1, help="Width of the token table.")] = 96,
    clusters: Annotated[
        str,
        typer.Option("--clusters", metavar="Q,D", help="Also for few vectors a text: so many of a query, of a text."),
    ] = "",
    rank_term: Annotated[
        str, typer.Option("--rank-term", metavar="WAY:WEIGHT", help="Regularise the rank: low, high or teacher.")
    ] = "",
    watch: Annotated[
        int, typer.Option("--watch", metavar="N", min=0, help="Look at held-out texts every N steps.")
    ] = 0,
    page: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the course of the training.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of everything that is drawn.")] = 0,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Fit a ladder: heads, adapters and a token table for the smaller sizes.

    Needs thousands of texts and no labels. Doing it again goes on where an interrupted run stopped.

    Example: nestvec fit default notes papers --to my.ladder --steps 500
    """
    from nestvec.inputs import read
    from nestvec.training.fit import Plan
    from nestvec.training.fit import fit as run

    out = Output(as_json=json, quiet=quiet)
    wanted = sorted(set(_numbers("--depths", depths)))
    plan = Plan(
        depths=tuple(k for k in wanted if k), dims=tuple(d for d in _numbers("--dims", dims) if d), rank=rank,
        table_ranks=tuple(sorted({max(1, table_rank // 3), table_rank})) if 0 in wanted else (),
        clusters=_pair("--clusters", clusters), steps=steps, seconds=minutes * 60, terms=_terms(rank_term),
        report_steps=watch, seed=seed,
    )  # fmt: skip
    texts = pieces((record.title or "", record.text) for path in dict.fromkeys(paths) for record in read(path))
    unfinished = to.with_name(to.name + ".run")
    try:
        fitted = run(model, texts, plan=plan, device=device, folder=unfinished, say=_say if out.talks else _silent)
    except KeyboardInterrupt as cause:
        kept = "what was learnt is kept; the same command goes on" if unfinished.exists() else "nothing was learnt yet"
        raise Interrupted(f"{kept}.") from cause
    fitted.ladder.save(to)
    shutil.rmtree(unfinished, ignore_errors=True)
    kept_by = {
        stage: {name: round(kept.neighbours, 4) for name, kept in sizes.items()} for stage, sizes in fitted.kept.items()
    }
    if page is not None:
        from nestvec.apps.explore.course import write

        page.write_text(write(fitted.course, f"Fit of {to.name}"), encoding="utf-8")
    out.json(
        {
            "ladder": str(to), "bytes": fitted.ladder.nbytes, "kept": dict(kept_by),
            "course": fitted.course.to_json(),
        }
    )  # fmt: skip
    for line in (*fitted.lines(), *fitted.course.lines()):
        out.line(line)
    if page is not None:
        out.note(f"The course of the training is in {page}.")
    out.line(f"{to}: {fitted.ladder.nbytes / 1e6:.1f} MB. Try: {command('index', '--help')}")


def pieces(texts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """``(title, text)`` pairs with long texts cut at a space, each piece under its title."""
    for title, text in texts:
        rest = text
        while rest:
            end = len(rest) if len(rest) <= _PIECE else max(rest.rfind(" ", 1, _PIECE), 1)
            end = _PIECE if end == 1 and len(rest) > _PIECE else end
            yield title, rest[:end].strip()
            rest = rest[end:].lstrip()


def _terms(text: str) -> tuple[Term, ...]:
    """What rungs learn from: the usual terms, and a regulariser of the rank if ``WAY:WEIGHT`` asks for one."""
    from nestvec.training.terms import STARBUCKS, Term

    if not text:
        return STARBUCKS
    way, _, weight = text.partition(":")
    try:
        value = float(weight)
    except ValueError:
        value = math.nan
    if way not in ("low", "high", "teacher") or not 0 < value < math.inf:
        raise typer.BadParameter(
            f"--rank-term takes low, high or teacher, a colon and a weight above 0, such as low:0.1; got {text!r}."
        )
    return (*STARBUCKS, Term("representation-rank@1", weight=value, rungs="full", options={"toward": way}))


def _numbers(flag: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as cause:
        raise typer.BadParameter(f"{flag} takes whole numbers with commas between, got {text!r}.") from cause


def _pair(flag: str, text: str) -> tuple[int, int] | None:
    found = _numbers(flag, text)
    if len(found) not in (0, 2):
        raise typer.BadParameter(f"{flag} takes two whole numbers with a comma between, as in 4,8, got {text!r}.")
    return (found[0], found[1]) if found else None


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _silent(line: str) -> None:
    """Nobody wants to know."""
