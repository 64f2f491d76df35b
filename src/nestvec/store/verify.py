"""Is every byte what was written? A check of all files of a collection, open or not, damaged or not."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

import apsw
import numpy as np

from nestvec.core.errors import CorruptError, NestvecError, StoreError
from nestvec.core.types import JSON
from nestvec.store import derived, layout, pages
from nestvec.store.disk import storage_errors
from nestvec.store.head import newest, read_head
from nestvec.store.ragged import open_file
from nestvec.store.schema import connect, disconnect
from nestvec.store.writer import newest_version, segment_list


@dataclass(frozen=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        file: path inside the collection.
        what: what is wrong with it.
        derived: True if it can be made again from the rest, so that nothing is lost.
    """

    file: str
    what: str
    derived: bool = False

    def __str__(self) -> str:
        return f"{self.file}: {self.what}" + (" (can be made again)" if self.derived else "")


@runtime_checkable
class _Part(Protocol):
    def __call__(self, path: Path, db: apsw.Connection, /, *, quick: bool) -> Iterator[Problem]: ...


@dataclass(frozen=True)
class Verification:
    """What was looked at, and what was found.

    Args:
        problems: empty if all is well.
        files: files looked at.
        bytes: bytes read and compared.
        seconds: how long it took.
        quick: True if only lengths, headers and tables of checksums were compared.
    """

    problems: tuple[Problem, ...]
    files: int
    bytes: int
    seconds: float
    quick: bool

    @property
    def ok(self) -> bool:
        """True if nothing is wrong."""
        return not self.problems

    def to_json(self) -> dict[str, JSON]:
        """For ``--json``."""
        return {
            "ok": self.ok,
            "quick": self.quick,
            "files": self.files,
            "bytes": self.bytes,
            "seconds": round(self.seconds, 3),
            "problems": [{"file": p.file, "what": p.what, "derived": p.derived} for p in self.problems],
        }


def verify(path: str | Path, *, quick: bool = False) -> Verification:
    """Compare every checksum of a collection, and the structure of its database.

    Full: every page of the database, its b-trees, every block of every segment, every derived file, HEAD,
    the settings, and that every row has its vectors. Quick: without the pages, the blocks and the derived
    files. A collection that is being written to meanwhile may be verified; what changes is read again.

    Cost: full reads everything once, at 1 to 3 GB/s from memory.

    Raises:
        NoCollectionError: there is no collection at ``path``.
    """
    path, start = Path(path), time.perf_counter()
    problems: list[Problem] = []
    try:
        layout.read_settings(path)
    except CorruptError as cause:
        problems.append(Problem(layout.SETTINGS, _said(cause)))
    problems += _head(path)
    parts = (_database, _segments) if quick else (_database, _segments, _derived)
    for part in parts:  # one that cannot be read must not keep the others from being looked at
        problems += _with_database(path, part, quick=quick)
    if not quick:
        numbers = _bad_pages(path / layout.DATABASE)
        problems += [Problem(layout.DATABASE, f"page {number} does not match its checksum") for number in numbers]
    files = [file for file in _data_files(path) if file.is_file()]
    size = 0 if quick else sum(file.stat().st_size for file in files)
    return Verification(tuple(dict.fromkeys(problems)), len(files), size, time.perf_counter() - start, quick)


def _with_database(path: Path, part: _Part, *, quick: bool) -> list[Problem]:
    found: list[Problem] = []
    try:
        with storage_errors(path):
            db = connect(path / layout.DATABASE, write=False)
            try:
                for problem in part(path, db, quick=quick):
                    found.append(problem)  # noqa: PERF402  # what was found before an error is kept
            finally:
                disconnect(db)
    except StoreError as cause:
        found.append(Problem(layout.DATABASE, _said(cause)))
    return found


def _head(path: Path) -> Iterator[Problem]:
    for number, slot in enumerate(read_head(path / layout.HEAD)):
        if slot is None:
            yield Problem(layout.HEAD, f"slot {number} is damaged or missing")


def _database(path: Path, db: apsw.Connection, *, quick: bool) -> Iterator[Problem]:
    layout.check_format(db, path)
    there, head = newest_version(db), newest(read_head(path / layout.HEAD))
    if head is not None and there.version < head.version:
        yield Problem(layout.DATABASE, f"it ends with version {there.version}, but {head.version} was acknowledged")
    elif head is not None and there.version == head.version and there.digest != head.digest:
        yield Problem(layout.DATABASE, f"version {there.version} has another digest than in {layout.HEAD}")
    for (line,) in db.execute("PRAGMA quick_check" if quick else "PRAGMA integrity_check"):
        if line != "ok":
            yield Problem(layout.DATABASE, str(line))


def _segments(path: Path, db: apsw.Connection, *, quick: bool) -> Iterator[Problem]:
    covered: dict[str, list[np.ndarray]] = {name: [] for name in _arrays(path, db)}
    for info in segment_list(db):
        file = f"{layout.SEGMENTS}/{info.name}"
        try:
            segment = open_file(path / layout.SEGMENTS, info)
            covered[info.array].append(segment.rows)
            bad = 0 if quick else len(segment.bad_positions())
        except FileNotFoundError:
            if info in segment_list(db):  # else a compaction took it away since the list was read
                yield Problem(file, "it is missing")
            continue
        except NestvecError as cause:
            yield Problem(file, _said(cause))
            continue
        if bad:
            yield Problem(file, f"{bad} of {info.n} rows stand in blocks that do not match their checksum")
    alive = np.fromiter((rid for (rid,) in db.execute("SELECT rid FROM row WHERE died IS NULL ORDER BY rid")), np.int64)
    for name, rows in covered.items():
        without = np.setdiff1d(alive, np.concatenate([np.zeros(0, np.int64), *rows]), assume_unique=True)
        if len(without):
            yield Problem(layout.SEGMENTS, f"{len(without)} rows have no vector in {name!r}, the first is {without[0]}")


def _arrays(path: Path, db: apsw.Connection) -> list[str]:
    """Names of the arrays that every row must be in; of damaged settings those that there are segments of."""
    try:
        settings = layout.settings_in(db) or layout.read_settings(path)
    except CorruptError:
        return sorted({info.array for info in segment_list(db)})
    return sorted(cast("dict[str, int]", settings["arrays"]))


def _derived(path: Path, db: apsw.Connection, *, quick: bool) -> Iterator[Problem]:  # noqa: ARG001  # as the others
    for name, file in derived.names(db):
        try:
            derived.get(db, path, name)
        except CorruptError as cause:
            yield Problem(f"{layout.DERIVED}/{file}", _said(cause), derived=True)


def _bad_pages(path: Path) -> list[int]:
    """Damaged pages. A page that a writer is just writing is read again before it is called damaged."""
    bad = list(pages.damaged_pages(path)) if path.exists() else []
    for _ in range(3):
        if not bad:
            break
        time.sleep(0.05)
        again = set(pages.damaged_pages(path))
        bad = [number for number in bad if number in again]
    return bad


def _data_files(path: Path) -> Iterator[Path]:
    yield from (path / name for name in (layout.SETTINGS, layout.DATABASE, layout.DATABASE + "-wal", layout.HEAD))
    for folder in (layout.SEGMENTS, layout.DERIVED):
        yield from sorted((path / folder).glob("*"))


def _said(cause: Exception) -> str:
    return str(cause).split(" Run: nestvec repair")[0].partition("but ")[2] or str(cause)
