"""``nestvec sizes``: how small a model may be made, and what each size costs."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, command, size
from nestvec.apps.cli.progress import waiting

if TYPE_CHECKING:
    from nestvec.encoders import SizeRow

_MADE = {
    "closed": "fitted by a formula",
    "distilled": "trained to give the vectors of the whole model",
    "cut": "leading dimensions of a fitted depth; nothing was fitted for so few",
    "slice": "layers or dimensions as they are: nothing was fitted, and much quality may be lost",
}
_BITS = (32, 8, 1)  # the columns of bytes


def sizes(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="default, a model folder, or a hub id.")] = "default",
    ladder: Annotated[
        str,
        typer.Option("--ladder", metavar="LADDER", help="A folder; default for the one that nestvec has; or none."),
    ] = "default",
    only: Annotated[
        list[str] | None, typer.Option("--size", metavar="SIZE", help="This one, such as L3-d128; may be repeated.")
    ] = None,
    speed: Annotated[bool, typer.Option("--speed", help="Measure how fast each depth is on this machine.")] = False,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """List the sizes of a model: bytes, speed, and quality.

    Quality is there where the ladder has it. Sizes that were fitted are told from those that were only cut off.

    Example: nestvec sizes default --speed
    """
    from nestvec.encoders import TextEncoder
    from nestvec.encoders import sizes as listed

    out = Output(as_json=json, quiet=quiet)
    with waiting(out, "opening the model"):
        encoder = TextEncoder.load(model, precision=precision.value, ladder=None if ladder == "none" else ladder)
    with waiting(out, "measuring" if speed else "counting"):
        rows = listed(encoder, repeats=3 if speed else 0, only=only or ())
    has = encoder.ladder
    out.json(
        {
            "model": encoder.space.encoder,
            "precision": encoder.precision,
            "dim": encoder.at("full").space.dim,
            "ladder": {"rungs": [rung.depth for rung in has.rungs], "bytes": has.nbytes} if has else None,
            "sizes": [row.to_json() for row in rows],
        }
    )
    if json:
        return
    for line in _table(rows):
        out.line(line)
    if not quiet:
        _explain(out, rows, fitted=has is not None, model=model)
        if not speed:
            shown = command("sizes", model, *(() if ladder == "default" else ("--ladder", ladder)), "--speed")
            out.block(f"Speed was not measured: {shown}")


def _table(rows: Sequence[SizeRow]) -> list[str]:
    """Lines with a head; numbers stand below one another, and a column that says nothing is left out."""
    head = ["size", "made", "weights", *(f"bytes b{bits}" for bits in _BITS), "speed", "quality"]
    cells = [
        [
            str(row.size),
            row.made,
            size(row.model_bytes),
            *(f"{row.bytes_at(bits):,}" for bits in _BITS),
            "" if row.speed is None else f"{row.speed:.1f} x" if row.speed < 10 else f"{row.speed:.0f} x",
            _quality(row.figures),
        ]
        for row in rows
    ]
    used = [i for i in range(len(head)) if any(row[i] for row in cells)]
    width = {i: max(len(row[i]) for row in [head, *cells]) for i in used}
    left = {0, 1, len(head) - 1}
    return [
        "  ".join(row[i].ljust(width[i]) if i in left else row[i].rjust(width[i]) for i in used).rstrip()
        for row in [head, *cells]
    ]


def _quality(figures: Mapping[str, float]) -> str:
    """``stsb .787 (.765 to .807) of .820``: a figure, its interval, and what the whole model has."""
    said = []
    for name, value in figures.items():
        if name.endswith((".low", ".high", ".full")):
            continue
        text = f"{name} {value:.3f}"
        if f"{name}.low" in figures and f"{name}.high" in figures:
            text += f" ({figures[f'{name}.low']:.3f} to {figures[f'{name}.high']:.3f})"
        if f"{name}.full" in figures:
            text += f" of {figures[f'{name}.full']:.3f}"
        said.append(text)
    return ", ".join(said)


def _explain(out: Output, rows: Sequence[SizeRow], *, fitted: bool, model: str) -> None:
    """What the words of the table mean, and what to do about slices."""
    out.line("")
    made = {row.made for row in rows}
    out.table([(name, text) for name, text in _MADE.items() if name in made])
    out.table(
        [("bytes", f"of a vector at {', '.join(map(str, _BITS))} bits a dimension; some codecs add a scale or a norm")]
    )
    if "slice" in made:
        hint = command("fit", model, "TEXTS", "--to", "LADDER")
        out.block(
            "A slice was never made to be compared. Measure it on your own data before you rely on it, or fit a ladder "
            f"for it from texts without labels: {hint}"
            + ("" if fitted else f", then {command('sizes', model, '--ladder', 'LADDER')}")
        )
