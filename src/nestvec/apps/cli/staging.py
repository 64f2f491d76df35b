"""``nestvec feet``: what a model gives frozen, with few labels, and fine-tuned."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, faint, strong
from nestvec.apps.cli.evaluating import Data, open_system
from nestvec.apps.cli.progress import waiting
from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from nestvec.evaluation.feet import Stage


def feet(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="The model as it came: NAME or NAME@SIZE.")],
    task: Annotated[
        str, typer.Option("--task", metavar="NAME", help="A classification task, or classification=FOLDER.")
    ] = "banking77",
    tuned: Annotated[
        str | None, typer.Option("--tuned", metavar="MODEL", help="The same model after training on the task.")
    ] = None,
    shots: Annotated[str, typer.Option("--shots", metavar="N,N…", help="Labelled texts a class.")] = "2,4,8,16",
    data: Data = None,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Set frozen, few-shot and fine-tuned figures of a model side by side.

    Says what more labels, or training, would buy on your task, and whether the test texts can show it.

    Example: nestvec feet default --task classification=my-folder --tuned my-model
    """
    from nestvec.evaluation import choose
    from nestvec.evaluation.feet import feet as measure
    from nestvec.evaluation.kinds.classification import Classification
    from nestvec.evaluation.system import Represents

    out = Output(as_json=json, quiet=quiet)
    chosen = choose([task])[0]
    kind = chosen.load(data)
    if not isinstance(kind, Classification):
        raise InputError(f"--task must be a classification, got {chosen.name}, which is {chosen.kind}.")
    with ExitStack() as opened:
        both = [open_system(name, opened, precision=precision, device=device) for name in (model, tuned) if name]
        able = [one for one in both if isinstance(one, Represents)]
        if len(able) < len(both):
            raise InputError("MODEL and --tuned must be models, got the folder of a collection.")
        with waiting(out, "encoding and learning"):
            rows = measure(kind, able[0], tuned=able[1] if tuned else None, shots=_numbers(shots))
    out.json({"task": chosen.name, "texts": len(kind), "rows": [row.to_json() for row in rows]})
    out.line(strong(chosen.name), f"  accuracy, {len(kind):,} texts")
    _show(out, rows)


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as cause:
        raise typer.BadParameter(f"--shots takes whole numbers with commas between, got {text!r}.") from cause


def _show(out: Output, rows: Sequence[Stage]) -> None:
    """Each row, and behind it how far it is from the frozen one."""
    name, protocol = (max(len(getattr(row, part)) for row in rows) for part in ("system", "protocol"))
    for row in rows:
        got = row.outcome.interval()
        line = f"  {row.system:{name}}  {row.protocol:{protocol}}  {got.mean:.4f}  [{got.low:.4f}, {got.high:.4f}]"
        out.line(line, faint(f"  {_change(row)}") if row.change is not None else "")


def _change(row: Stage) -> str:
    assert row.change is not None  # noqa: S101  # for mypy
    ends = row.change.interval
    part = "" if row.relative is None else f" ({row.relative:+.1%})"
    shown = "" if ends.low > 0 or ends.high < 0 else "; not separable"
    return f"{ends.mean:+.4f} [{ends.low:+.4f}, {ends.high:+.4f}]{part} to frozen{shown}"
