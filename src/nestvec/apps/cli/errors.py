"""The one place where an error becomes a sentence and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from nestvec.core.errors import InputError, MissingExtraError, NestvecError, NotFoundError, StoreError


class Code(IntEnum):
    """What the process ends with. 6 is kept for servers that are asked over a network."""

    OK = 0
    NEGATIVE = 1
    USAGE = 2
    DATA = 3
    EXTRA = 4
    STORAGE = 5
    REMOTE = 6
    FAULT = 70  # EX_SOFTWARE of sysexits.h
    INTERRUPTED = 130  # 128 + SIGINT, as shells count
    PIPE = 141  # 128 + SIGPIPE


_CODES: tuple[tuple[type[BaseException], Code], ...] = (
    (NotFoundError, Code.NEGATIVE),
    (MissingExtraError, Code.EXTRA),
    (InputError, Code.DATA),
    (StoreError, Code.STORAGE),
    (NestvecError, Code.DATA),
    (OSError, Code.STORAGE),
)

# Typer brings its own copy of click since 0.20 and the real one before; this is the root of usage errors in both.
_UsageProblem: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what the user should know about it."""


def code_of(error: BaseException) -> Code:
    """The exit code for an error; :attr:`Code.FAULT` if it is none that nestvec raises on purpose."""
    return next((code for kind, code in _CODES if isinstance(error, kind)), Code.FAULT)


class Command(TyperCommand):
    """One command."""

    context_class = typer.Context


class Program(TyperGroup):
    """The root of all commands. Whatever goes wrong below ends here as one sentence on standard error."""

    context_class = typer.Context  # typer annotates with its own class, and hands over another

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a closed pipe and Ctrl-C are handled before typer gives them codes of its own."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except (BrokenPipeError, StoreError) as cause:
            # a pipe that closes while a collection is being read is taken for a failing disk there
            if not isinstance(cause, BrokenPipeError) and not isinstance(cause.__cause__, BrokenPipeError):
                raise
            _forget_output()
            raise typer.Exit(Code.PIPE) from cause
        except KeyboardInterrupt as cause:
            _complain("interrupted", str(cause))
            raise typer.Exit(Code.INTERRUPTED) from cause
        return done

    def main(  # type: ignore[override]  # never returns
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> None:
        """Run, and exit with a code of :class:`Code`."""
        given = _general_first(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a sign that the terminal cannot show is no reason to fail
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            sys.exit(self._run(given, prog_name or "nestvec", extra))

    def _run(self, args: list[str], name: str, extra: dict[str, Any]) -> int:
        try:
            code = super().main(args, name, **extra)
        except _UsageProblem as cause:
            _explain_usage(cause, name)
            return int(Code.USAGE)
        except typer.Abort:
            _complain("interrupted", "")
            return int(Code.INTERRUPTED)
        except Exception as cause:  # noqa: BLE001  # the last stop of all errors
            return int(_report(cause, debug=_debugging(args)))
        return code if isinstance(code, int) else int(Code.OK)


def _report(error: Exception, *, debug: bool) -> Code:
    code = code_of(error)
    if debug:
        traceback.print_exception(error)
    if code is Code.FAULT:
        hint = "" if debug else " This is a fault in nestvec; --debug shows where it arose."
        _complain("error", f"{type(error).__name__}: {error}.{hint}")
    elif isinstance(error, NestvecError) or not isinstance(error, OSError):
        _complain("error", str(error))
    else:
        where = f"{error.filename}: " if error.filename else ""
        _complain("error", f"{where}{error.strerror or error}.")
    return code


def _explain_usage(problem: Any, name: str) -> None:
    where: Any = getattr(problem, "ctx", None)
    if type(problem).__name__ == "NoArgsIsHelpError":  # a group without a command: its message is the help
        typer.echo(where.get_help(), err=True)
        return
    _complain("error", _sentence(problem.format_message()))
    typer.echo(f"Try: {where.command_path if where else name} --help", err=True)


def _complain(what: str, message: str) -> None:
    from nestvec.apps.cli.console import clean

    sys.stderr.write(f"{what}: {clean(message)}\n" if message else f"{what}\n")


def _sentence(message: str) -> str:
    """Without the line breaks that click puts between alternatives."""
    text = " ".join(message.split()).removeprefix("Invalid value: ")
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    _complain("warning", str(message))


def _forget_output() -> None:
    """Standard output leads nowhere from now on, so that Python does not fail over it at the end."""
    try:
        out = sys.stdout.fileno()
    except (OSError, ValueError, AttributeError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, out)
    os.close(nowhere)


def _general_first(args: Sequence[str]) -> list[str]:
    """Arguments with ``--config FILE`` and ``--debug`` in front, where typer wants them; people put them anywhere."""
    front: list[str] = []
    rest: list[str] = []
    left = list(args)
    while left:
        arg = left.pop(0)
        if arg == "--":
            return [*front, *rest, arg, *left]
        if arg == "--debug" or arg.startswith("--config="):
            front.append(arg)
        elif arg == "--config" and left:
            front += [arg, left.pop(0)]
        else:
            rest.append(arg)
    return front + rest


def _debugging(args: Sequence[str]) -> bool:
    return "--debug" in args or os.environ.get("NESTVEC_DEBUG", "0") not in ("", "0", "false")
