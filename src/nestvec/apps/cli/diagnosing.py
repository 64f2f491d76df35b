"""``nestvec diagnose``: what is wrong with vectors or an index, without anybody's judgements."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from nestvec.apps.cli.config import Quiet
from nestvec.apps.cli.console import AsJSON, Output, strong
from nestvec.apps.cli.progress import waiting
from nestvec.apps.cli.vectors import FILES, lines, vectors_of
from nestvec.core.errors import InputError, NestvecError

if TYPE_CHECKING:
    from nestvec.core.protocols import Encoder
    from nestvec.evaluation.diagnostics import Finding, Report, Subject

Source = Annotated[str, typer.Argument(metavar="DIR|FILE", help="A collection, or vectors: FILE.npy, FILE.npz[:NAME].")]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of every sample.")]

_PAIRS = Path("stsb") / "en_test.jsonl"


def diagnose(
    source: Source,
    pairs: Annotated[
        Path | None,
        typer.Option(
            "--pairs", metavar="FILE", help="Texts that mean the same: s1, s2 in JSON lines, or tab-separated."
        ),
    ] = None,
    labels: Annotated[
        str, typer.Option("--labels", metavar="FILE|FIELD", help="A class a vector: a line each, or a metadata field.")
    ] = "",
    texts: Annotated[
        Path | None, typer.Option("--texts", metavar="FILE", help="With a file of vectors: its texts, a line each.")
    ] = None,
    using: Annotated[
        str, typer.Option("--model", "-m", metavar="NAME", help="The encoder of these vectors, if it is not known.")
    ] = "",
    encode: Annotated[
        bool, typer.Option("--encode/--no-encode", help="Ask the encoder too: rewording and paraphrases.")
    ] = True,
    indexes: Annotated[
        bool, typer.Option("--indexes/--no-indexes", help="What graphs and codes lose; the longest part.")
    ] = True,
    seed: Seed = 0,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Look at vectors from all sides, without judgements.

    How many dimensions they use, hubs, duplicates, the influence of length, stability, and what indexes and codes lose.
    Each figure with what is usual, what it means, and what to do.

    Example: nestvec diagnose my.nest
    """
    from nestvec.evaluation.diagnostics import Materials
    from nestvec.evaluation.diagnostics import diagnose as look
    from nestvec.evaluation.diagnostics.paraphrases import encode_pairs, read_pairs

    out = Output(as_json=json, quiet=quiet)
    wanted = read_pairs(pairs) if pairs is not None else None
    with vectors_of(source, texts=texts) as subject:
        classes = _labels(labels, subject) if labels else None
        encoder, note = _encoder(source, using, wanted=encode, out=out)
        if pairs is not None and encoder is None:
            raise InputError(f"pairs must be encoded to be compared, but {note}. Give its name with --model.")
        if wanted is None and encoder is not None and (usual := _usual_pairs()) is not None:
            wanted = read_pairs(usual)
        with waiting(out, "looking"):
            both = encode_pairs(wanted, encoder) if wanted and encoder else None
            report = look(subject, Materials(both, classes, encoder, indexes), seed=seed)
    out.json(report.to_json())
    _show(report, out)
    if encoder is None:
        out.line(f"The encoder was not asked: {note}.")


def _show(report: Report, out: Output) -> None:
    out.line(f"{report.name}: {report.n:,} vectors of {report.dim} dimensions")
    look = [finding for finding in report.findings if finding.advice]
    out.line(f"worth a look: {', '.join(f.name for f in look)}" if look else "nothing out of the ordinary")
    for finding in report.findings:
        _show_finding(finding, out)
    if report.skipped:
        out.line("")
        out.line(strong("Not measured"))
        out.table([(name, reason) for name, reason in report.skipped], indent=2)


def _show_finding(finding: Finding, out: Output) -> None:
    out.line("")
    out.line(strong(f"{finding.name}: {finding.title[0].lower()}{finding.title[1:]}"))
    out.table([(figure.name, str(figure)) for figure in finding.figures], indent=2)
    rows = [("from", finding.basis), ("usual", finding.usual), ("means", finding.meaning), ("do", finding.advice)]
    out.table([(name, text) for name, text in rows if text], indent=2)


def _labels(given: str, subject: Subject) -> np.ndarray:
    path = Path(given)
    if path.suffix == ".npy" and path.is_file():
        return np.asarray(np.load(path, allow_pickle=False))
    if path.is_file():
        return np.array(lines(path))
    if subject.metadata is None:
        raise InputError(f"labels must be in a file for vectors in a file, got {given!r}, which is no file.")
    found = [row.get(given) for row in subject.metadata(range(len(subject)))]
    without = sum(value is None for value in found)
    if without:
        raise InputError(
            f"labels must be a file, or a metadata field that every record has, but {without:,} of {len(found):,} "
            f"have no {given!r}."
        )
    return np.array([str(value) for value in found])


def _encoder(source: str, name: str, *, wanted: bool, out: Output) -> tuple[Encoder | None, str]:
    """The encoder of the vectors, or why there is none."""
    if not wanted:
        return None, "--no-encode was given"
    is_file = Path(source.partition(":")[0]).suffix in FILES
    if not name and is_file:
        return None, "a file does not say which encoder made its vectors"
    from nestvec.encoders import load
    from nestvec.search.collection import Collection

    with waiting(out, "loading the model"):
        if is_file:
            return load(name), ""
        try:
            with Collection.open(source, encoder=name or None) as collection:
                return collection.encoder, ""
        except NestvecError as cause:
            if name:
                raise
            return None, str(cause).rstrip(".")


def _usual_pairs() -> Path | None:
    """Sentence pairs of the STS benchmark, where a folder of data sets is set up."""
    folder = os.environ.get("NESTVEC_DATA")
    path = Path(folder) / _PAIRS if folder else None
    return path if path is not None and path.is_file() else None
