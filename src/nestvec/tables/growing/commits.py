"""What of a table lasts: files of changes that are never touched again, and two copies of the list of them.

A commit writes one file of changes, syncs it, and then replaces the list, first one copy and then the other; it has
happened when the first has been renamed into place. Files that no list names were never acknowledged and are removed
by the next writer. See docs/format/growing-table-v1.md.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import xxhash

from nestvec.core.errors import CorruptError, FormatError, NoCollectionError
from nestvec.core.types import JSON
from nestvec.tables.growing.disk import Disk, digest_of
from nestvec.tables.growing.streams import Stream, pieces

FORMAT = 1
LISTS = ("table.json", "table.copy.json")
_ASIDE = "damaged"


class DamageWarning(UserWarning):
    """Something of a table was damaged, and this is what was done about it."""


@dataclass(frozen=True)
class Change:
    """One file of changes.

    Args:
        file: its name.
        nbytes: its length.
        xxh3: its checksum.
    """

    file: str
    nbytes: int
    xxh3: str


@dataclass(frozen=True)
class Listing:
    """What a table is after a commit.

    Args:
        number: of the commit, from 0.
        spec: what the table is for good.
        state: what else is kept: fields, counters.
        changes: files that make the rows up, applied in this order.
    """

    number: int
    spec: Mapping[str, JSON]
    state: Mapping[str, JSON]
    changes: tuple[Change, ...] = field(default=())

    def to_bytes(self) -> bytes:
        """With a checksum of its own."""
        said: dict[str, Any] = {
            "format": FORMAT, "number": self.number, "spec": dict(self.spec), "state": dict(self.state),
            "changes": [[c.file, c.nbytes, c.xxh3] for c in self.changes],
        }  # fmt: skip
        return json.dumps({**said, "xxh3": _sum(said)}, indent=1).encode() + b"\n"

    @classmethod
    def from_bytes(cls, data: bytes, *, where: Path) -> Listing:
        """What :meth:`to_bytes` gave.

        Raises:
            CorruptError: it is not that.
            FormatError: a later nestvec wrote it.
        """
        try:
            said = json.loads(data)
            right = said.pop("xxh3") == _sum(said)
        except (ValueError, KeyError, AttributeError, TypeError) as cause:
            raise CorruptError(f"{where} must be the list of a growing table, and is damaged.") from cause
        if not right:
            raise CorruptError(f"{where} must be as it was written, and its checksum differs.")
        if said["format"] != FORMAT:
            raise FormatError(f"{where} must be of format {FORMAT}, got {said['format']!r}. Install a later nestvec.")
        return cls(said["number"], said["spec"], said["state"], tuple(Change(*c) for c in said["changes"]))


def _sum(said: Mapping[str, JSON]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(said, sort_keys=True).encode())


def read_listing(folder: Path) -> Listing:
    """The newest list that is whole; a damaged copy is named in a warning, and healed by the next commit.

    Raises:
        NoCollectionError: there is no table in the folder.
        CorruptError: both copies are damaged.
        FormatError: a later nestvec wrote it.
    """
    found: list[Listing] = []
    damaged: list[CorruptError] = []
    for name in LISTS:
        try:
            found.append(Listing.from_bytes((folder / name).read_bytes(), where=folder / name))
        except FileNotFoundError:
            continue
        except CorruptError as cause:
            damaged.append(cause)
    if not found and not damaged:
        raise NoCollectionError(f"{folder} must be the folder of a growing table, got none of {', '.join(LISTS)}.")
    if not found:
        raise CorruptError(f"{damaged[0]} So is its copy. Restore the folder from a backup.")
    for damage in damaged:
        warnings.warn(f"{damage} Its copy is whole and is used; the next save writes both again.", DamageWarning, 4)
    return max(found, key=lambda listing: listing.number)


def check_changes(folder: Path, listing: Listing) -> tuple[int, str]:
    """``(files that are whole, what is wrong with the next)`` from the front; all and "" where nothing is."""
    for position, change in enumerate(listing.changes):
        size, digest = digest_of(folder / change.file)
        if size < 0:
            return position, f"{folder / change.file} must be there, and is missing."
        if (size, digest) != (change.nbytes, change.xxh3):
            return position, f"{folder / change.file} must be as it was written, and its checksum differs."
    return len(listing.changes), ""


@dataclass(frozen=True)
class Committer:
    """Writes commits into a folder.

    Args:
        folder: of the table.
        disk: the steps.
    """

    folder: Path
    disk: Disk

    def commit(
        self, last: Listing | None, spec: Mapping[str, JSON], state: Mapping[str, JSON],
        arrays: Mapping[str, Stream] | None, *, whole: bool = False,
    ) -> Listing:  # fmt: skip
        """Make changes durable and return the new list.

        Args:
            last: the list before; None for a new table.
            spec: of the table.
            state: of the table now.
            arrays: the changes; None where only the state is new.
            whole: they are all of the table and stand for every file before them, which is then removed.
        """
        number = 0 if last is None else last.number + 1
        before = () if last is None or whole else last.changes
        made: tuple[Change, ...] = ()
        if arrays is not None:
            name = f"{number:08d}.safetensors"
            made = (Change(name, *self.disk.write(self.folder / name, pieces(arrays, {"number": number}))),)
            self.disk.sync(self.folder)
        listing = Listing(number, spec, state, before + made)
        self.write_lists(listing)
        if whole and last is not None:
            for change in last.changes:
                self.disk.remove(self.folder / change.file)
        return listing

    def write_lists(self, listing: Listing) -> None:
        """Replace both copies; when the first is in place, it has happened."""
        for name in LISTS:
            beside = self.folder / f".{name}.new"
            self.disk.write(beside, [listing.to_bytes()])
            self.disk.move(beside, self.folder / name)

    def tidy(self, listing: Listing) -> None:
        """Remove files of commits that were begun and never acknowledged."""
        known = {change.file for change in listing.changes}
        for path in self.folder.glob("*.safetensors"):
            if path.name not in known:
                self.disk.remove(path)

    def cut_back(self, listing: Listing, whole: int, why: str) -> Listing:
        """Go back to the first ``whole`` files; the others are moved aside, never deleted, and a warning says so.

        The rows are those of the last whole commit before the damage. Fields and counters, which the list itself
        holds, stay as they are.
        """
        aside = self.folder / _ASIDE
        aside.mkdir(exist_ok=True)
        short = replace(listing, number=listing.number + 1, changes=listing.changes[:whole])
        lost = listing.changes[whole:]
        self.write_lists(short)
        for change in lost:
            if (self.folder / change.file).exists():
                self.disk.move(self.folder / change.file, aside / change.file)
        warnings.warn(
            f"{why} The table was cut back to commit {_number(short)}: changes of {len(lost)} of "
            f"{len(listing.changes)} files are no longer in it. They lie in {aside}.", DamageWarning, 4,
        )  # fmt: skip
        return short


def whole_listing(committer: Committer, *, cut_back: bool, heal: bool) -> Listing:
    """The list of a table whose files are all as they were written.

    Args:
        committer: of the folder.
        cut_back: go back to the last commit before a damaged file, instead of raising.
        heal: write a copy of the list again that was damaged, and remove files that no list names.

    Raises:
        CorruptError: a file is damaged.
    """
    folder = committer.folder
    listing = read_listing(folder)
    while True:
        good, why = check_changes(folder, listing)
        if not why:
            break
        newer = read_listing(folder)
        if newer.number != listing.number:  # a writer put all into one file while this reader looked
            listing = newer
        elif cut_back:
            return committer.cut_back(listing, good, why)
        else:
            raise CorruptError(
                f"{why} Restore it from a backup, or go back to the last commit before it, which keeps {good} of "
                f"{len(listing.changes)} files: open the table with cut_back=True, or run nestvec growing repair."
            )
    if heal:
        if any(not (folder / name).is_file() or (folder / name).read_bytes() != listing.to_bytes() for name in LISTS):
            committer.write_lists(listing)
        committer.tidy(listing)
    return listing


def _number(listing: Listing) -> str:
    return str(int(listing.changes[-1].file.partition(".")[0])) if listing.changes else "none, an empty table"
