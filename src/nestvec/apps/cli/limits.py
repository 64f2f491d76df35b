"""``nestvec needle`` and ``nestvec capacity``: what a model sees of long texts, and what a width can hold."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output
from nestvec.apps.cli.diagnosing import Seed
from nestvec.apps.cli.progress import waiting

if TYPE_CHECKING:
    from nestvec.evaluation.diagnostics import Fit


class Hidden(StrEnum):
    """What a long document hides."""

    PASSKEY = "passkey"
    NEEDLE = "needle"


def needle(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="default, a model folder, or a hub id.")] = "default",
    kind: Annotated[
        Hidden, typer.Option("--kind", help="A number (passkey) or a sentence (needle) to find.")
    ] = Hidden.PASSKEY,
    lengths: Annotated[
        str, typer.Option("--lengths", metavar="N,N…", help="Tokens of the documents.")
    ] = "128,256,512,1024,2048",
    documents: Annotated[int, typer.Option("--documents", metavar="N", min=2, help="To choose from.")] = 100,
    questions: Annotated[int, typer.Option("--questions", metavar="N", min=1, help="Asked at each length.")] = 50,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    seed: Seed = 0,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Measure up to which length a model sees what a text says.

    Documents are made on the spot: the same few sentences, and one fact at a random place.

    Example: nestvec needle default --lengths 128,256,512
    """
    from nestvec.encoders import load
    from nestvec.evaluation.diagnostics import needle as measure

    out = Output(as_json=json, quiet=quiet)
    asked = _numbers(lengths)
    with waiting(out, "loading the model"):
        encoder = load(model, precision=precision.value, device=device)
    with waiting(out, "encoding"):
        rows = measure(encoder, kind=kind.value, lengths=asked, documents=documents, questions=questions, seed=seed)
    out.json({"model": model, "kind": kind.value, "window": encoder.window, "rows": [row.to_json() for row in rows]})
    out.line(f"{model}: a window of {encoder.window:,} tokens; {questions} questions, {documents} documents a length")
    out.line(f"{'tokens':>7}  {'found':>6}  {'95 %':13}  {'inside window':>13}  {'false alarms':>12}")
    for row in rows:
        ends = f"{row.low:.2f} to {row.high:.2f}"
        out.line(f"{row.tokens:7,}  {row.found:6.2f}  {ends:13}  {row.seen:13.2f}  {row.false_alarms:12.2f}")
    out.block(
        "found: the right document comes first. inside window: its fact is among the tokens that the model reads. "
        "false alarms: questions about nobody that score as high as true ones. "
        f"Guessing finds {rows[0].chance:.2f}."
    )
    blind = next((row for row in rows if row.found < row.seen - 0.2 and row.high < row.seen), None)
    if blind is not None:
        out.block(
            f"From {blind.tokens:,} tokens the model misses facts that it reads: split documents into shorter passages."
        )
    elif any(row.seen < 1 for row in rows):
        out.block("What lies outside the window is not seen: keep passages within it, as nestvec index does.")


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as cause:
        raise typer.BadParameter(f"--lengths must be whole numbers with commas between, got {text!r}.") from cause


def capacity(
    qrels: Annotated[
        Path, typer.Argument(metavar="QRELS", help="Judgements: query, item, gain; or TREC's four columns.")
    ],
    dim: Annotated[int, typer.Option("--dim", "-d", metavar="N", min=1, help="Dimensions of a vector.")] = 384,
    unjudged: Annotated[
        bool, typer.Option("--unjudged/--all-judged", help="There are items besides those in the file.")
    ] = True,
    steps: Annotated[int, typer.Option("--steps", metavar="N", min=1, help="The most that a fit takes.")] = 2000,
    seed: Seed = 0,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Ask whether vectors of a width can hold your judgements.

    Fits free vectors to them, at N dimensions, at twice as many, and with 2 and 4 vectors an item. What free vectors
    cannot do, no encoder can.

    Example: nestvec capacity qrels/test.tsv --dim 384
    """
    from nestvec.evaluation.diagnostics import capacity as measure
    from nestvec.evaluation.judgements import read_gains, relevant

    out = Output(as_json=json, quiet=quiet)
    with waiting(out, "fitting free vectors"):
        found = measure(relevant(read_gains(qrels)), dim=dim, others=unjudged, steps=steps, seed=seed)
    out.json(found.to_json())
    out.line(f"{qrels}: {_queries(found.queries)}, {found.items:,} relevant items")
    out.line(
        f"{'vectors an item':>15}  {'dimensions':>10}  {'satisfied':>9}  {'margin':>7}  {'typical':>7}  {'steps':>6}"
    )
    for fit in found.fits:
        out.line(_row(fit))
    out.block(
        "satisfied: queries whose relevant items all score above all others. margin: the smallest such distance over "
        "all queries, in cosine; typical: its median."
    )
    out.block(found.advice)
    out.block("A fit that falls short is no proof: more steps may succeed. One that succeeds is one.")


def _queries(count: int) -> str:
    return "1 query" if count == 1 else f"{count:,} queries"


def _row(fit: Fit) -> str:
    return f"{fit.vectors:15}  {fit.dim:10,}  {fit.solved:9.1%}  {fit.margin:7.3f}  {fit.typical:7.3f}  {fit.steps:6,}"
