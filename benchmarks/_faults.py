"""Kills, power cuts, flipped bits and failing disks, done to real collections; the tests and the benchmark share it.

Everything that forks runs in a process of its own, which imports nothing but the store and starts no thread::

    python -m benchmarks._faults DRIVER FOLDER '{"option": 1}'    # prints one JSON object

The workload is a fixed function of the number of the batch, so what a collection must hold after any batch
is known without asking the collection.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import CorruptError, DiskError, NestvecError, NoCollectionError
from nestvec.core.filters import parse_filter
from nestvec.core.record import Record
from nestvec.store import Disk, Snapshot, Store, verify
from nestvec.store import compact as compaction

ROOT = Path(__file__).resolve().parents[1]
DIM = 16
SETTINGS: dict[str, Any] = {"arrays": {"dense": DIM}}


class Broken(Exception):
    """A promise of the store was not kept."""


def require(truth: object, what: str) -> None:
    """An assertion that survives ``python -O``."""
    if not truth:
        raise Broken(what)


# ---------------------------------------------------------------------- the workload and its model

Row = tuple[int, int]  # batch and number in it: they fix text, metadata and vector
Model = dict[str, Row]


def vector(row: Row) -> np.ndarray:
    """The vector ``[DIM]`` of a row."""
    return np.random.default_rng((row[0], row[1], 7)).standard_normal(DIM, dtype=np.float32)


def record(name: str, row: Row) -> Record:
    """The record of a row."""
    text = f"batch {row[0]} row {row[1]} word{row[0] % 17} " + "filler " * (row[1] % 40)
    return Record(name, text, {"batch": row[0], "row": row[1], "tags": [f"t{row[0] % 5}"]}, title=f"Title {row[1]}")


def rows_of(batch: int) -> tuple[Model, list[str]]:
    """What a batch adds or replaces, and what it removes."""
    names = [f"r{batch}-{k}" for k in range(1 + batch % 5)] + [f"hot{batch % 3}", "cursor"]
    gone = [f"r{batch - 4}-0"] if batch % 2 else []
    return {name: (batch, k) for k, name in enumerate(names)}, gone


def after(model: Model, batch: int) -> Model:
    """The state after one more batch."""
    added, gone = rows_of(batch)
    return {name: row for name, row in model.items() if name not in gone} | added


def state_after(batch: int) -> Model:
    """The state after batches 0 to ``batch``."""
    model: Model = {}
    for number in range(batch + 1):
        model = after(model, number)
    return model


def apply(store: Store, batch: int) -> bool:
    """Commit a batch under its own commit id; True if it was there already."""
    added, gone = rows_of(batch)
    records = [record(name, row) for name, row in added.items()]
    vectors = np.stack([vector(row) for row in added.values()])
    return store.commit(records, {"dense": vectors}, remove=gone, commit_id=f"batch {batch}").repeated


@dataclass
class Difference:
    """How a snapshot differs from a model."""

    lost: int = 0
    extra: int = 0
    duplicated: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def none(self) -> bool:
        """True if it does not."""
        return not (self.lost or self.extra or self.duplicated or self.wrong)


def compare(snapshot: Snapshot, model: Model) -> Difference:
    """Read everything in a snapshot, every way there is, and compare it with what must be there."""
    found = list(snapshot.rows())
    by_id = {r.id: (rid, r) for rid, r in found}
    out = Difference(len(model.keys() - by_id.keys()), len(by_id.keys() - model.keys()), len(found) - len(by_id))
    common = [name for name in model if name in by_id]
    for name in common:
        want, (_, got) = record(name, model[name]), by_id[name]
        if (got.text, got.title, dict(got.metadata)) != (want.text, want.title, dict(want.metadata)):
            out.wrong.append(f"record {name}")
    rids = np.array([by_id[name][0] for name in common], np.int64)
    if common:
        vectors = snapshot.vectors("dense", rids)
        bad = (vectors != np.stack([vector(model[name]) for name in common])).any(axis=1)
        out.wrong += [f"vector {common[i]}" for i in np.flatnonzero(bad)]
    if out.none:
        _compare_ways(snapshot, model, {name: by_id[name][0] for name in common}, out)
    return out


def _compare_ways(snapshot: Snapshot, model: Model, rids: dict[str, int], out: Difference) -> None:
    ways = {
        "count": (len(snapshot), len(model)),
        "find": (snapshot.find(model), rids),
        "filter": (
            snapshot.select(parse_filter({"row": {"$lt": 2}, "tags": "t1"})).tolist(),
            sorted(rids[n] for n, row in model.items() if row[1] < 2 and row[0] % 5 == 1),
        ),
        "words": (
            sorted(rid for rid, _ in snapshot.match("word3", len(model) + 9)),
            sorted(rids[n] for n, row in model.items() if row[0] % 17 == 3),
        ),
    }
    segments = snapshot.segments("dense")
    held = np.concatenate([np.zeros(0, np.int64), *(s.rows for s in segments)])
    ways["rows with vectors"] = (np.setdiff1d(held, snapshot.state.dead).tolist(), sorted(rids.values()))
    out.wrong += [name for name, (got, want) in ways.items() if got != want]


def collection_is(path: Path, *models: Model | None) -> int:
    """Which of the models an existing collection holds; it must open for writing, and verify.

    None among the models means that there may be no collection at all.
    """
    try:
        store = Store.open(path, write=True)
    except NoCollectionError:
        require(None in models, f"{path.name}: the collection is gone")
        return models.index(None)
    with store, store.read() as snapshot:
        for number, model in enumerate(models):
            if model is not None and compare(snapshot, model).none:
                break
        else:
            raise Broken(f"neither old nor new state: {[compare(snapshot, m) for m in models if m is not None]}")
    problems = verify(path).problems
    require(not problems, f"verify: {problems}")
    return number


# ---------------------------------------------------------------------- kill -9 at random moments


def kills(folder: Path, *, count: int, seed: int = 0, longest: float = 0.25, fresh_every: int = 25) -> dict[str, int]:
    """Kill a writer ``count`` times; check what it left each time, and repeat its last commit."""
    rng = random.Random(seed)
    out = {"kills": 0, "unreadable": 0, "lost_acked": 0, "duplicated": 0, "wrong": 0, "commits": 0, "unknown": 0}
    model: Model = {}
    done, path, acks = -1, folder / "none", folder / "acks"
    for number in range(count):
        if number % fresh_every == 0:
            path, model, done = folder / f"c{number}", {}, -1
            Store.create(path, settings=SETTINGS).close()
        acks.write_bytes(b"")
        child = os.fork()
        if not child:
            _write_until_killed(path, acks, done + 1)
        time.sleep(rng.uniform(0.0, longest))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        out["kills"] += os.WIFSIGNALED(status)
        acked = max([done, *map(int, acks.read_text().split())])
        out["commits"] += acked - done
        for batch in range(done + 1, acked + 1):
            model = after(model, batch)
        following = after(model, acked + 1)
        try:
            with Store.open(path, write=True) as store:
                with store.read() as snapshot:
                    old, new = compare(snapshot, model), compare(snapshot, following)
                    found = old if sum((old.lost, old.extra)) <= sum((new.lost, new.extra)) else new
                out["unknown"] += new.none
                _count(out, found)
                apply(store, acked + 1)  # the caller does not know whether this one was committed
                with store.read() as snapshot:
                    _count(out, compare(snapshot, following))
            out["unreadable"] += not verify(path).ok
        except NestvecError:
            out["unreadable"] += 1
        model, done = following, acked + 1
        if number % fresh_every == fresh_every - 1:
            shutil.rmtree(path)
    return out


def _count(out: dict[str, int], found: Difference) -> None:
    out["lost_acked"] += found.lost
    out["duplicated"] += found.duplicated + found.extra
    out["wrong"] += len(found.wrong)


def _write_until_killed(path: Path, acks: Path, batch: int) -> None:
    with _dying(), Store.open(path, write=True) as store:
        handle = os.open(acks, os.O_WRONLY | os.O_APPEND)
        while True:
            apply(store, batch)
            os.write(handle, b"%d\n" % batch)
            if batch % 6 == 5:
                store.put_derived("index", np.random.default_rng(batch).bytes(3000), {"batch": batch})
            if batch % 13 == 12:
                store.compact()
            batch += 1


@contextlib.contextmanager
def _dying() -> Iterator[None]:
    """In a forked child: whatever happens, it ends here and runs nothing of its parent's."""
    try:
        yield
    except BaseException as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(70)
    os._exit(0)


# ---------------------------------------------------------------------- one operation, stopped at every step

FIRST = 3  # batches in the collection before the operation


@dataclass(frozen=True)
class Operation:
    """A change, with the state before and after it; ``None`` stands for no collection."""

    name: str
    before: Model | None
    after: Model
    prepare: Callable[[Path], None]
    act: Callable[[Path, Disk], None]


def _prepare(path: Path) -> None:
    with Store.create(path, settings=SETTINGS) as store:
        for batch in range(FIRST):
            apply(store, batch)
        store.put_derived("index", b"old" * 100, {})


def _with_store(act: Callable[[Store], object]) -> Callable[[Path, Disk], None]:
    def run(path: Path, disk: Disk) -> None:
        with Store.open(path, write=True, disk=disk) as store:
            act(store)

    return run


def _create(path: Path, disk: Disk) -> None:
    try:
        Store.create(path, settings=SETTINGS, disk=disk).close()
    except NestvecError as error:
        if isinstance(error, DiskError) or not (path / "collection.json").exists():
            raise
        Store.open(path, write=True, disk=disk).close()


def _merge(store: Store) -> None:
    before, compaction._MERGE_AT = compaction._MERGE_AT, 3  # so that one more commit reaches it
    try:
        apply(store, FIRST)
    finally:
        compaction._MERGE_AT = before


def operations() -> list[Operation]:
    """One of each kind."""
    old = state_after(FIRST - 1)
    added: Model = {f"new{k}": (90, k) for k in range(4)}
    records = [record(name, row) for name, row in added.items()]
    vectors = np.stack([vector(row) for row in added.values()])

    def add(store: Store) -> None:
        store.commit(records, {"dense": vectors}, commit_id="add")

    def remove(store: Store) -> None:
        store.commit(remove=["r2-0", "r1-1", "not there"], commit_id="remove")

    def put(store: Store) -> None:
        store.put_derived("index", b"new" * 100, {})

    fewer = {name: row for name, row in old.items() if name not in ("r2-0", "r1-1")}
    replaced = after(old, FIRST)
    return [
        Operation("create", None, {}, lambda _path: None, _create),
        Operation("add", old, old | added, _prepare, _with_store(add)),
        Operation("replace", old, replaced, _prepare, _with_store(lambda s: apply(s, FIRST))),
        Operation("remove", old, fewer, _prepare, _with_store(remove)),
        Operation("merge", old, replaced, _prepare, _with_store(_merge)),
        Operation("compact", old, old, _prepare, _with_store(lambda s: s.compact())),
        Operation("derived", old, old, _prepare, _with_store(put)),
    ]


class Counting(Disk):
    """Counts the points, and does something at one of them."""

    def __init__(self, at: int = -1, act: Callable[[str], None] = lambda _name: None) -> None:
        self.at, self.act, self.count = at, act, 0

    def point(self, name: str) -> None:
        """One more."""
        self.count += 1
        if self.count == self.at + 1:
            self.act(name)


def _fresh(folder: Path, operation: Operation) -> Path:
    """A new copy of the collection that the operation starts from."""
    template, path = folder / operation.name, folder / "now"
    if path.exists():
        shutil.rmtree(path)
    if not template.exists():
        template.mkdir()
        operation.prepare(template / "c")
    if (template / "c").exists():
        shutil.copytree(template / "c", path)
    return path


def points(folder: Path, *, only: str = "") -> dict[str, int]:
    """Die at every point of every operation; what is left must be the old or the new state, and go on from there."""
    out: dict[str, int] = {}
    for operation in operations():
        if only and operation.name != only:
            continue
        at = 0
        while True:
            path = _fresh(folder, operation)
            child = os.fork()
            if not child:
                with _dying():
                    operation.act(path, Counting(at, lambda _name: os._exit(9)))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            require(code in (0, 9), f"{operation.name} point {at}: the child failed with {code}")
            try:
                collection_is(path, operation.before, operation.after)
                operation.act(path, Disk())
                collection_is(path, operation.after)
                _derived_is_whole(path)
                _nothing_left_over(path)
            except (Broken, NestvecError) as error:
                raise Broken(f"{operation.name}, killed at point {at}: {error}") from error
            if code == 0:
                break
            at += 1
        out[operation.name] = at
    return out


def _derived_is_whole(path: Path) -> None:
    with Store.open(path) as store:
        got = store.get_derived("index")
        require(got is None or got[0] in (b"old" * 100, b"new" * 100), "a derived file is neither old nor new")


def _nothing_left_over(path: Path) -> None:
    """After an interruption and a clean run: no file that nothing refers to, no row that nothing shows."""
    with Store.open(path, write=True) as store:
        require(store.writer.sweep() == 0, "opening for writing left files behind")


# ---------------------------------------------------------------------- power cuts


@dataclass
class _Inode:
    now: bytes = b""
    synced: bytes | None = None


class PowerDisk(Disk):
    """Does everything, remembers what was synced, and calls ``cut(images)`` at every point.

    A power cut keeps what was synced. Of the rest it may keep anything: so each image leaves out or keeps the
    names in folders that were not synced, and drops, tears, zeroes or keeps contents that were not synced.
    SQLite's own files are kept as they are: that it syncs them is SQLite's promise, tested by its makers.
    """

    def __init__(self, path: Path, cut: Callable[[str, list[dict[str, bytes]]], None]) -> None:
        self.path, self.cut = path, cut
        self.names: dict[str, _Inode] = {}
        if path.exists():
            for file in path.rglob("*"):
                if file.is_file() and not file.name.startswith("space.db"):
                    data = file.read_bytes()
                    self.names[str(file.relative_to(path))] = _Inode(data, data)
        self.durable = dict(self.names)

    def point(self, name: str) -> None:
        """The power may fail here."""
        self.cut(name, self.images())

    def images(self) -> list[dict[str, bytes]]:
        """What the folder may hold when the power comes back."""
        base = {f.name: f.read_bytes() for f in self.path.glob("space.db*") if not f.name.endswith("-shm")}
        found = []
        for names in (self.durable, self.names):
            for damage in ("drop", "tear", "zero", "keep"):
                found.append(base | {name: _survivor(inode, damage) for name, inode in names.items()})
        return [image for i, image in enumerate(found) if image not in found[:i]]

    def write_new(self, path: Path, pieces: Iterable[bytes | memoryview]) -> int:
        """As the disk does."""
        inode = _Inode()

        def noted() -> Iterator[bytes | memoryview]:
            for piece in pieces:
                yield piece
                inode.now += bytes(piece)

        self.names = self.names | {str(path.relative_to(self.path)): inode}
        return super().write_new(path, noted())

    def write_at(self, path: Path, offset: int, piece: bytes) -> None:
        """As the disk does."""
        inode = self.names[str(path.relative_to(self.path))]
        self.point(f"write {path.name}")
        inode.now = inode.now[:offset] + piece + inode.now[offset + len(piece) :]
        self.point(f"sync {path.name}")
        super().write_at(path, offset, piece)
        inode.synced = inode.now

    def sync(self, path: Path) -> None:
        """As the disk does."""
        super().sync(path)
        if path.is_dir():
            inside = [n for n in {**self.names, **self.durable} if (self.path / n).parent == path]
            kept = {n: i for n, i in self.durable.items() if n not in inside}
            self.durable = kept | {n: self.names[n] for n in inside if n in self.names}
        else:
            inode = self.names[str(path.relative_to(self.path))]
            inode.synced = inode.now

    def move(self, path: Path, to: Path) -> None:
        """As the disk does."""
        super().move(path, to)
        names = dict(self.names)
        names[str(to.relative_to(self.path))] = names.pop(str(path.relative_to(self.path)))
        self.names = names

    def remove(self, path: Path) -> None:
        """As the disk does."""
        super().remove(path)
        self.names = {n: i for n, i in self.names.items() if n != str(path.relative_to(self.path))}


def _survivor(inode: _Inode, damage: str) -> bytes:
    if inode.synced == inode.now or damage == "keep":
        return inode.now
    if inode.synced:  # overwritten in place: the blocks that differ may be old, half new, or nothing
        differ = [i for i, (a, b) in enumerate(zip(inode.synced, inode.now, strict=True)) if a != b]
        start, stop = differ[0], differ[-1] + 1
        middle = {"drop": start, "tear": (start + stop) // 2, "zero": start}[damage]
        rest = bytes(stop - start) if damage == "zero" else inode.synced[middle:stop]
        return inode.now[:start] + inode.now[start:middle] + rest + inode.now[stop:]
    return {"drop": b"", "tear": inode.now[: len(inode.now) // 2], "zero": bytes(len(inode.now))}[damage]


def power(folder: Path, *, only: str = "", share: float = 1.0, seed: int = 0) -> dict[str, int]:
    """Cut the power at every point of every operation, in every way; nothing acknowledged may be missing."""
    rng, out = random.Random(seed), {}
    for operation in operations():
        if only and operation.name != only:
            continue
        path, seen, tried = _fresh(folder, operation), set(), 0
        after_cut = folder / "after"

        def cut(point: str, images: list[dict[str, bytes]], operation: Operation = operation) -> None:
            nonlocal tried
            for number, image in enumerate(images):
                key = hash(tuple(sorted(image.items())))
                if key in seen or rng.random() > share:
                    continue
                seen.add(key)
                tried += 1
                try:
                    _check_image(after_cut, image, operation.before, operation.after)
                except (Broken, NestvecError) as error:
                    raise Broken(f"{operation.name}, power cut at {point!r}, way {number}: {error}") from error

        def acknowledged(_point: str, images: list[dict[str, bytes]], operation: Operation = operation) -> None:
            nonlocal tried
            for image in images:
                tried += 1
                _check_image(after_cut, image, operation.after)

        disk = PowerDisk(path, cut)
        operation.act(path, disk)
        acknowledged("end", disk.images())
        out[operation.name] = tried
    return out


def _check_image(path: Path, image: dict[str, bytes], *models: Model | None) -> None:
    if path.exists():
        shutil.rmtree(path)
    for name in ("segments", "derived", "quarantine"):
        (path / name).mkdir(parents=True)
    for name, data in image.items():
        (path / name).write_bytes(data)
    if collection_is(path, *models) == 0 and models[0] is None:
        _create(path, Disk())  # what an interrupted creation left must not be in the way of the next


# ---------------------------------------------------------------------- bits that flip


class _Hurry:
    """The clock of ``verify``, which waits a moment before it calls a page damaged that somebody may be writing."""

    perf_counter = staticmethod(time.perf_counter)

    @staticmethod
    def sleep(_seconds: float) -> None:
        """Do not."""


@dataclass(frozen=True)
class Damage:
    """One way to spoil a file."""

    kind: str
    file: str
    at: int
    how: int


def flips(folder: Path, *, count: int, truncated: int, zeroed: int, seed: int = 0) -> dict[str, int]:
    """Spoil a collection in ``count`` + ``truncated`` + ``zeroed`` ways, one at a time, and look twice.

    ``verify`` must see each; reading everything must give what is right, or an error of the store. The lock
    file is left out: its content, the number of a process, is shown in a message and decides nothing.
    """
    sys.modules["nestvec.store.verify"].__dict__["time"] = _Hurry  # nobody writes here, so nothing is worth waiting for
    path, model = folder / "flips", state_after(24)
    if not path.exists():
        with Store.create(path, settings=SETTINGS) as store:
            for batch in range(25):
                apply(store, batch)
            store.put_derived("index", np.random.default_rng(1).bytes(9000), {"k": 1})
    good = {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}
    good.pop("writer.lock", None)
    out = {"flips": 0, "truncated": 0, "zeroed": 0, "undetected": 0, "silent_wrong": 0, "refused": 0, "unharmed": 0}
    for damage in _damages(good, count, truncated, zeroed, random.Random(seed)):
        data = _spoilt(good[damage.file], damage)
        if data == good[damage.file]:
            continue
        (path / damage.file).write_bytes(data)
        out[damage.kind] += 1
        if verify(path).ok:
            out["undetected"] += 1
            sys.stderr.write(f"undetected: {damage}\n")
        _read_spoilt(path, model, damage, out)
        for name, right in good.items():
            if name == damage.file or name.startswith("space.db"):
                (path / name).write_bytes(right)
        for name in ("space.db-wal", "space.db-shm"):
            (path / name).unlink(missing_ok=True)
    require(verify(path).ok, "the collection did not survive its own repair after the flips")
    return out


def _damages(good: dict[str, bytes], count: int, truncated: int, zeroed: int, rng: random.Random) -> Iterator[Damage]:
    kinds: dict[str, list[str]] = {}
    for name in sorted(good):
        if good[name]:
            kinds.setdefault(name.split("/", 1)[0] if "/" in name else name, []).append(name)
    turns = sorted(kinds)
    for number in range(count + truncated + zeroed):
        name = rng.choice(kinds[turns[number % len(turns)]])  # each kind of file in its turn, however small it is
        size = len(good[name])
        if number < count:
            yield Damage("flips", name, rng.randrange(size), rng.randrange(8))
        elif number < count + truncated:
            yield Damage("truncated", name, rng.randrange(size), 0)
        else:
            yield Damage("zeroed", name, rng.randrange(size), min(512, size))


def _spoilt(data: bytes, damage: Damage) -> bytes:
    if damage.kind == "truncated":
        return data[: damage.at]
    if damage.kind == "zeroed":
        start = damage.at // damage.how * damage.how
        return data[:start] + bytes(min(damage.how, len(data) - start)) + data[start + damage.how :]
    return data[: damage.at] + bytes([data[damage.at] ^ 1 << damage.how]) + data[damage.at + 1 :]


def _read_spoilt(path: Path, model: Model, damage: Damage, out: dict[str, int]) -> None:
    derived = damage.file.startswith("derived/")
    try:
        with Store.open(path) as store:
            with store.read() as snapshot:
                found = compare(snapshot, model)
            if not found.none:
                out["silent_wrong"] += 1
                sys.stderr.write(f"silently wrong: {damage} {found}\n")
                return
            try:
                data, info = store.get_derived("index") or (b"", {})
                require(not derived and info["k"] == 1, f"a damaged derived file was given out: {damage}")
                require(data == np.random.default_rng(1).bytes(9000), f"the derived file is wrong: {damage}")
            except CorruptError:
                require(derived or damage.file == "space.db", f"a good derived file was refused: {damage}")
                out["refused"] += 1
                return
        out["unharmed"] += 1
    except NestvecError as error:
        require(not derived, f"a damaged derived file kept the rest from being read: {error}")
        out["refused"] += 1


def log_flips(folder: Path, *, count: int, seed: int = 0) -> dict[str, int]:
    """Flip bits in the write-ahead log that a killed writer left: what was acknowledged is there, or is missed."""
    path, batches = folder / "log", 12
    Store.create(path, settings=SETTINGS).close()
    child = os.fork()
    if not child:
        with _dying():
            store = Store.open(path, write=True)
            for batch in range(batches):
                apply(store, batch)
            os._exit(9)
    os.waitpid(child, 0)
    model = state_after(batches - 1)
    (path / "space.db-shm").unlink(missing_ok=True)  # made again from the log, as after a restart of the machine
    files = {name: (path / name).read_bytes() for name in ("space.db", "space.db-wal")}
    require(files["space.db-wal"], "the writer left no log")
    rng, out = random.Random(seed), {"flips": 0, "silent_wrong": 0, "refused": 0, "unharmed": 0}
    for _ in range(count):
        log = bytearray(files["space.db-wal"])
        log[rng.randrange(len(log))] ^= 1 << rng.randrange(8)
        (path / "space.db").write_bytes(files["space.db"])
        (path / "space.db-wal").write_bytes(log)
        (path / "space.db-shm").unlink(missing_ok=True)
        out["flips"] += 1
        try:
            with Store.open(path, write=rng.random() < 0.5) as store, store.read() as snapshot:
                right = compare(snapshot, model).none
            out["unharmed" if right else "silent_wrong"] += 1
        except NestvecError:
            out["refused"] += 1
    return out


# ---------------------------------------------------------------------- disks that refuse

REFUSALS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)


def refusals(folder: Path, *, errors: Iterable[int] = REFUSALS, rotate: bool = True) -> dict[str, int]:
    """Refuse every step of every operation once; it must say so, keep old or new, and work when asked again."""
    out, codes = {}, list(errors)
    for operation in operations():
        at, tried = 0, 0
        while True:
            used = [codes[at % len(codes)]] if rotate else codes
            for code in used:
                reached = _refuse(_fresh(folder, operation), operation, at, code)
                tried += reached
            if not reached:
                break
            at += 1
        out[operation.name] = tried
    return out


def _refuse(path: Path, operation: Operation, at: int, code: int) -> bool:
    def act(name: str) -> None:
        raise OSError(code, os.strerror(code), name)

    disk = Counting(at, act)
    where = f"{operation.name}, {errno.errorcode[code]} at point {at}"
    try:
        operation.act(path, disk)
    except DiskError as error:
        require("could not be read or written" in str(error), f"{where}: unclear message {error}")
        if operation.before is not None:
            with Store.open(path) as store, store.read() as snapshot:
                kept = [compare(snapshot, m).none for m in (operation.before, operation.after)]
                require(any(kept), f"{where}: a reader sees neither the old nor the new state")
    except Exception as error:
        raise Broken(f"{where}: {type(error).__name__}: {error}") from error
    try:
        collection_is(path, operation.before, operation.after)
        operation.act(path, Disk())
        collection_is(path, operation.after)
        _nothing_left_over(path)
    except (Broken, NestvecError) as error:
        raise Broken(f"{where}, afterwards: {error}") from error
    return disk.count > at


def full(folder: Path) -> dict[str, int]:
    """Let the files of a writer grow no further than a limit, which SQLite meets too; then lift it and go on."""
    out = {"limits": 0, "refused": 0}
    for limit in (*range(1, 12), *range(12, 240, 12)):
        path = folder / f"full{limit}"
        child = os.fork()
        if not child:
            with _dying():
                os._exit(_fill(path, limit * 1024))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        require(code in (0, 1), f"limit {limit} KiB: the child failed with {code}")
        out["limits"] += 1
        out["refused"] += code
        shutil.rmtree(path)
    require(out["refused"] > out["limits"] // 2, "the limits were too wide to be met")
    return out


def _fill(path: Path, limit: int) -> int:
    """In a child: 1 if the limit was met and everything was as it should be."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    Store.create(path, settings=SETTINGS).close()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Store.open(path, write=True) as store:
        apply(store, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
        refused, batch = 0, 0
        try:
            for batch in range(1, 60):
                apply(store, batch)
                if batch % 7 == 6:
                    store.compact()
        except DiskError as error:
            require("could not be read or written" in str(error), f"unclear message {error}")
            refused = 1
        with Store.open(path) as other, other.read() as snapshot:
            states = [state_after(b) for b in (batch - 1, batch)]
            require(any(compare(snapshot, s).none for s in states), "neither old nor new is readable on a full disk")
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        apply(store, batch)
        with store.read() as snapshot:
            require(compare(snapshot, state_after(batch)).none, "the commit did not succeed when there was space again")
    collection_is(path, state_after(batch))
    return refused


# ---------------------------------------------------------------------- readers beside a writer


def readers(folder: Path, *, processes: int = 3, seconds: float = 3.0) -> dict[str, int]:
    """One process writes; others read. Every snapshot is the state after some batch, and none goes back in time."""
    path = folder / "readers"
    with Store.create(path, settings=SETTINGS) as store:
        apply(store, 0)
    stop = time.monotonic() + seconds
    children = []
    for number in range(processes + 1):
        child = os.fork()
        if not child:
            with _dying():
                count = _read_along(path, stop) if number else _write_along(path, stop)
                (folder / f"count{number}").write_text(str(count))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    require(codes == [0] * len(codes), f"exit codes {codes}: the first is the writer's")
    counts = [int((folder / f"count{n}").read_text()) for n in range(processes + 1)]
    collection_is(path, state_after(counts[0]))
    return {"batches": counts[0], "snapshots": sum(counts[1:])}


def _write_along(path: Path, stop: float) -> int:
    compaction._MERGE_AT = 4  # segments change under the readers all the time
    batch = 0
    with Store.open(path, write=True) as store:
        while time.monotonic() < stop:
            batch += 1
            apply(store, batch)
            if batch % 9 == 0:
                store.compact()
    return batch


def _read_along(path: Path, stop: float) -> int:
    model, at, count = state_after(0), 0, 0
    store = Store.open(path)
    while time.monotonic() < stop:
        if count % 5 == 4:  # also as a newcomer, with nothing open yet
            store.close()
            store = Store.open(path)
        with store.read() as snapshot:
            now = int(snapshot.get(["cursor"])[0].metadata["batch"])
            require(now >= at, f"a snapshot went back from batch {at} to {now}")
            for batch in range(at + 1, now + 1):
                model = after(model, batch)
            at = now
            found = compare(snapshot, model)
            require(found.none, f"a snapshot is not the state after batch {now}: {found}")
        count += 1
    store.close()
    return count


# ---------------------------------------------------------------------- in a process of their own

DRIVERS: dict[str, Callable[..., dict[str, int]]] = {
    "kills": kills,
    "points": points,
    "power": power,
    "flips": flips,
    "log_flips": log_flips,
    "refusals": refusals,
    "full": full,
    "readers": readers,
}


def drive(name: str, folder: Path, **options: object) -> dict[str, int]:
    """Run a driver in a fresh process and return what it counted.

    Raises:
        Broken: it found something, or failed.
    """
    one = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks._faults", name, str(folder), json.dumps(options)],
        env={**{k: v for k, v in os.environ.items() if k != "NESTVEC_CHECK_SHAPES"}, **one},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )
    require(run.returncode == 0, f"{name} {options}: {run.stderr[-3000:]}")
    sys.stderr.write(run.stderr)
    counts: dict[str, int] = json.loads(run.stdout)
    return counts


def main() -> None:
    """One driver."""
    name, folder, options = sys.argv[1:]
    print(json.dumps(DRIVERS[name](Path(folder), **json.loads(options))))


if __name__ == "__main__":
    main()
