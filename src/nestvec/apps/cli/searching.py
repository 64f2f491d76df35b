"""``nestvec search`` and ``nestvec show``: what is in a collection, by meaning and by id."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import difflib
import json as codec
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Mode, Precision, Quiet, option
from nestvec.apps.cli.console import AsJSON, Output, clean, faint, rich_console, several, strong
from nestvec.apps.cli.errors import Code
from nestvec.apps.cli.explaining import tell_explanation, tell_notes
from nestvec.apps.cli.progress import waiting
from nestvec.core.errors import FilterError, NotFoundError
from nestvec.core.types import JSON

if TYPE_CHECKING:
    from rich.text import Text

    from nestvec.core.record import Place, Record
    from nestvec.search.collection import Collection
    from nestvec.search.explaining import Explanation
    from nestvec.search.result import Result
    from nestvec.store import Snapshot

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The collection.")]
AtVersion = Annotated[int | None, typer.Option("--version", metavar="N", help="As it was then; see: nestvec versions.")]

_BATCH = 64  # queries encoded together when they come in on standard input
_NAMED = 50_000  # ids looked through for the nearest one to an id that is not there
_WORD = re.compile(r"\w{3,}")


def search(
    folder: Folder,
    query: Annotated[list[str], typer.Argument(metavar="QUERY...", help="What to look for; - reads one query a line.")],
    k: Annotated[int, option("k", "-k")] = 10,
    where: Annotated[
        str, typer.Option("--where", metavar="JSON", help='A filter, as in {"year": {"$gte": 2020}}')
    ] = "",
    mode: Annotated[Mode, option("mode", "--mode")] = Mode.DENSE,
    per_document: Annotated[bool, option("per_document", "--per-document/--all-passages")] = True,
    full: Annotated[bool, typer.Option("--full", help="Whole passages, not the sentence that fits best.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Which word of the query was matched with which of each result.")
    ] = False,
    version: AtVersion = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Where its encoder is now, if that moved.")
    ] = None,
    precision: Annotated[Precision, option("precision", "--precision")] = Precision.AUTO,
    device: Annotated[str, option("device", "--device")] = "auto",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Find what fits a query best.

    With --json each query gives one line: an object with the query and its results. Exit code 1 if nothing was found.

    Example: nestvec search my.nest how do I parse a date -k 3
    """
    from nestvec.search.collection import Collection

    out = Output(as_json=json, quiet=quiet)
    if explain and mode is Mode.LEXICAL:
        raise typer.BadParameter("--explain must go with a search by meaning, got --mode lexical.")
    condition = _filter(where)
    found = 0
    with Collection.open(folder, version=version) as there:
        source, settings = model or str(there.settings.source), there.settings
    encoder = None
    if mode is Mode.DENSE and source:
        from nestvec.search.encoding import open_encoder

        with waiting(out, "loading the model"):
            encoder = open_encoder(source, settings, precision=precision.value, device=device)
    with Collection.open(folder, version=version, encoder=encoder) as collection:
        queries = _from_stdin() if query == ["-"] else iter([" ".join(query)])
        while some := list(islice(queries, _BATCH)):
            rows = collection.search_many(some, k, where=condition, mode=mode.value, per_document=per_document)
            for text, results in zip(some, rows, strict=True):
                found += len(results)
                why = collection.explain_many(text, [result.id for result in results]) if explain else []
                out.json({"query": text, "results": _results_json(results, why)}, indent=None)
                if query == ["-"]:
                    out.line(strong(text))
                _tell_results(out, text, results, why, full=full)
                if not results:
                    out.note(_nothing(collection, filtered=bool(condition)))
    if not found:
        raise typer.Exit(Code.NEGATIVE)


def show(
    folder: Folder,
    id_: Annotated[str, typer.Argument(metavar="ID", help="Of a passage, or of a document: all its passages.")],
    version: AtVersion = None,
    json: AsJSON = False,
) -> None:
    """Show one record, or all passages of a document.

    With --json always a list. Exit code 1 if there is none of that id.
    """
    from nestvec.store import Store

    out = Output(as_json=json)
    with Store.open(folder, version=version) as store, store.read() as snapshot:
        ids = snapshot.children(id_)
        ids = [id_] if snapshot.find([id_]) and len(ids) > 1 and id_ not in _documents(snapshot, ids) else ids
        if not ids:
            raise NotFoundError(_no_such_id(snapshot, folder, id_))
        records = snapshot.get(ids)
    out.json([record_json(record) for record in records])
    for record in records:
        _tell_record(out, record)


def record_json(record: Record) -> dict[str, JSON]:
    """A record as plain data."""
    place = record.place
    return {
        "id": record.id,
        "document": place.parent if place else record.id,
        "title": record.title,
        "text": record.text,
        "metadata": dict(record.metadata),
        "place": None
        if place is None
        else {"start": place.start, "end": place.end, "number": place.number, "heading": list(place.heading)},
    }


def _documents(snapshot: Snapshot, ids: Sequence[str]) -> set[str]:
    return {record.place.parent for record in snapshot.get(list(ids)) if record.place}


def _filter(text: str) -> dict[str, JSON] | None:
    if not text:
        return None
    try:
        found = codec.loads(text)
    except ValueError as cause:
        raise FilterError(
            f'--where must be JSON such as \'{{"section": "net"}}\', got {text!r}: {cause}. '
            "Put single quotes around it, so that the shell leaves it as it is."
        ) from cause
    if not isinstance(found, dict):
        raise FilterError(f'--where must be an object such as \'{{"section": "net"}}\', got {text!r}.')
    return found


def _from_stdin() -> Iterator[str]:
    for line in sys.stdin:
        if query := line.strip():
            yield query


def _nothing(collection: Collection, *, filtered: bool) -> str:
    if not len(collection):
        return "nothing found: the collection is empty"
    return "nothing found: no record meets the filter" if filtered else "nothing found"


def _results_json(results: Sequence[Result], why: Sequence[Explanation]) -> list[JSON]:
    """Results, each with its explanation if that was asked for."""
    if not why:
        return [result.to_json() for result in results]
    pairs = zip(results, why, strict=True)
    return [{**result.to_json(), "explanation": explained.to_json()} for result, explained in pairs]


def _tell_results(
    out: Output, query: str, results: Sequence[Result], why: Sequence[Explanation], *, full: bool
) -> None:
    if out.as_json:
        return
    width = max(20, rich_console().width - 4)
    for rank, result in enumerate(results, 1):
        title = result.title if result.title and result.title != result.id else ""
        out.line(f"{rank:2}  ", strong(result.id), faint(f"  {result.score:.3f}"))
        above = " · ".join(part for part in (title, *_where(result.record)) if part)
        if above:
            out.block(above, indent=4, style="dim")
        text = result.text if full else result.snippet(query, width=2 * width)
        out.block(_highlighted(text, query), indent=4)
        if full:
            out.line("")
        if why:
            tell_explanation(out, why[rank - 1])
    tell_notes(out, why)


def _where(record: Record) -> Iterator[str]:
    """Where in its document a record stands, as far as that says anything."""
    place: Place | None = record.place
    if place is not None and place.heading:
        trail = [part for part in place.heading if part != record.title]
        yield " › ".join(trail)
    if "page" in record.metadata:
        yield f"page {record.metadata['page']}"
    elif "line" in record.metadata:
        yield f"line {record.metadata['line']}"
    if place is not None and place.parent != record.id:
        yield f"characters {place.start:,} to {place.end:,} of {place.parent}"


def _highlighted(text: str, query: str) -> Text:
    from rich.text import Text

    shown = Text(clean(" ".join(text.split("\n\n\n"))).expandtabs(4))
    words = sorted({re.escape(word) for word in _WORD.findall(query)}, key=len, reverse=True)
    if words:
        shown.highlight_regex(rf"(?i)\b(?:{'|'.join(words)})\b", "bold yellow")
    return shown


def _tell_record(out: Output, record: Record) -> None:
    if out.as_json:
        return
    out.line(strong(record.id))
    rows = [("title", record.title)] if record.title and record.title != record.id else []
    rows += [("place", " · ".join(parts))] if (parts := [part for part in _where(record) if part]) else []
    rows += [(name, _plain(value)) for name, value in record.metadata.items()]
    out.table(rows, indent=2)
    out.line("")
    out.block(record.text, indent=2)
    out.line("")


def _plain(value: JSON) -> str:
    return value if isinstance(value, str) else codec.dumps(value, ensure_ascii=False)


def _no_such_id(snapshot: Snapshot, folder: Path, id_: str) -> str:
    known = list(dict.fromkeys(islice(snapshot.documents(), _NAMED)))
    near = difflib.get_close_matches(id_, known, n=1) or [name for name in known if id_ in name][:1]
    hint = f"Did you mean {near[0]!r}?" if near else f"It holds {several(len(snapshot), 'record')}."
    return f"an id must be in {folder}, got {id_!r}, which is not. {hint}"
