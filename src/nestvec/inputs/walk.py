"""Paths, folders and patterns to files, in a stable order."""

# Paths stay strings here, as the user wrote them: Path drops "./" and cannot hold a pattern.
# ruff: noqa: PTH100, PTH112, PTH114, PTH116, PTH118, PTH119, PTH207, PTH208

from __future__ import annotations

import difflib
import glob
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from nestvec.core.errors import InputError
from nestvec.inputs.report import ReadReport, Reason

_GENERATED = frozenset({"__pycache__", "node_modules"})


class Found(NamedTuple):
    """A file.

    Args:
        path: where it lies.
        name: what ids of its records begin with.
        direct: whether the user named it, rather than a folder or pattern that it is in.
    """

    path: Path
    name: str
    direct: bool


def is_pattern(source: str) -> bool:
    """Whether ``source`` has ``*``, ``?`` or ``[`` in it and no file is called so."""
    return glob.has_magic(source) and not os.path.lexists(source)


def check(source: str) -> None:
    """Say so if there is nothing at ``source``.

    Raises:
        InputError: no such file or folder, or no file that matches; the nearest name is offered.
    """
    if is_pattern(source):
        if next(_matches(source, ReadReport()), None) is None:
            raise InputError(f"a pattern must match at least one file, got {source!r}, which matches none.")
        return
    if os.path.lexists(source) or not source:
        if not source:
            raise InputError("a source must be a path, a pattern, '-' or 'python:name', got an empty string.")
        return
    folder, name = os.path.split(source)
    try:
        near = difflib.get_close_matches(name, os.listdir(folder or "."), n=1, cutoff=0.5)
    except OSError:
        near = []
    hint = f"did you mean {os.path.join(folder, near[0])!r}?" if near else "check the path, or quote a pattern."
    raise InputError(f"a source must exist, and there is nothing at {source!r}; {hint}")


def files(source: str, *, as_given: bool, report: ReadReport) -> Iterator[Found]:
    """The files of a path or pattern, sorted by name; what is not a file is reported.

    Args:
        source: a file, a folder or a pattern (``**`` crosses folders).
        as_given: names are paths as given. Otherwise a file has its own name, a file in a folder its path from
            there with the folder's own name in front, and a match of a pattern its path from the last folder that
            the pattern spells out, likewise.
        report: told what was passed over.
    """
    if not is_pattern(source):
        prefix = _clean(Path(source).as_posix() if as_given else Path(os.path.abspath(source)).name)
        yield from _below([(source, prefix)], direct=True, report=report)
        return
    fixed = _fixed(source)
    own = "" if as_given or not fixed else os.path.basename(os.path.abspath(fixed))
    base = "" if as_given else fixed
    named = []
    for match in _matches(source, report):
        inside = os.path.relpath(match, base) if base else match
        named.append((match, _clean((Path(own) / inside).as_posix())))
    yield from _below(named, direct=False, report=report)


def _matches(pattern: str, report: ReadReport) -> Iterator[str]:
    """Paths that match, sorted. With ``**`` only files; a folder would bring them a second time."""
    if "**" not in pattern:
        yield from sorted(glob.glob(pattern))
        return
    # not glob's own "**", which follows links and needs exponential time where two of them point upwards
    top = _fixed(pattern)
    parts = "/".join(map(_part, pattern[len(top) :].strip("/").split("/")))
    wanted = re.compile(re.sub(r"\*\*$", ".*", parts.replace("**/", "(?:[^/]+/)*")))
    for found in _below([(top or ".", "")], direct=False, report=report):
        inside = found.name.strip("/")
        if wanted.fullmatch(inside):
            yield os.path.join(top, inside) if top else inside


def _part(part: str) -> str:
    """One part of a pattern between slashes, as a regular expression; ``**`` is left for the caller, or is ``*``."""
    if part == "**":
        return part
    out, i = "", 0
    while i < len(part):
        close = part.find("]", i + 2) if part[i] == "[" else -1
        if close > 0:
            inside = part[i + 1 : close].replace("\\", r"\\").replace("[", r"\[")
            out += f"[{'^' + inside[1:] if inside[0] == '!' else inside}]"
            i = close
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(part[i], re.escape(part[i]))
        i += 1
    return out


def _fixed(pattern: str) -> str:
    """The folder that a pattern spells out."""
    parts = Path(pattern).parts
    fixed = [part for i, part in enumerate(parts) if not any(map(glob.has_magic, parts[: i + 1]))]
    return str(Path(*fixed)) if fixed else ""


def _clean(name: str) -> str:
    # a file name on Linux is bytes; what is not UTF-8 in it arrives as lone surrogates, which no id may hold
    return os.fsencode(name).decode("utf-8", "replace") or "."


def _below(starts: list[tuple[str, str]], *, direct: bool, report: ReadReport) -> Iterator[Found]:
    """Files at and below ``starts``. Real folders come before linked ones, so that a loop is cut at the link."""
    seen: set[tuple[int, int]] = set()
    todo = [(path, name, True) for path, name in reversed(starts)]
    links: list[tuple[str, str, bool]] = []
    while todo or links:
        if not todo:
            links.sort(reverse=True)
            todo.append(links.pop())
        path, name, first = todo.pop()
        try:
            status = os.stat(path)
            if not stat.S_ISDIR(status.st_mode):
                if stat.S_ISREG(status.st_mode):
                    yield Found(Path(path), name, direct and first)
                else:
                    report.skip(Reason.NOT_A_FILE, path, "a pipe, socket or device")
                continue
            if (status.st_dev, status.st_ino) in seen:
                report.skip(Reason.LOOP, path, "a link to a folder that was read already")
                continue
            seen.add((status.st_dev, status.st_ino))
            with os.scandir(path) as entries:
                inside = sorted(entries, key=lambda entry: entry.name, reverse=True)
        except FileNotFoundError:
            detail = "a link to nothing" if os.path.islink(path) else "gone since its folder was listed"
            report.skip(Reason.VANISHED, path, detail)
            continue
        except OSError as cause:
            report.skip(Reason.LOOP if cause.errno == 40 else Reason.UNREADABLE, path, cause.strerror or str(cause))
            continue
        for entry in inside:
            if entry.name.startswith(".") or entry.name in _GENERATED:
                report.skip(Reason.HIDDEN, entry.path)
                continue
            item = (entry.path, f"{name}/{_clean(entry.name)}", False)
            (links if entry.is_symlink() and os.path.isdir(entry.path) else todo).append(item)
