"""``nestvec trajectory``: where a text turns, and whether another model sees it turn there too."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, faint, several, strong
from nestvec.apps.cli.diagnosing import Seed
from nestvec.apps.cli.progress import waiting
from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from nestvec.evaluation.diagnostics import Agreement, Trajectory


_SHOWN = 52  # characters of a text: a line then fits 80 columns


class Piece(StrEnum):
    """What a file is cut into."""

    LINE = "line"
    SENTENCE = "sentence"
    PARAGRAPH = "paragraph"


def trajectory(
    file: Annotated[Path, typer.Argument(metavar="TEXTFILE", help="A text in its order, UTF-8.")],
    models: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="NAME", help="NAME or NAME@SIZE; may be repeated to compare."),
    ] = None,
    by: Annotated[
        Piece, typer.Option("--by", help="What is one text: a line, a sentence, or a paragraph.")
    ] = Piece.LINE,
    width: Annotated[int, typer.Option("--width", metavar="N", min=1, help="Texts compared on each side.")] = 8,
    confidence: Annotated[
        float,
        typer.Option(
            "--confidence", metavar="C", min=0.5, max=0.99, help="That there is a turn at all, where some are named."
        ),
    ] = 0.95,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page with pictures.")] = None,
    seed: Seed = 0,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Follow a text from its beginning to its end: how alike neighbours are, and where it turns.

    A turn is named only where random orders of the same texts show none like it. With several models it says how
    alike they see the text.

    Example: nestvec trajectory talk.txt --by sentence -m default -m default@L1 --html talk.html
    """
    from nestvec.encoders import load
    from nestvec.evaluation.diagnostics import agreement
    from nestvec.evaluation.diagnostics import trajectory as follow

    out = Output(as_json=json, quiet=quiet)
    texts = pieces(file, by)
    found = []
    for name in dict.fromkeys(models or ["default"]):
        plain, _, size = name.rpartition("@") if "@" in name and not Path(name).exists() else (name, "", "")
        with waiting(out, f"encoding with {name}"):
            encoder = load(plain, size=size or "full", precision=precision.value, device=device)
            found.append(follow(encoder.encode(texts).values, name=name, width=width, confidence=confidence, seed=seed))
    agreed = [agreement(a, b, seed=seed) for a, b in combinations(found, 2)]
    if html is not None:
        from nestvec.apps.explore.way import write

        html.write_text(write(file.name, texts, found, agreed), encoding="utf-8")
    out.json(
        {
            "texts": len(texts),
            "trajectories": [one.to_json() for one in found],
            "agreement": [one.to_json() for one in agreed],
        }
    )
    for one in found:
        _show(out, one, texts, by)
    for pair in agreed:
        _compare(out, pair)
    if html is not None:
        out.note(f"Pictures are in {html}.")


def pieces(file: Path, by: Piece) -> list[str]:
    """The texts of a file, in order, those of white space only left out.

    Raises:
        InputError: the file is not UTF-8, or has fewer than four texts.
    """
    try:
        whole = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as cause:
        raise InputError(f"{file} must be text in UTF-8, got bytes that are not at {cause.start:,}.") from cause
    texts = [text for text in _cut(whole, by) if text.strip()]
    if len(texts) < 4:
        longer = {Piece.LINE: " With --by sentence a line may hold several.", Piece.PARAGRAPH: " Try --by sentence."}
        raise InputError(
            f"a trajectory needs four texts or more, got {several(len(texts), by.value)} in {file}.{longer.get(by, '')}"
        )
    return texts


def _cut(whole: str, by: Piece) -> list[str]:
    if by is Piece.LINE:
        return whole.splitlines()
    from nestvec.inputs.structure import atoms

    found: list[list[int]] = []
    for atom in atoms(whole):
        if found and by is Piece.PARAGRAPH and not atom.opens:
            found[-1][1] = atom.end
        else:
            found.append([atom.start, atom.end])
    return [whole[start:end] for start, end in found]


def _show(out: Output, one: Trajectory, texts: Sequence[str], by: Piece) -> None:
    from nestvec.apps.explore.way import beginning

    steps, least = one.successive, int(one.successive.argmin())
    out.line(strong(one.name), f"  {several(len(one), by.value)}, {one.width} compared on each side")
    out.line(f"  neighbours alike by {steps.mean():.3f} in the mean, least ({steps[least]:.3f}) between {least + 1} "
             f"and {least + 2}")  # fmt: skip
    if not one.boundaries:
        out.line("  no turn: random orders of the same texts show as much novelty")
        return
    turns = {turn.start: turn for turn in one.boundaries}
    last = len(str(len(one)))
    place = 2 * last + len(" to ")
    out.line(faint(f"  {by.value + 's':<{place}}  novelty  p      begins with"))
    for first, end in one.segments:
        turn = turns.get(first)
        told = " " * 14 if turn is None else f"{turn.novelty:7.3f}  {turn.p:.3f}"
        where = f"{first + 1:>{last}} to {end:>{last}}"
        out.line(f"  {where:<{place}}  {told}  {beginning(texts[first], _SHOWN)}")


def _compare(out: Output, pair: Agreement) -> None:
    out.line(strong(f"{pair.first} and {pair.second}"), "  Spearman")
    out.table([(figure.name, str(figure)) for figure in pair.figures], indent=2)
