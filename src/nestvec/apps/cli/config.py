"""Where a setting comes from: a flag, else the environment, else a file, else the default."""

# Typer takes options for arguments with defaults: many of them, and booleans too.
# ruff: noqa: FBT002

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from nestvec.apps.cli.console import AsJSON, Output
from nestvec.apps.cli.errors import Command
from nestvec.core.errors import InputError, UnknownNameError
from nestvec.core.types import JSON

Value = str | int | bool | None


class Mode(StrEnum):
    """How a search compares."""

    DENSE = "dense"
    LEXICAL = "lexical"


class Precision(StrEnum):
    """Of the arithmetic inside a model."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True)
class Setting:
    """One thing that can be set for all commands at once.

    Args:
        default: what holds if nobody says anything; None means that it depends.
        kind: of its value.
        help: for ``--help``.
        choices: all values there are; empty for any.
        at_least: of a number.
    """

    default: Value
    kind: type[str | int | bool]
    help: str
    choices: tuple[str, ...] = ()
    at_least: int | None = None

    @property
    def metavar(self) -> str | None:
        """How a value is written in ``--help``."""
        if self.kind is bool:
            return None
        return "|".join(self.choices) or ("N" if self.kind is int else "NAME")


SETTINGS: Mapping[str, Setting] = {
    "model": Setting(None, str, "Encoder of new collections: default, a model folder, or a hub id."),
    "precision": Setting("auto", str, "Of the arithmetic inside the model.", tuple(Precision)),
    "device": Setting("auto", str, "Where the model runs: auto, cpu, cuda …"),
    "passage_tokens": Setting(
        None,
        int,
        "Longest passage of a new collection; as many tokens as the model sees by default, 0 never splits.",
        at_least=0,
    ),
    "overlap": Setting(32, int, "Tokens shared by two passages where a section was cut.", at_least=0),
    "k": Setting(10, int, "How many results.", at_least=1),
    "mode": Setting("dense", str, "By meaning (dense) or by words (lexical).", tuple(Mode)),
    "per_document": Setting(default=True, kind=bool, help="The best passage of each document, or all passages."),
    "quiet": Setting(default=False, kind=bool, help="No progress and no summary."),
}

COMMANDS = (
    "index",
    "search",
    "show",
    "info",
    "delete",
    "compact",
    "resize",
    "graph",
    "verify",
    "repair",
    "export",
    "fit",
    "sizes",
    "diagnose",
    "domain-gap",
    "similar-models",
    "needle",
    "capacity",
    "trajectory",
    "evaluate",
    "compare",
    "feet",
    "layers",
    "plan",
    "report",
    "parity",
)
"""Those that take settings."""


def variable(name: str) -> str:
    """Name of a setting in the environment."""
    return f"NESTVEC_{name.upper()}"


def option(name: str, *flags: str, **more: Any) -> Any:
    """The typer option of a setting."""
    setting = SETTINGS[name]
    more.setdefault("help", setting.help)
    return typer.Option(*flags, envvar=variable(name), min=setting.at_least, metavar=setting.metavar, **more)


Quiet = Annotated[bool, option("quiet", "--quiet", "-q")]


@dataclass(frozen=True)
class File:
    """A settings file that was read; no path if there is none."""

    path: Path | None = None
    values: Mapping[str, Value] = field(default_factory=dict)


def places() -> tuple[Path, ...]:
    """Where a settings file is looked for if none is named; the first one that is there counts, alone."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return Path("nestvec.toml"), Path(home).expanduser() / "nestvec" / "config.toml"


def read(path: Path | None) -> File:
    """Read the settings file.

    Raises:
        InputError: it is not there, no TOML, or a value is out of range.
        UnknownNameError: it names something that is no setting.
    """
    if path is None:
        path = next((place for place in places() if place.is_file()), None)
        if path is None:
            return File()
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as cause:
        raise InputError(f"a settings file must be readable, got {str(path)!r}: {cause.strerror}.") from cause
    except ValueError as cause:  # also bytes that are no UTF-8
        raise InputError(f"a settings file must be TOML, got {str(path)!r}: {cause}.") from cause
    return File(path, {_known(name, path): _checked(name, value, f"{path}: {name}") for name, value in found.items()})


def _known(name: str, path: Path) -> str:
    if name not in SETTINGS:
        near = difflib.get_close_matches(name, SETTINGS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SETTINGS)}."
        raise UnknownNameError(f"{path}: unknown setting {name!r}; {hint}")
    return name


def _checked(name: str, value: Any, where: str) -> Value:
    if name not in SETTINGS:
        return None  # _known says so
    setting = SETTINGS[name]
    if type(value) is not setting.kind:
        kind = {str: "a string", int: "a whole number", bool: "true or false"}[setting.kind]
        raise InputError(f"{where} must be {kind}, got {value!r}.")
    if setting.choices and value not in setting.choices:
        raise InputError(f"{where} must be one of {', '.join(setting.choices)}, got {value!r}.")
    if setting.at_least is not None and int(value) < setting.at_least:
        raise InputError(f"{where} must be at least {setting.at_least}, got {value}.")
    checked: Value = value
    return checked


def from_flag(ctx: typer.Context, name: str) -> bool:
    """Whether a parameter was given on the command line itself."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def effective(file: File, environment: Mapping[str, str]) -> dict[str, tuple[Value, str]]:
    """Every setting with its value and where that comes from, flags left aside.

    Raises:
        InputError: a value in the environment is not what it should be.
    """
    found: dict[str, tuple[Value, str]] = {}
    for name, setting in SETTINGS.items():
        text = environment.get(variable(name), "")
        if text:
            found[name] = _checked(name, _parsed(text, setting.kind), variable(name)), f"environment, {variable(name)}"
        elif name in file.values:
            found[name] = file.values[name], f"file, {file.path}"
        else:
            found[name] = setting.default, "default"
    return found


def _parsed(text: str, kind: type[str | int | bool]) -> Value:
    if kind is int and text.lstrip("-").isdecimal():
        return int(text)
    if kind is bool and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return text


# as typer reads them
_WORDS = dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True) | dict.fromkeys(
    ("0", "false", "f", "no", "n", "off"), False
)

app = typer.Typer(help="The settings that are in force.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The settings that are in force."""


@app.command(cls=Command)
def show(
    ctx: typer.Context,
    origin: Annotated[bool, typer.Option("--origin", help="Also where each comes from.")] = False,
    json: AsJSON = False,
) -> None:
    """Show every setting and its value.

    A flag goes before the environment (NESTVEC_ and the name in capitals), that before the file, that before the
    default. The file is the one named with --config, else nestvec.toml in this folder, else config.toml in the
    folder nestvec of the user's configuration.
    """
    file = ctx.obj if isinstance(ctx.obj, File) else File()
    settings = effective(file, os.environ)
    out = Output(as_json=json)
    data: dict[str, JSON] = {
        name: {"value": value, "origin": source} if origin else value for name, (value, source) in settings.items()
    }
    out.json(data)
    width = max(len(str(_shown(value))) for value, _ in settings.values())
    rows = [(n, f"{_shown(v):{width}}  {source}" if origin else _shown(v)) for n, (v, source) in settings.items()]
    out.table(rows)


def _shown(value: Value) -> str:
    if value is None:
        return "(depends)"
    return str(value).lower() if isinstance(value, bool) else str(value)
