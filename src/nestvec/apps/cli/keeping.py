"""Commands that look after a collection: what it is, what it was, whether it is whole, and how to mend it."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Quiet
from nestvec.apps.cli.console import AsJSON, Output, Yes, as_json, command, confirm, duration, several, size
from nestvec.apps.cli.errors import Code
from nestvec.apps.cli.progress import waiting
from nestvec.apps.cli.resizing import told_search
from nestvec.apps.cli.searching import Folder
from nestvec.core.errors import NotFoundError
from nestvec.core.types import JSON

if TYPE_CHECKING:
    from nestvec.store import Repair, Verification


def info(folder: Folder, json: AsJSON = False) -> None:
    """Say what a collection is and how large."""
    from nestvec.search.collection import Collection

    out = Output(as_json=json)
    with Collection.open(folder) as collection:
        found = collection.info()
        space = collection.space
    out.json(found)
    graph_ = found.get("graph")
    rows = [
        ("records", f"{found['records']:,}"),
        ("version", str(found["version"])),
        ("disk", f"{_size(found['bytes'])}, of which vectors {_size(found['vector_bytes'])}"),
        ("encoder", space.encoder),
        ("model", str(found["encoder"] or "none; vectors are brought along")),
        ("vectors", f"{space.dim} numbers each, {space.pooling} pooling, {space.metric}"),
        ("passages", _passages(found)),
        ("size", str(found["size"])),
        *told_search(found),
        ("fingerprint", str(found["fingerprint"])),
        ("graph", ", ".join(f"{k} {v}" for k, v in graph_.items()) if isinstance(graph_, dict) else "none"),
    ]
    if dead := found["deleted_rows"]:
        rows.append(("deleted", f"{dead:,} rows still on disk; nestvec compact gives their space back"))
    out.table(rows)


def _passages(found: dict[str, JSON]) -> str:
    tokens = found["passage_tokens"]
    return f"up to {tokens} tokens" if tokens else "records are not split"


def _size(value: JSON) -> str:
    return size(value) if isinstance(value, int) else "?"


def versions(folder: Folder, json: AsJSON = False) -> None:
    """List the versions that can be opened, oldest first."""
    from nestvec.store import Store

    out = Output(as_json=json)
    with Store.open(folder) as store:
        found = store.versions()
    out.json([as_json(version) for version in found])
    out.line(f"{'version':>7}  {'when (UTC)':19}  {'what':8}{'records':>9}{'added':>9}{'removed':>9}")
    for v in found:
        when = v.at[:19].replace("T", " ")
        out.line(f"{v.version:7}  {when:19}  {v.what:8}{v.count:9,}{v.added:9,}{v.removed:9,}")


def delete(
    folder: Folder,
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Of passages, or of whole documents.")],
    yes: Yes = False,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Take records away. Exit code 1 if none of them was there."""
    from nestvec.search.collection import Collection

    out = Output(as_json=json, quiet=quiet)
    with Collection.open(folder, write=True) as collection:
        confirm(f"Delete {several(len(set(ids)), 'id')} from {folder}?", yes=yes)
        removed = collection.delete(ids)
        out.json({"removed": removed, "version": collection.version})
        if out.talks and removed:
            out.line(f"{several(removed, 'record')} deleted; version {collection.version}")
    if not removed:
        which = repr(ids[0]) if len(ids) == 1 else f"any of these {len(ids)} ids"
        if json:
            raise typer.Exit(Code.NEGATIVE)
        raise NotFoundError(f"an id must be in {folder}, got {which}, which is not. Nothing was deleted.")


def compact(folder: Folder, json: AsJSON = False, quiet: Quiet = False) -> None:
    """Give back the space of what was deleted.

    Also of what was replaced. Older versions cannot be opened afterwards.
    """
    from nestvec.search.collection import Collection

    out = Output(as_json=json, quiet=quiet)
    with Collection.open(folder, write=True) as collection, waiting(out, "compacting"):
        done = collection.compact()
    out.json(as_json(done))
    if out.talks:
        before, after = done.bytes
        out.line(f"{size(before)} before, {size(after)} now; {several(done.removed, 'deleted row')} gone from the disk")


def graph(
    folder: Folder,
    recall: Annotated[
        float, typer.Option("--recall", min=0.5, max=1.0, help="Share of the 10 nearest that it must find.")
    ] = 0.99,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Build a graph, for faster search.

    It answers in less time than a scan of everything, at a recall that is measured on the stored rows.
    """
    from nestvec.search.collection import Collection

    out = Output(as_json=json, quiet=quiet)
    with Collection.open(folder, write=True) as collection, waiting(out, "building the graph"):
        found = as_json(collection.build_graph(recall=recall))
    out.json(found)
    if out.talks and isinstance(found, dict):
        out.table([(name.replace("_", " "), _figure(value)) for name, value in found.items()])


def _figure(value: JSON) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3g}" if isinstance(value, float) else str(value)


def verify(
    folder: Folder,
    quick: Annotated[bool, typer.Option("--quick", help="Only lengths, headers and lists of checksums.")] = False,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Compare every checksum. Exit code 1 if something is damaged."""
    from nestvec.store import verify as check

    out = Output(as_json=json, quiet=quiet)
    with waiting(out, "reading everything"):
        found = check(folder, quick=quick)
    out.json(as_json(found))
    _tell_verification(out, folder, found)
    if not found.ok:
        raise typer.Exit(Code.NEGATIVE)


def _tell_verification(out: Output, folder: Path, found: Verification) -> None:
    looked = f"{several(found.files, 'file')}, {size(found.bytes)}, {duration(found.seconds)}"
    if found.quick:
        looked = f"quick look at {several(found.files, 'file')}, {duration(found.seconds)}"
    if found.ok:
        if out.talks:
            out.line(f"whole ({looked})")
        return
    out.line(f"{several(len(found.problems), 'problem')} ({looked})")
    for problem in found.problems:
        out.block(str(problem), indent=2)
    if out.talks:
        out.line(f"To mend it: {command('repair', folder)}")


def repair(
    folder: Folder,
    yes: Yes = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Where its encoder is now, if that moved.")
    ] = None,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Make a damaged collection usable again. What is damaged is moved to its folder quarantine, never deleted.

    Exit code 1 if records were lost for good.
    """
    from nestvec.search.collection import Collection

    out = Output(as_json=json, quiet=quiet)
    confirm(f"Repair {folder}? Damaged files are moved to {folder / 'quarantine'}.", yes=yes)
    with waiting(out, "repairing"):
        done = Collection.repair(folder, encoder=model)
    out.json(as_json(done))
    if out.talks:
        _tell_repair(out, folder, done)
    if done.lost_rows or done.missing:
        raise typer.Exit(Code.NEGATIVE)


def _tell_repair(out: Output, folder: Path, done: Repair) -> None:
    if not done.actions and not done.quarantined:
        out.line("nothing had to be mended")
    for action in done.actions:
        out.block(action)
    for name in done.quarantined:
        out.line(f"moved to quarantine: {name}")
    if done.lost_rows:
        out.line(f"{several(done.lost_rows, 'record')} could not be read any more; index their source again")
    for array, count in done.missing.items():
        out.line(f"{several(count, 'record')} without a vector in {array!r}")
    out.line(f"To be sure: {command('verify', folder)}")
