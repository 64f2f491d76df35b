"""How far long work is: a bar on a terminal, a line now and then elsewhere, nothing where nobody wants it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from nestvec.apps.cli.console import Output, duration, rich_console

_EVERY = 5.0  # seconds between two lines in a log


Meter = Callable[[int], None]
"""Is told how much is done, in all."""


@contextmanager
def meter(out: Output, what: str, *, total: int | None) -> Iterator[Meter]:
    """Something to call with the count of what is done.

    Args:
        out: says whether anything is shown.
        what: what is counted, in the plural.
        total: how many there will be; None if that is not known.
    """
    if not out.talks:
        yield lambda done: None  # noqa: ARG005
    elif sys.stderr.isatty():
        with _bar(what, total) as shown:
            yield shown
    else:
        yield _Lines(what, total)


@contextmanager
def waiting(out: Output, what: str) -> Iterator[None]:
    """Show what is being waited for, on a terminal."""
    if out.talks and sys.stderr.isatty():
        with rich_console(error=True).status(what):
            yield
    else:
        yield


@contextmanager
def _bar(what: str, total: int | None) -> Iterator[Meter]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    start = time.monotonic()
    columns = (BarColumn(bar_width=20), MofNCompleteColumn(), TextColumn(f"{what}, {{task.fields[rate]}}"))
    left = (TimeRemainingColumn(), TextColumn("left")) if total else ()
    with Progress(*columns, *left, console=rich_console(error=True), transient=True) as progress:
        task = progress.add_task("", total=total or None, rate="…")

        def show(done: int) -> None:
            rate = f"{done / max(time.monotonic() - start, 1e-9):,.0f}/s"
            progress.update(task, completed=done, rate=rate)

        yield show


class _Lines:
    def __init__(self, what: str, total: int | None) -> None:
        self._what, self._total = what, total
        self._start = self._last = time.monotonic()

    def __call__(self, done: int, /) -> None:
        now = time.monotonic()
        if now - self._last < _EVERY:
            return
        self._last = now
        rate = done / (now - self._start)
        of = f" of {self._total:,}" if self._total else ""
        left = f", {duration((self._total - done) / rate)} left" if self._total and done and done < self._total else ""
        sys.stderr.write(f"{done:,}{of} {self._what}, {rate:,.0f}/s{left}\n")
        sys.stderr.flush()
