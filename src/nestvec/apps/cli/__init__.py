"""The command line. Nothing here imports a heavy library before a command needs it: ``--help`` answers at once.

A command is a plain function; one file holds those that belong together. What they share: where a setting comes
from (``config``), what is shown and where (``console``, ``progress``), and which error ends in which exit code
(``errors``).
"""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nestvec import __version__
from nestvec.apps.cli import (
    config,
    diagnosing,
    doctor,
    domains,
    evaluating,
    exporting,
    fitting,
    following,
    growing,
    indexing,
    keeping,
    layering,
    likeness,
    limits,
    planning,
    reporting,
    resizing,
    searching,
    sizing,
    staging,
    tables,
)
from nestvec.apps.cli.errors import Command, Program

app = typer.Typer(
    name="nestvec",
    cls=Program,
    no_args_is_help=True,
    rich_markup_mode=None,  # frames leave no room for words on 80 columns, and drawing them takes twice as long
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)

for _command in (
    indexing.index,
    searching.search,
    searching.show,
    keeping.info,
    keeping.versions,
    keeping.delete,
    keeping.compact,
    resizing.resize,
    keeping.graph,
    keeping.verify,
    keeping.repair,
    exporting.export,
    fitting.fit,
    sizing.sizes,
    diagnosing.diagnose,
    domains.domain_gap,
    likeness.similar_models,
    limits.needle,
    limits.capacity,
    following.trajectory,
    evaluating.evaluate,
    evaluating.compare,
    staging.feet,
    layering.layers,
    evaluating.tasks,
    planning.plan,
    reporting.report,
    tables.tables,
    doctor.doctor,
    doctor.parity,
):
    app.command(cls=Command)(_command)
app.add_typer(growing.app, name="growing")
app.add_typer(config.app, name="config")


def _say_version(asked: bool) -> bool:  # noqa: FBT001  # typer hands it over by position
    if asked:
        typer.echo(f"nestvec {__version__}")
        raise typer.Exit
    return asked


@app.callback(
    epilog="Exit codes: 0 done, 1 no (nothing found, damage found), 2 usage, 3 bad data, 4 a library is "
    "missing, 5 storage, 130 interrupted."
)
def options(
    ctx: typer.Context,
    file: Annotated[
        Path | None,
        typer.Option(
            "--config", envvar="NESTVEC_CONFIG", metavar="FILE", help="Settings in TOML; see: nestvec config show"
        ),
    ] = None,
    debug: Annotated[  # noqa: ARG001  # read in errors.py, where a failure ends
        bool, typer.Option("--debug", envvar="NESTVEC_DEBUG", help="Show where in the program an error arose.")
    ] = False,
    version: Annotated[  # noqa: ARG001  # its callback answers
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Put files into a collection, and find by meaning what is in them.

    Start with: nestvec index FOLDER --to DIR, then: nestvec search DIR "what you are looking for".
    """
    found = config.read(file)
    ctx.obj = found
    ctx.default_map = {command: dict(found.values) for command in config.COMMANDS}


def main() -> None:
    """Run the program with the arguments of this process, and exit."""
    app()


__all__ = ["app", "main"]
