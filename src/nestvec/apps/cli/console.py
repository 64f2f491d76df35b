"""What is shown, and where: data on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nestvec.core.types import JSON

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

AsJSON = Annotated[bool, typer.Option("--json", help="Data on standard output, and nothing else.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_STRONG = "bold"
_FAINT = "dim"
# what moves the cursor, rings, colours, or turns the direction of writing around: text of others may hold it
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


def clean(text: str) -> str:
    """Text that cannot command the terminal: control characters become U+FFFD, lone surrogates a question mark."""
    return _UNSAFE.sub("\ufffd", text.replace("\r\n", "\n")).encode("utf-8", "replace").decode()


def size(count: int) -> str:
    """Bytes for people, in powers of 1,000 as disks are sold."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def duration(seconds: float) -> str:
    """Seconds for people."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def several(count: int, noun: str) -> str:
    """``1 passage``, ``2 passages``."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def command(*words: object) -> str:
    """A command as it can be typed."""
    return shlex.join(["nestvec", *(str(word) for word in words)])


@dataclass(frozen=True)
class Output:
    """Where a command speaks.

    Args:
        as_json: only :meth:`json` reaches standard output.
        quiet: no progress and no summary.
    """

    as_json: bool = False
    quiet: bool = False

    @property
    def talks(self) -> bool:
        """Whether there is anybody to tell about progress."""
        return not self.as_json and not self.quiet

    def json(self, value: JSON, *, indent: int | None = 2) -> None:
        """Print a value as JSON, if that was asked for."""
        if not self.as_json:
            return
        ascii_only = "utf" not in (sys.stdout.encoding or "").lower()  # else signs would be lost, and data with them
        text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")

    def line(self, *parts: str | Text) -> None:
        """Print one line for people, never folded."""
        if not self.as_json:
            console = rich_console()
            console.print(*(clean(p) if isinstance(p, str) else p for p in parts), sep="", soft_wrap=True)

    def block(self, text: str | Text, *, indent: int = 0, style: str = "") -> None:
        """Print a paragraph for people, folded to the width of the terminal."""
        if self.as_json:
            return
        from rich.text import Text

        console = rich_console()
        whole = Text(clean(text), style=style) if isinstance(text, str) else text
        for row in whole.wrap(console, max(20, console.width - indent)):
            row.rstrip()
            console.print(Text(" " * indent) + row if row else "", soft_wrap=True)

    def table(self, rows: Iterable[tuple[str, str]], *, indent: int = 0) -> None:
        """Print names and values in two columns; a long value goes on below its beginning."""
        if self.as_json:
            return
        from rich.text import Text

        rows = list(rows)
        console = rich_console()
        width = max((len(name) for name, _ in rows), default=0) + 2
        for name, value in rows:
            folded = Text(clean(value)).wrap(console, max(20, console.width - indent - width))
            for number, row in enumerate(folded or [Text()]):
                row.rstrip()
                start = " " * indent + (name if number == 0 else "").ljust(width)
                console.print(Text.assemble((start, _FAINT), row), soft_wrap=True)

    def note(self, text: str) -> None:
        """Tell something on standard error."""
        if self.talks:
            sys.stderr.write(clean(text) + "\n")


def strong(text: str) -> Text:
    """For what the eye should find first."""
    return _styled(text, _STRONG)


def faint(text: str) -> Text:
    """For what is there when it is looked for."""
    return _styled(text, _FAINT)


def _styled(text: str, style: str) -> Text:
    from rich.text import Text

    return Text(clean(text), style=style)


def rich_console(*, error: bool = False) -> Console:
    """A rich console on standard output or standard error; colours on a terminal, unless ``NO_COLOR`` is set."""
    from rich.console import Console

    class Pipe(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError  # errors.py sees to it; rich would exit with 1

    return Pipe(file=sys.stderr if error else sys.stdout, highlight=False, markup=False, emoji=False)


def confirm(question: str, *, yes: bool) -> None:
    """Return if the user agrees.

    Raises:
        typer.BadParameter: nobody can be asked, and ``--yes`` was not given.
        typer.Exit: the user does not.
    """
    if yes:
        return
    if not _can_ask():
        raise typer.BadParameter(f"{question} Nobody can be asked here; give --yes to agree.")
    if not typer.confirm(clean(question), err=True):
        typer.echo("Nothing was changed.", err=True)
        raise typer.Exit(1)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def as_json(value: Any) -> JSON:
    """A result with ``to_json``, or a dataclass, as plain data."""
    from dataclasses import asdict

    found: JSON = value.to_json() if hasattr(value, "to_json") else asdict(value)
    return found
