"""``nestvec growing``: look at, join, carry and mend growing tables; and make an encoder of rows out of one."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002, PLR0913, PLR0917

from __future__ import annotations

import itertools
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nestvec.apps.cli.config import Quiet
from nestvec.apps.cli.console import AsJSON, Output, Yes, command, confirm, several, size
from nestvec.apps.cli.errors import Command
from nestvec.apps.cli.progress import waiting
from nestvec.apps.cli.tables import as_bytes, names_in
from nestvec.core.errors import InputError, NoCollectionError

if TYPE_CHECKING:
    from nestvec.core.types import JSON
    from nestvec.tables.growing import GrowingTable
    from nestvec.tables.row_encoding import RowFields

app = typer.Typer(
    name="growing",
    help="Tables of keys that grow: look at one, join two, carry one over, mend one; and encode rows of data by one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

Table = Annotated[Path, typer.Argument(metavar="TABLE", help="The folder of a growing table.")]
Weight = Annotated[
    float, typer.Option("--weight", min=0, max=1, help="Of what comes where a key is known; 1 replaces, 0 keeps.")
]


@app.command("info", cls=Command)
def info(table: Table, json: AsJSON = False) -> None:
    """Check every byte of a table, and say what it is and how full."""
    from nestvec.tables.growing import GrowingTable
    from nestvec.tables.row_encoding import read_saved

    out = Output(as_json=json)
    with waiting(out, "reading everything"), GrowingTable.open(table, write=False) as found:
        rows = read_saved(table)
        data = _told(found, rows.fields if rows else None)
    out.json(data)
    if not json:
        _show(out, data)


@app.command("export", cls=Command)
def export(
    table: Table,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A safetensors file to write.")],
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Write fingerprints, fields and float32 rows to one file that any library reads."""
    from nestvec.tables.growing import GrowingTable
    from nestvec.tables.growing import export as write

    out = Output(as_json=json, quiet=quiet)
    with GrowingTable.open(table, write=False) as found:
        rows = write(found, file)
    out.json({"rows": rows, "file": str(file), "bytes": file.stat().st_size})
    if out.talks:
        out.line(f"{several(rows, 'row')}, {size(file.stat().st_size)} in {file}")


@app.command("import", cls=Command)
def import_(
    table: Table,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What export wrote.")],
    weight: Weight = 1.0,
    cap: Annotated[str, typer.Option("--cap", metavar="SIZE", help="Memory of a new table, such as 64MB.")] = "64MB",
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Bring the rows of a file into a table; a new one is made if it is not there."""
    from nestvec.tables.growing import GrowingSpec, GrowingTable, spec_for, take_in

    out = Output(as_json=json, quiet=quiet)
    try:
        opened = GrowingTable.open(table)
    except NoCollectionError:
        dim, seed = spec_for(file)
        opened = GrowingTable.create(table, GrowingSpec(dim=dim, seed=seed, cap=as_bytes(cap, option="--cap")))
    with opened as found:
        taken = take_in(found, file, weight=weight)
        found.save()
        _tell_joined(out, found, taken)


@app.command("merge", cls=Command)
def merge(
    table: Table,
    other: Annotated[Path, typer.Argument(metavar="OTHER", help="Another table, which is not changed.")],
    weight: Weight = 0.5,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Bring the rows of another table into one."""
    from nestvec.tables.growing import GrowingTable
    from nestvec.tables.growing import merge as join

    if table.resolve() == other.resolve():
        raise InputError(f"two tables must be merged, got {table} twice.")
    out = Output(as_json=json, quiet=quiet)
    with GrowingTable.open(table) as found, GrowingTable.open(other, write=False) as more:
        taken = join(found, more, weight=weight)
        found.save()
        _tell_joined(out, found, taken)


@app.command("repair", cls=Command)
def repair(table: Table, yes: Yes = False, json: AsJSON = False) -> None:
    """Go back to the last save before a damaged file. What came after is moved aside, never deleted."""
    from nestvec.tables.growing import DamageWarning, GrowingTable

    out = Output(as_json=json)
    confirm(f"Cut {table} back to its last whole save, if a file is damaged?", yes=yes)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", DamageWarning)
        with GrowingTable.open(table, cut_back=True) as found:
            rows = len(found)
    done = [str(warning.message) for warning in said]
    out.json({"rows": rows, "done": list(done)})
    for line in done or ["nothing had to be mended"]:
        out.block(line)
    out.line(f"{several(rows, 'row')} in {table}")


@app.command("rows", cls=Command)
def rows(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="CSV, TSV, JSON Lines or Parquet.")],
    to: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="New: the table and its encoder.")],
    categorical: Annotated[str, typer.Option("--categorical", metavar="COLUMN,…", help="Keys, or lists of them.")] = "",
    numeric: Annotated[str, typer.Option("--numeric", metavar="COLUMN,…", help="Numbers.")] = "",
    text: Annotated[str, typer.Option("--text", metavar="COLUMN,…", help="Read by the model.")] = "",
    model: Annotated[str, typer.Option("--model", "-m", help="For text: default, a folder, or a hub id.")] = "default",
    size_: Annotated[str, typer.Option("--size", help="Of the model; L0 is its token table alone.")] = "L0",
    dim: Annotated[int, typer.Option("--dim", min=1, help="Of the vectors.")] = 32,
    cap: Annotated[str, typer.Option("--cap", metavar="SIZE", help="Memory that the table may take.")] = "64MB",
    most: Annotated[int, typer.Option("--rows", min=2, help="Read no more.")] = 200_000,
    json: AsJSON = False,
    quiet: Quiet = False,
) -> None:
    """Fit an encoder to rows of data, without labels: rows that are alike get like vectors.

    Columns that are not named are guessed if none is named at all. Afterwards the folder is a model for
    nestvec index, and a query is a row as JSON, of which any columns may be missing.

    Example: nestvec growing rows goods.csv --to goods.rows
    """
    from nestvec.inputs import cells
    from nestvec.tables.growing import GrowingSpec, GrowingTable
    from nestvec.tables.row_encoding import RowEncoder, RowFields, guess_fields

    out = Output(as_json=json, quiet=quiet)
    named = [tuple(names_in(names)) for names in (categorical, numeric, text)]
    spec = GrowingSpec(dim=dim, cap=as_bytes(cap, option="--cap"))
    found = list(itertools.islice(cells(data), most))
    _check_named(data, found, named)
    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise InputError(f"--to must be a new or empty folder, got {to}, which is not.")
    fields = RowFields(*named) if any(named) else guess_fields(found)
    encoder = None
    if fields.text:
        from nestvec.encoders import load

        with waiting(out, "loading the model"):
            encoder = load(model, size=size_)
    to.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{to.name}.", dir=to.parent) as beside:  # wholly made or not at all
        made = Path(beside) / to.name
        with GrowingTable.create(made, spec) as table, waiting(out, f"fitting to {several(len(found), 'row')}"):
            RowEncoder.fit(found, fields, table, text_encoder=encoder).save()
            told = {**_told(table, fields), "path": str(to)}
        made.replace(to)
    out.json(told)
    if out.talks:
        _show(out, told)
        out.line(f"Next: {command('index', data, '--to', 'DIR', '--model', to)}")


def _check_named(data: Path, rows: Sequence[dict[str, JSON]], named: Sequence[Sequence[str]]) -> None:
    known = dict.fromkeys(name for row in rows for name in row)
    for name in (name for names in named for name in names):
        if name not in known:
            raise InputError(f"a column must be one of {data}, got {name!r}; there are {', '.join(known)}.")


def _told(table: GrowingTable, fields: RowFields | None) -> dict[str, JSON]:
    has, spec = table.occupancy, table.spec
    told: dict[str, JSON] = {
        "path": str(table.path), "dim": spec.dim, "dtype": spec.dtype, "cap": spec.cap, "rows": has.rows,
        "most": has.most, "fields": dict(has.fields), "bytes": has.disk, "admit_after": spec.admit_after,
        "expiry": spec.expiry, "full": spec.full,
    }  # fmt: skip
    if fields is not None:
        told["reads"] = {
            "categorical": list(fields.categorical), "numeric": list(fields.numeric), "text": list(fields.text),
        }  # fmt: skip
    return told


def _show(out: Output, told: dict[str, JSON]) -> None:
    fields, reads, most = told["fields"], told.get("reads"), told["most"]
    assert isinstance(fields, dict)  # noqa: S101  # for mypy
    assert isinstance(most, int)  # noqa: S101
    named = ", ".join(f"{name or '(no name)'} {count:,}" for name, count in fields.items()) or "none yet"
    lines = [
        ("table", str(told["path"])),
        ("rows", f"{told['rows']:,} of {most:,} that {size(int(str(told['cap'])))} of memory have room for"),
        ("fields", named),
        ("kept as", f"{told['dim']} {told['dtype']} numbers a row, {size(int(str(told['bytes'])))}"),
    ]
    if isinstance(reads, dict):
        lines += [
            (f"{kind}", ", ".join(map(str, names)))
            for kind, names in reads.items()
            if isinstance(names, list) and names
        ]
    out.table(lines)


def _tell_joined(out: Output, table: GrowingTable, taken: int) -> None:
    has = table.occupancy
    out.json({"taken": taken, "refused": has.refused, "rows": has.rows, "path": str(table.path)})
    if out.talks:
        out.line(f"{several(taken, 'row')} came; {several(has.rows, 'row')} in {table.path} now")
        if has.refused:
            out.line(f"{several(has.refused, 'row')} found no room; make a table with a larger cap")
