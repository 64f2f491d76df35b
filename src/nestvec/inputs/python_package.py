"""Importable packages and modules: one document a docstring, found without importing anything."""

from __future__ import annotations

import difflib
import importlib.machinery
import importlib.util
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from nestvec.core import Record
from nestvec.core.errors import InputError
from nestvec.core.types import JSON
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.python_source import documented, parsed
from nestvec.inputs.report import Reason

STDLIB = "stdlib"
"""``python:stdlib`` is every public module of the standard library."""

_TESTS = frozenset({"test", "tests", "testing"})
_NOT_FOR_READERS = frozenset({"test", "idlelib", "lib2to3", "turtledemo", "antigravity", "this"})


class Module(NamedTuple):
    """A module and its file; None if it has no source, being built in or compiled."""

    name: str
    path: Path | None


def read_package(incoming: Incoming) -> Iterator[Record]:
    """One record for each public name with a docstring, in every module below the package ``incoming.name``.

    Ids and titles are qualified names (``json.JSONDecoder.decode``). Modules of tests are passed over.

    Raises:
        UnreadableError: there is no source code for it.
    """
    source, some = incoming.source, False
    for module in modules(incoming.name):
        if module.path is None:
            incoming.skip(Reason.NO_SOURCE, "built into the interpreter or compiled", where=module.name)
        elif _TESTS.intersection(module.name.split(".")[1:]):
            incoming.skip(Reason.TEST_CODE, where=module.name)
        else:
            some = True
            incoming.report.files += 1
            try:
                yield from _records(module.name, replace(incoming, path=module.path), source)
            except UnreadableError as cause:
                incoming.skip(cause.reason, cause.detail, where=module.name)
    if not some:
        raise UnreadableError(Reason.NO_SOURCE, f"no Python file belongs to {incoming.name!r}")


def _records(module: str, incoming: Incoming, source: str) -> Iterator[Record]:
    some = False
    for item in documented(parsed(incoming)):
        some = True
        name = f"{module}.{item.name}" if item.name else module
        metadata: dict[str, JSON] = {
            "source": source,
            "module": module,
            "kind": item.kind,
            "file": str(incoming.path),
            "line": item.line,
        }
        yield Record(name, item.text, metadata=metadata, title=name)
    if not some:
        raise UnreadableError(Reason.NO_DOCSTRINGS, "no public name in it has a docstring")


def modules(name: str) -> Iterator[Module]:
    """The module called ``name`` and all modules below it, sorted; nothing if there is none."""
    if name == STDLIB:
        for top in sorted(sys.stdlib_module_names - _NOT_FOR_READERS):
            if not top.startswith("_") and _find(top):  # some are of other systems, and are not here
                yield from modules(top)
        return
    spec = _find(name)
    if spec is None:
        return
    has_file = spec.has_location and spec.origin is not None and spec.origin.endswith(".py")
    # a namespace package has places to search and no file; it is passed over itself, and says nothing
    places = list(spec.submodule_search_locations or ())
    if has_file or not places:
        yield Module(name, Path(spec.origin) if has_file and spec.origin else _frozen_source(name))
    for _, below, _ in sorted(pkgutil.iter_modules(places), key=lambda found: found.name):
        yield from modules(f"{name}.{below}")


def check(name: str) -> None:
    """Say so if nothing can be imported under ``name``.

    Raises:
        InputError: there is no such module; the nearest name of the same package is offered.
    """
    parts = name.split(".")
    if not all(part.isidentifier() for part in parts):
        raise InputError(f"a Python source must be 'python:' and a dotted name, got 'python:{name}'.")
    if name == STDLIB or _find(name):
        return
    parent = ".".join(parts[:-1])
    spec = _find(parent) if parent else None
    places = list(spec.submodule_search_locations or ()) if spec else None
    known = {module.name for module in pkgutil.iter_modules(places)} if spec or not parent else set()
    if not parent:
        known |= sys.stdlib_module_names | {STDLIB}
    near = difflib.get_close_matches(parts[-1], sorted(known), n=1, cutoff=0.5)
    hint = f"did you mean 'python:{'.'.join([*parts[:-1], near[0]])}'?" if near else "is it installed here?"
    raise InputError(f"'python:{name}' must be importable in this interpreter, and no such module was found; {hint}")


def _find(name: str) -> importlib.machinery.ModuleSpec | None:
    """The spec of a module. ``importlib.util.find_spec`` would import the parents of a dotted name; this does not."""
    parent, _, _ = name.rpartition(".")
    try:
        if not parent:
            return importlib.util.find_spec(name)
        above = _find(parent)
        places = above.submodule_search_locations if above else None
        return importlib.machinery.PathFinder.find_spec(name, list(places)) if places else None
    except (ImportError, ValueError):  # ValueError: __main__ has no spec
        return None


def _frozen_source(name: str) -> Path | None:
    """Where the source of a module lies that is frozen into the interpreter, such as ``os``."""
    spec = importlib.machinery.PathFinder.find_spec(name) if "." not in name else None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
