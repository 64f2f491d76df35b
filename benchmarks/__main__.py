"""``python -m benchmarks NAME [--quick]``: print a table, and end with one JSON line."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import sys

from rich.console import Console
from rich.table import Table

import benchmarks
from benchmarks.harness import Outcome, report

_NOT_BENCHMARKS = ("harness",)


def names() -> dict[str, str]:
    """Every benchmark with the first line of what it says it measures."""
    found = {}
    for module in pkgutil.iter_modules(benchmarks.__path__):
        if not module.name.startswith("_") and module.name not in _NOT_BENCHMARKS:
            name = module.name.removesuffix("_")  # `import_` stands for `import`
            found[name] = (importlib.import_module(f"benchmarks.{module.name}").__doc__ or "").splitlines()[0]
    return found


def show(name: str, outcome: Outcome) -> None:
    """Print the table, the notes and what is missing."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 140)
    table = Table(title=name, title_justify="left")
    for i, column in enumerate(outcome.columns):
        table.add_column(column, justify="left" if i == 0 else "right")
    for row in outcome.rows:
        table.add_row(*(f"{cell:.4g}" if isinstance(cell, float) else str(cell) for cell in row))
    console.print(table)
    for note in outcome.notes:
        console.print(note)
    for key, reason in outcome.missing.items():
        console.print(f"not measured: {key}: {reason}")


def main() -> int:
    """Run one benchmark."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", nargs="?", help="which benchmark")
    parser.add_argument("--quick", action="store_true", help="a smaller run of the same shape, under a minute")
    parser.add_argument("--list", action="store_true", help="name them all")
    parser.add_argument("--file", metavar="PATH:COLUMN", help="rows of your own and what to foretell (tables_ctr)")
    asked = parser.parse_args()
    known = names()
    if asked.list or not asked.name:
        for name, what in known.items():
            print(f"{name:12} {what}")
        return 0
    if asked.name not in known:
        parser.error(f"unknown benchmark {asked.name!r}; there are {', '.join(known)}")
    module = asked.name if asked.name != "import" else "import_"
    run = importlib.import_module(f"benchmarks.{module}").run
    own = {"file": asked.file} if asked.file else {}
    if own and "file" not in inspect.signature(run).parameters:
        parser.error(f"{asked.name} has data of its own; --file goes with tables_ctr")
    outcome: Outcome = run(quick=asked.quick, **own)
    show(asked.name, outcome)
    print(report(asked.name, outcome))
    return 0


if __name__ == "__main__":
    sys.exit(main())
