"""``nestvec index``: files into a collection."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestvec.apps.cli.config import Precision, Quiet, from_flag, option
from nestvec.apps.cli.console import AsJSON, Output, as_json, command, duration, several, size
from nestvec.apps.cli.errors import Code, Interrupted
from nestvec.apps.cli.progress import meter, waiting
from nestvec.core.errors import InputError, NoCollectionError
from nestvec.core.types import JSON

if TYPE_CHECKING:
    from nestvec.core.protocols import Encoder
    from nestvec.inputs import ReadReport
    from nestvec.search.collection import Collection
    from nestvec.search.indexing import IndexReport, Survey
    from nestvec.search.settings import Settings


@dataclass(frozen=True)
class _Wanted:
    """What the command line asks of the collection. ``pinned`` names what was given as a flag, and so must hold."""

    to: Path
    model: str | None
    precision: str
    device: str
    passage_tokens: int | None
    overlap: int
    size: str | None
    codec: str | None
    funnel: bool
    pinned: tuple[str, ...]


def index(
    ctx: typer.Context,
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files, folders, quoted patterns, python:NAME, or - (stdin).")
    ],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="The collection; made if it is not there.")],
    model: Annotated[str | None, option("model", "--model", "-m")] = None,
    passage_tokens: Annotated[int | None, option("passage_tokens", "--passage-tokens")] = None,
    overlap: Annotated[int, option("overlap", "--overlap")] = 32,
    size: Annotated[
        str | None,
        typer.Option("--size", metavar="SIZE", help="Of a new collection, as in L3-d128-b1."),
    ] = None,
    vectors: Annotated[
        str | None,
        typer.Option("--vectors", metavar="N", help="Kept for each record: 1, 8, 25% of its tokens, or all."),
    ] = None,
    codec: Annotated[
        str | None, typer.Option("--codec", metavar="NAME", help="What keeps its vectors in so many bits, as in pq@1.")
    ] = None,
    funnel: Annotated[
        bool, typer.Option("--funnel", help="A new collection searches leading dimensions first; float32 only.")
    ] = False,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    encoding: Annotated[
        str, typer.Option("--encoding", metavar="NAME", help="Of text that does not say its own.")
    ] = "utf-8",
    id_field: Annotated[str, typer.Option("--id-field", metavar="NAME", help="Column of tables that is the id.")] = "",
    title_field: Annotated[str, typer.Option("--title-field", metavar="NAME", help="Column that is the title.")] = "",
    text_field: Annotated[
        list[str] | None, typer.Option("--text-field", metavar="NAME", help="Column that is text; several are joined.")
    ] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Take away documents that PATH no longer has.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    survey: Annotated[
        bool, typer.Option("--survey/--no-survey", help="Look through PATH first, to know how much there is.")
    ] = True,
    report: Annotated[bool, typer.Option("--report", help="Examples of everything that was skipped.")] = False,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Read files and put what is in them into a collection.

    Doing it again encodes only what changed, and goes on where an interrupted run stopped.

    Example: nestvec index notes papers --to my.nest
    """
    from nestvec.inputs import Fields, Limits

    out = Output(as_json=json, quiet=quiet)
    pinned = tuple(name for name in ("model", "passage_tokens", "overlap") if from_flag(ctx, name))
    wanted = _Wanted(
        to, model, str(precision), device, passage_tokens, overlap, _sized_to(size, vectors), codec, funnel, pinned
    )
    limits, fields = Limits(encoding=encoding), Fields(id=id_field, title=title_field, text=tuple(text_field or ()))
    if dry_run and "-" in paths:
        raise typer.BadParameter("standard input can be read only once; save it to a file to survey it.")
    sources = _sources(paths)
    start = time.monotonic()
    if dry_run:
        with _opened(wanted, out, write=False) as collection, waiting(out, "looking through the source"):
            _tell_survey(out, paths, wanted, collection.survey(sources, limits=limits, fields=fields))
        return
    with _opened(wanted, out, write=True) as collection:
        seconds = {"model": time.monotonic() - start}
        ahead = None
        if survey and out.talks and "-" not in paths:
            with waiting(out, "looking through the source"):
                ahead = collection.survey(sources, limits=limits, fields=fields)
            seconds["survey"] = time.monotonic() - start - seconds["model"]
        try:
            with meter(out, "passages", total=ahead.passages if ahead else None) as shown:
                done = collection.index(
                    sources, prune=prune, limits=limits, fields=fields, progress=lambda now: shown(now.passages)
                )
        except KeyboardInterrupt as cause:
            raise Interrupted(_still_there(to)) from cause
        seconds |= {
            "reading": done.seconds - done.encoding - done.committing,
            "encoding": done.encoding,
            "committing": done.committing,
        }
        _tell_done(out, collection, done, seconds, report=report)
    if not done.encoded + done.reused + done.unchanged:
        raise typer.Exit(Code.NEGATIVE)


def _sources(paths: list[str]) -> list[str | Path]:
    """Sources as a reading takes them, each looked at now, before anything is made for them."""
    from nestvec.inputs import read

    if paths.count("-") > 1:
        raise typer.BadParameter("standard input can be read only once.")
    for path in dict.fromkeys(paths):
        read(path)  # raises if there is nothing; a reading that is not begun opens no file
    return list(dict.fromkeys(paths))


@contextmanager
def _opened(wanted: _Wanted, out: Output, *, write: bool) -> Iterator[Collection]:
    """The collection with its encoder loaded; a new one if there is none, in a place that vanishes if not to write."""
    from nestvec.search.coding import choose
    from nestvec.search.collection import Collection
    from nestvec.search.encoding import load_at
    from nestvec.search.several import split

    try:
        there = Collection.open(wanted.to, write=write)
    except NoCollectionError:
        there = None
    if there is not None:
        with there:
            _check_pinned(there, wanted)
            same = "model" not in wanted.pinned
            with waiting(out, "loading the model"):
                encoder = _its_encoder(there, str(there.settings.source) if same else str(wanted.model), wanted)
        with Collection.open(wanted.to, write=write, encoder=encoder) as opened:
            yield opened
        return
    if wanted.to.exists() and not (wanted.to.is_dir() and _is_ours_to_fill(wanted.to)):
        raise InputError(f"--to must be a collection, a new or an empty folder, got {str(wanted.to)!r}, which is not.")
    _, rest, codec = split(wanted.size, wanted.codec)
    asked, _ = choose(rest, codec)  # says what there is before a model is loaded
    with waiting(out, "loading the model"):
        encoder = load_at(wanted.model or "default", asked, **_options(wanted))
    pinned: dict[str, Any] = {
        "encoder": encoder,
        "budget": wanted.passage_tokens,
        "overlap": wanted.overlap,
        "size": wanted.size if wanted.size is not None else asked,
        "codec": wanted.codec,
        "funnel": wanted.funnel,
    }
    if write:
        with Collection.create(wanted.to, **pinned) as made:
            yield made
        return
    with tempfile.TemporaryDirectory() as folder, Collection.create(Path(folder) / "c", **pinned) as made:
        yield made


def _is_ours_to_fill(folder: Path) -> bool:
    """Empty, or what an interrupted creation left; creating says what is wrong with anything else."""
    return all(path.is_dir() or path.name.endswith(".new") for path in folder.iterdir())


def _its_encoder(there: Collection, source: str, wanted: _Wanted) -> Encoder:
    from nestvec.search.encoding import open_encoder

    if not source:
        return there.encoder  # says that this collection has none
    return open_encoder(source, there.settings, **_options(wanted))


def _options(wanted: _Wanted) -> dict[str, str]:
    return {"precision": wanted.precision, "device": wanted.device}


def _check_pinned(collection: Collection, wanted: _Wanted) -> None:
    """Raise if a flag asks for what this collection, being made already, is not."""
    has = {"passage_tokens": collection.settings.budget, "overlap": collection.settings.overlap}
    asked = {"passage_tokens": wanted.passage_tokens, "overlap": wanted.overlap}
    for name in wanted.pinned:
        if name in has and asked[name] != has[name]:
            flag = "--" + name.replace("_", "-")
            raise InputError(
                f"{flag} must be {has[name]}, with which {wanted.to} was made, got {asked[name]}. Leave it out, or "
                "make a new collection."
            )
    if wanted.size is not None or wanted.codec is not None:
        _check_size(collection, wanted)
    if wanted.funnel and not collection.settings.funnel:
        size = collection.settings.size
        raise InputError(
            f"{wanted.to} must be indexed as it was made, without a funnel, got --funnel. "
            f"To give it one: {command('resize', wanted.to, size, '--funnel')}"
        )


def _check_size(collection: Collection, wanted: _Wanted) -> None:
    has = collection.settings
    own = (has.size, has.several.codec if has.several else has.codec)
    asked = _settled(wanted.size or has.size, wanted.codec, has)
    if asked != own:
        more = ("--codec", wanted.codec) if wanted.codec else ()
        raise InputError(
            f"{wanted.to} must be indexed at its own size, {_sized(*own)}, got {_sized(*asked)}. "
            f"To turn it to that: {command('resize', wanted.to, asked[0], *more)}"
        )


def _settled(size_: str, codec: str | None, has: Settings) -> tuple[str, str | None]:
    """A size with its bits, and the codec for them."""
    from dataclasses import replace

    from nestvec.core.size import Size
    from nestvec.search.coding import choose
    from nestvec.search.several import choose_several, split

    many, rest, one = split(size_, codec)
    asked, coding = choose(rest, one)
    if many is None:
        return str(asked), coding.codec if coding else None
    several = choose_several(many, codec, has.searched)
    return str(replace(Size.parse(asked), vectors=several.vectors, bits=several.bits)), several.codec


def _sized_to(size_: str | None, vectors: str | None) -> str | None:
    """The size with so many vectors; ``--vectors`` stands for that part of ``--size``."""
    if vectors is None:
        return size_
    from dataclasses import replace

    from nestvec.core.size import Size

    dials = Size.parse(size_ or "full")
    many = Size.parse(f"v{vectors}").vectors
    if dials.vectors not in (None, many):
        raise InputError(f"--vectors must be what --size says, got {vectors} and {size_}. Leave one of them out.")
    return str(replace(dials, vectors=many))


def _sized(size_: object, codec: str | None) -> str:
    return f"{size_} with {codec}" if codec else str(size_)


def _still_there(to: Path) -> str:
    from nestvec.search.collection import Collection

    try:
        with Collection.open(to) as collection:
            safe = several(len(collection), "passage")
    except NoCollectionError:
        safe = "nothing yet"
    return f"{safe} safe in {to}; the same command goes on from there."


def _tell_survey(out: Output, paths: list[str], wanted: _Wanted, found: Survey) -> None:
    data = as_json(found)
    assert isinstance(data, dict)  # noqa: S101  # for mypy
    out.json({**data, "dry_run": True})
    if out.as_json:
        return
    rows = [
        ("files", f"{found.read.files:,}"),
        ("documents", f"{found.read.documents:,}"),
        ("passages", f"{found.passages:,}, {found.to_encode:,} of them to encode"),
        ("tokens", f"{found.tokens:,}"),
        ("disk", f"about {size(found.bytes)} more"),
        ("time", f"about {duration(found.seconds)}"),
        *_skipped(found.read),
    ]
    out.table(rows)
    if not out.quiet:
        out.line(f"Nothing was changed. To do it: {command('index', *paths, '--to', wanted.to)}")


def _tell_done(
    out: Output, collection: Collection, done: IndexReport, seconds: dict[str, float], *, report: bool
) -> None:
    info = collection.info()
    counts = as_json(done)
    assert isinstance(counts, dict)  # noqa: S101  # for mypy
    times: dict[str, JSON] = {name: round(value, 3) for name, value in seconds.items()}
    out.json({**counts, "seconds": times, "collection": info})
    if not out.talks:
        return
    new = several(done.encoded, "passage") + " encoded"
    more = [f"{n:,} {w}" for n, w in ((done.reused, "reused"), (done.unchanged, "unchanged")) if n]
    rows = [("read", f"{several(done.read.files, 'file')}, {several(done.read.documents, 'document')}")]
    rows.append(("done", ", ".join([new, *more, *([f"{done.removed:,} removed"] if done.removed else [])])))
    if done.gone and not done.removed:
        rows.append(
            ("gone", f"{several(done.gone, 'document')} of the collection not in PATH; --prune takes them away")
        )
    rows += _skipped(done.read)
    names = {"model": "loading the model", "survey": "looking ahead"}
    rows.append(("time", ", ".join(f"{duration(value)} {names.get(name, name)}" for name, value in seconds.items())))
    rows.append(
        (
            "now",
            f"{several(len(collection), 'passage')}, {size(_number(info['bytes']))} on disk, version {info['version']}",
        )
    )
    out.table(rows)
    if report:
        for line in done.read.lines():
            out.line(line)
    elif done.read.skipped:
        out.line("More about what was skipped: add --report")
    if len(collection):
        wanted = """'{"COLUMN": VALUE}', a row as JSON""" if collection.reads_rows else '"what you are looking for"'
        out.line(f"Next: {command('search', collection.path)} {wanted}")


def _skipped(read: ReadReport) -> Iterator[tuple[str, str]]:
    """The three most frequent reasons with an example of each."""
    tallies = sorted(read.skipped.items(), key=lambda item: -item[1].count)
    for number, (reason, tally) in enumerate(tallies[:3]):
        example = tally.examples[0] if tally.examples and reason != "hidden" else None
        text = f"{tally.count:,} {reason}" + (f", such as {example.where}" if example else "")
        yield "skipped" if number == 0 else "", text
    if rest := sum(tally.count for _, tally in tallies[3:]):
        yield "", f"{rest:,} for other reasons"


def _number(value: JSON) -> int:
    return value if isinstance(value, int) else 0
