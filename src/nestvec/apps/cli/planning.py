"""``nestvec plan``: which sizes to ship for a budget, measured on the collection itself."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import json as codec
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestvec.apps.cli.config import Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, Yes, confirm, strong
from nestvec.apps.cli.errors import Code
from nestvec.apps.cli.progress import waiting
from nestvec.apps.cli.searching import Folder
from nestvec.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nestvec.planner import Dials, Plan, Task
    from nestvec.planner.encoding import Depth
    from nestvec.planner.questions import Questions
    from nestvec.planner.result import Row
    from nestvec.search.collection import Collection

JudgedBy = Annotated[
    Path | None,
    typer.Option("--judgements", metavar="F", help="What answers what: a BEIR folder, a .jsonl file, or qrels."),
]
AskedWith = Annotated[
    Path | None,
    typer.Option("--queries", metavar="F", help="A query log, one a line; or the texts that --judgements names."),
]
Depths = Annotated[str, typer.Option("--depths", metavar="K,K…", help="Other depths to try: auto, none, or numbers.")]
Numbers = Annotated[
    str,
    typer.Option(
        "--vectors", metavar="N,N…", help="Vectors a record to try, as in 1,8,25%,all; auto: as many as it has now."
    ),
]
_SAMPLE, _SAMPLE_OF_TOKENS = 20_000, 5_000  # documents; tokens of so many take some 2 GB on the disk for a while
Sample = Annotated[
    int | None,
    typer.Option(
        "--sample",
        min=100,
        help=f"Records to measure on at most; {_SAMPLE:,}, or {_SAMPLE_OF_TOKENS:,} with --vectors.",
    ),
]


def plan(
    folder: Folder,
    budget: Annotated[
        str, typer.Option("--budget", metavar="TEXT", help='As in "200MB, p95 10ms"; also disk, p50.')
    ] = "",
    keep: Annotated[
        float, typer.Option("--keep", min=0.01, max=1.0, help="Part of the full size's quality to keep.")
    ] = 0.98,
    confidence: Annotated[float, typer.Option("--confidence", min=0.5, max=0.999, help="That it is kept.")] = 0.95,
    judgements: JudgedBy = None,
    queries: AskedWith = None,
    depths: Depths = "auto",
    vectors: Numbers = "auto",
    codecs: Annotated[
        str, typer.Option("--codecs", metavar="ID,ID…", help="Only these, or all; by default those quick to fit.")
    ] = "",
    sample: Sample = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of every draw.")] = 0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FOLDER", help="Write plan.json, plan.html and plan.png there.")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="Bring the collection to the size that was chosen.")] = False,
    yes: Yes = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Where its encoder is now, if that moved.")
    ] = None,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Find the cheapest size that keeps what is asked.

    Depths, dimensions, codecs, rescoring and graphs are tried on the collection itself, judged by your judgements or,
    without any, by agreement with the full size. Several vectors a record are tried where you ask for them, as they
    take another pass of the model over all texts. Exit code 1 if nothing can be promised within the budget.

    Example: nestvec plan my.nest --budget "200MB, p95 10ms" --keep 0.98
    """
    from nestvec.planner import Budget, Rules
    from nestvec.planner import plan as make

    told = Output(as_json=json, quiet=quiet)
    asked = Budget.parse(budget)
    rules = Rules(keep=asked.keep or keep, confidence=confidence, seed=seed)
    dials = _dials(folder, vectors, codecs)
    if out is not None and out.exists() and not out.is_dir():
        raise InputError(f"--out must be a folder, got {str(out)!r}, which is a file.")
    task = measured_task(
        told, folder, read_questions(judgements, queries), depths=depths, tokens=bool(dials.many), sample=sample,
        seed=seed, load={"source": model, "precision": precision.value, "device": device},
    )  # fmt: skip
    found = make(task, asked, rules=rules, dials=dials, say=told.note)
    told.json(found.to_json())
    if told.talks:
        show(told, found)
    if out is not None:
        for path in write(found, out, title=f"Plan for {folder.name}"):
            told.note(f"wrote {path}")
    if found.verdict != "chosen":
        raise typer.Exit(Code.NEGATIVE)
    if apply:
        apply_to(told, folder, found, yes=yes, model=model)
    elif told.talks and found.chosen:
        told.line("To bring the collection to it, say the same with --apply.")


def _dials(folder: Path, vectors: str, codecs: str) -> Dials:
    """What is tried: numbers of vectors as asked, or as the collection has them; codecs by their names."""
    from nestvec.planner import Dials, codings
    from nestvec.planner.candidates import codings_of_many

    asked = vectors_asked(folder, vectors)
    dials = Dials(vectors=asked)
    names = [name.strip() for name in codecs.split(",") if name.strip()]
    if not names:
        return dials
    dials = replace(dials, codings=codings(names))
    return replace(dials, codings_of_many=codings_of_many(names)) if dials.many else dials


def vectors_asked(folder: Path, text: str) -> tuple[int | str, ...]:
    """Numbers of vectors a record: those that were asked for, or one and as many as the collection has."""
    from nestvec.planner.candidates import numbers_of_vectors
    from nestvec.search.collection import Collection

    if text != "auto":
        return numbers_of_vectors(text)
    with Collection.open(folder) as there:
        several = there.settings.several
    return (1,) if several is None else (1, several.vectors)


def read_questions(judgements: Path | None, queries: Path | None) -> Questions | None:
    """Judged queries, a log, or None."""
    from nestvec.planner.questions import read_judgements, read_queries

    if judgements is not None:
        return read_judgements(judgements, queries)
    return None if queries is None else read_queries(queries)


def measured_task(
    out: Output,
    folder: Path,
    questions: Questions | None,
    *,
    depths: str,
    tokens: bool,
    sample: int | None,
    seed: int,
    load: dict[str, Any],
) -> Task:
    """What there is to plan, with everything encoded that is to be measured."""
    from nestvec.planner.subject import Sampling, task_of
    from nestvec.search.collection import Collection

    with Collection.open(folder) as there:
        source, size = load["source"] or str(there.settings.source), str(there.settings.encoded)
    encoder: Any = None
    if source:
        from nestvec.encoders import load as open_encoder

        with waiting(out, "loading the model"):
            encoder = open_encoder(**{**load, "source": source}, size=size)
    others, nbytes = _depths(encoder, depths, full=size == "full", tokens=tokens)
    sample = sample or (_SAMPLE_OF_TOKENS if tokens else _SAMPLE)
    with Collection.open(folder, encoder=encoder) as collection, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # long texts were cut when they were indexed, and it was said then
        return task_of(
            collection, questions, encoder=encoder, depths=others, nbytes=nbytes, tokens=tokens, say=out.note,
            sampling=Sampling(documents=sample, seed=seed),
        )  # fmt: skip


def _depths(encoder: Any, asked: str, *, full: bool, tokens: bool) -> tuple[list[Depth], int]:
    """Depths to look at, deepest first, and bytes of the encoder itself; tokens at those that were named."""
    from nestvec.planner.encoding import Depth

    wanted = None if asked == "auto" else [] if asked == "none" else _numbers(asked)
    if not hasattr(encoder, "at") or not hasattr(encoder, "stack"):
        if wanted:
            raise InputError(f"--depths must be none for a model of one depth, got {asked!r}.")
        return [], int(getattr(encoder, "nbytes", 0))
    from nestvec.encoders import sizes

    rows = sizes(encoder, repeats=0)
    mine = next(row.model_bytes for row in rows if row.size.depth == encoder.size.depth)
    if not full:
        if wanted:
            raise InputError(f"--depths must be none for a collection that is not at full size, got {asked!r}.")
        return [], mine
    found = {
        row.size.depth: Depth(
            row.size.depth,
            row.made != "model",
            row.model_bytes,
            tokens=tokens and wanted is not None and row.size.depth > 0,
        )
        for row in rows
        if row.size.depth is not None
    }
    missing = [depth for depth in wanted or () if depth not in found]
    if missing:
        raise InputError(f"--depths must be among {', '.join(map(str, sorted(found)))}, got {missing[0]}.")
    return [found[depth] for depth in (found if wanted is None else wanted)], mine


def _numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError as cause:
        raise InputError(f"--depths must be auto, none, or numbers with commas between, got {text!r}.") from cause


def show(out: Output, found: Plan) -> None:
    """The answer, the table, and what it rests on."""
    from nestvec.planner.words import sentences

    first, *rest = sentences(found)
    out.block(strong(first))
    out.line("")
    for line in table(found.finalists, found):
        out.line(line)
    out.line("")
    for text in rest:
        out.block(text)


def table(rows: Sequence[Row], found: Plan) -> list[str]:
    """What was judged, cheapest first; the plan is pointed at."""
    from nestvec.planner.words import amount, is_asked_for, milliseconds, percent

    names = [f"{row.label}{' (raw)' if row.candidate.made == 'raw slice' else ''}" for row in rows]
    width, several = max(map(len, names)), len({row.encoder for row in rows}) > 1
    encoder = f"{'encoder':>8}  " if several else ""
    lines = [f"  {'':{width}}  {'index':>8}  {encoder}{'p95':>8}  {'kept':>7}  {'at least':>8}"]
    for name, row in zip(names, rows, strict=True):
        mark = ">" if row is found.choice else " "
        low = percent(row.low) if row.low is not None else ""
        sizes = f"{amount(row.ram - row.encoder):>8}" + (f"  {amount(row.encoder):>8}" if several else "")
        lines.append(
            f"{mark} {name:{width}}  {sizes}  {milliseconds(row.p95):>8}  {percent(row.share):>7}  {low:>8}"
            + ("" if row.fits else "  over budget" if is_asked_for(found, row) else "  not asked for")
        )
    return lines


def write(found: Plan, folder: Path, *, title: str) -> list[Path]:
    """The plan as data, as a page, and, where matplotlib is installed, as a picture."""
    from nestvec.apps.explore.picture import save
    from nestvec.apps.explore.planned import whole_page
    from nestvec.core.errors import MissingExtraError

    folder.mkdir(parents=True, exist_ok=True)
    data, page, picture = (folder / f"plan.{kind}" for kind in ("json", "html", "png"))
    data.write_text(codec.dumps(found.to_json(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    page.write_text(whole_page(found, title=title), encoding="utf-8")
    try:
        save(found, picture)
    except MissingExtraError as missing:
        warnings.warn(str(missing), stacklevel=2)
        return [data, page]
    return [data, page, picture]


def apply_to(out: Output, folder: Path, found: Plan, *, yes: bool, model: str | None) -> None:
    """Bring a collection to what was chosen; what it was stays until the new one is committed."""
    from nestvec.apps.cli.resizing import told_search
    from nestvec.search.collection import Collection

    row = found.choice
    setting = row.candidate
    with Collection.open(folder) as there:
        if _is(there, row):
            out.note(f"{folder} is at {row.label} already")
            return
    confirm(f"Bring {folder} to {row.label}?", yes=yes)
    with Collection.open(folder, write=True, encoder=model) as collection, waiting(out, "rewriting the collection"):
        collection.resize(
            row.size, codec=setting.coding.codec if setting.coding else None, candidates=_candidates(collection, row),
            funnel=False, graph=setting.index == "graph",
        )  # fmt: skip
        info = collection.info()
    out.note(f"{folder} is at {row.label} now")
    for name, told in told_search(info):
        out.note(f"{name}: {told}")


def _candidates(collection: Collection, row: Row) -> int:
    """How many the collection is to look at: all there are, where the several vectors of all are compared."""
    setting = row.candidate
    return setting.m or (len(collection) if setting.vectors is not None else 0)


def _is(collection: Collection, row: Row) -> bool:
    """Whether a collection searches by that setting already."""
    setting, info, there = row.candidate, collection.info(), collection.settings
    codec = None if setting.coding is None else setting.coding.codec
    graph = info["graph"] is not None
    if there.several is not None:
        has: tuple[object, ...] = (there.size, there.several.codec, there.candidates, graph)
        return has == (str(row.size), codec, _candidates(collection, row), False)
    codes: Any = info["codes"]
    has = (info["size"], info["codec"], codes["m"] if codes else 0, graph, info["bands"])
    return has == (str(row.size), codec, setting.m, setting.index == "graph", None)
