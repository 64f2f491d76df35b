"""``nestvec resize``: a collection at another size, in place."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nestvec.apps.cli.config import Quiet
from nestvec.apps.cli.console import AsJSON, Output, as_json, command, duration, several
from nestvec.apps.cli.console import size as bytes_
from nestvec.apps.cli.progress import meter
from nestvec.apps.cli.searching import Folder
from nestvec.core.types import JSON

if TYPE_CHECKING:
    from nestvec.search.collection import Collection
    from nestvec.search.resizing import Resized


def resize(
    folder: Folder,
    size: Annotated[str, typer.Argument(metavar="SIZE", help="As in L3-d128-b1; a dial left out is fully up.")],
    codec: Annotated[
        str | None, typer.Option("--codec", metavar="NAME", help="What keeps vectors in so many bits, as in pq@1.")
    ] = None,
    recall: Annotated[
        float | None,
        typer.Option("--recall", min=0.5, max=1.0, help="Share of the 10 nearest to find through codes; .99 at first."),
    ] = None,
    candidates: Annotated[
        int,
        typer.Option(
            "--candidates", min=0, help="To rescore or compare for 10 results, in place of --recall; 0 to measure."
        ),
    ] = 0,
    funnel: Annotated[
        bool | None, typer.Option("--funnel/--no-funnel", help="Search leading dimensions first; as it is if left out.")
    ] = None,
    graph: Annotated[
        bool | None, typer.Option("--graph/--no-graph", help="Have a graph or none; as it is if left out.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Where its encoder is now, if that moved.")
    ] = None,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Turn a collection to another size, in place.

    Other bits make other codes, in seconds. Another depth or dim makes other vectors, from the stored texts; older
    versions cannot be opened then, and a graph is built again. Until all is done the collection is as it was.

    Example: nestvec resize my.nest b1
    """
    from nestvec.search.collection import Collection

    out = Output(as_json=json, quiet=quiet)
    with Collection.open(folder, write=True, encoder=model) as collection:
        before = collection.settings.size
        with meter(out, "records", total=len(collection)) as shown:
            done = collection.resize(
                size, codec=codec, recall=recall, candidates=candidates, funnel=funnel, graph=graph,
                progress=lambda now, _: shown(now),
            )  # fmt: skip
        _tell(out, collection, before, done)


def _tell(out: Output, collection: Collection, before: str, done: Resized) -> None:
    info = collection.info()
    data = as_json(done)
    assert isinstance(data, dict)  # noqa: S101  # for mypy
    out.json({**data, "collection": info})
    if not out.talks:
        return
    vectors = "stay as they are"
    if done.encoded:
        vectors = f"{several(done.encoded, 'record')} encoded again"
    elif done.cut:
        vectors = f"{several(done.cut, 'vector')} cut to {collection.space.dim} numbers"
    rows = [("size", f"{before} before, {done.size} now"), ("vectors", vectors), *told_search(info)]
    if done.graph is not None:
        rows.append(("graph", f"built, {bytes_(done.graph.bytes)}; recall {done.graph.recall:.3g} measured"))
    out.table([*rows, ("time", duration(done.seconds))])
    out.line(f'Next: {command("search", collection.path)} "what you are looking for"')


def told_search(info: dict[str, JSON]) -> list[tuple[str, str]]:
    """What a collection says of its several vectors, its codes, or its funnel, whichever it has, on one line."""
    if isinstance(several_ := info["several"], dict):
        return [("kept", _kept(several_))]
    if not info["bands"]:
        return [("codes", _codes(info))]
    funnel = info["funnel"]
    if not isinstance(funnel, dict):
        from nestvec.search.codes import FROM

        return [("funnel", f"from {FROM:,} records on; until then every vector is compared")]
    widths, keep, laid_out = (cast("Any", funnel[name]) for name in ("widths", "keep", "laid_out"))
    steps = ", ".join(f"{count} by {width}" for width, count in zip(widths, keep, strict=True))
    told = f"best {steps} dimensions; recall {funnel['recall']:.3g} measured, {funnel['target']:.3g} asked"
    if laid_out < 1:
        told += f"; {laid_out:.0%} of the vectors laid out for it, all of them after nestvec compact"
    return [("funnel", told)]


def _kept(info: dict[str, JSON]) -> str:
    vectors, kept, found = info["vectors"], cast(int, info["kept"]), info["candidates"]
    many = f"up to {vectors} vectors" if isinstance(vectors, int) else f"{vectors} vectors"
    bits = "1 bit" if info["bits"] == 1 else f"{info['bits']} bits"
    size_ = bytes_(cast(int, info["bytes"]))
    told = f"{many} a record, {kept:,} of {info['dim']} numbers; {info['codec']}, {bits}, {size_}"
    if not isinstance(found, dict):
        return f"{told}; all are compared while there are few records"
    if found["fixed"] and found["m"] >= found["rows"]:
        return f"{told}; all are compared"
    measured = f"recall {found['recall']:.3g} measured"
    if not found["fixed"]:
        measured += f", {found['target']:.3g} asked"
    return f"{told}; best {found['m']} by their single vector compared, {measured}"


def _codes(info: dict[str, JSON]) -> str:
    codes = info["codes"]
    if isinstance(codes, dict):
        memory = codes["memory_bytes"]
        held = bytes_(memory if isinstance(memory, int) else 0)
        bits = "1 bit" if codes["bits"] == 1 else f"{codes['bits']} bits"
        measured = f"recall {codes['recall']:.3g} measured"
        if not codes["fixed"]:
            measured += f", {codes['target']:.3g} asked"
        return f"{codes['codec']}, {bits} a dimension, {held} in memory; best {codes['m']} rescored, {measured}"
    if info["codec"]:
        from nestvec.search.codes import FROM

        return f"{info['codec']}, from {FROM:,} records on; until then every vector is compared"
    return "none; every vector is compared"
