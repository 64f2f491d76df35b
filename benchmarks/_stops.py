"""Writers that are stopped: killed at random, killed at every step, cut off from power."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._workload import (
    DIM,
    SETTINGS,
    BrokenPromiseError,
    Difference,
    Model,
    after,
    apply,
    collection_is,
    columns,
    compare,
    merging_at,
    record,
    require,
    state_after,
)
from nestvec.core.errors import DiskError, NestvecError
from nestvec.store import Disk, Ragged, Store, verify


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
                repeated = apply(store, acked + 1)  # the caller does not know whether this one was committed
                out["duplicated"] += repeated != new.none  # it was done twice, or not at all
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
    with dying(), Store.open(path, write=True) as store:
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
def dying() -> Iterator[None]:
    """In a forked child: whatever happens, it ends here and runs nothing of its parent's."""
    try:
        yield
    except BaseException as error:  # noqa: BLE001  # the parent reads it in the exit status
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        os._exit(70)
    os._exit(0)


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
    with merging_at(3):  # so that one more commit reaches it
        apply(store, FIRST)


def _resize(store: Store) -> None:
    def values(array: str, rids: np.ndarray) -> np.ndarray | Ragged:
        with store.read() as snapshot:
            rows = [record.metadata for record in snapshot.records(rids)]
        return columns([(row["batch"], row["row"]) for row in rows], dim=DIM // 2)[array]  # type: ignore[misc]

    settings = {**SETTINGS, "arrays": {**SETTINGS["arrays"], "dense": DIM // 2}}
    settings.pop("bands", None)
    store.rewrite(settings, {name: partial(values, name) for name in settings["arrays"]})


def operations() -> list[Operation]:
    """One of each kind."""
    old = state_after(FIRST - 1)
    added: Model = {f"new{k}": (90, k) for k in range(4)}
    records = [record(name, row) for name, row in added.items()]
    values = columns(added.values())

    def add(store: Store) -> None:
        store.commit(records, values, commit_id="add")

    def remove(store: Store) -> None:
        store.commit(remove=["r2-0", "r1-1", "not there"], commit_id="remove")

    def put(store: Store) -> None:
        store.put_derived("index", b"new" * 100, {})

    def change(store: Store) -> None:
        store.change_settings({**SETTINGS, "note": "changed"})

    fewer = {name: row for name, row in old.items() if name not in ("r2-0", "r1-1")}
    replaced = after(old, FIRST)
    return [
        Operation("create", None, {}, lambda _path: None, _create),
        Operation("add", old, old | added, _prepare, _with_store(add)),
        Operation("replace", old, replaced, _prepare, _with_store(lambda s: apply(s, FIRST))),
        Operation("remove", old, fewer, _prepare, _with_store(remove)),
        Operation("merge", old, replaced, _prepare, _with_store(_merge)),
        Operation("compact", old, old, _prepare, _with_store(lambda s: s.compact())),
        Operation("settings", old, old, _prepare, _with_store(change)),
        Operation("resize", old, old, _prepare, _with_store(_resize)),
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


def fresh(folder: Path, operation: Operation) -> Path:
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
            path = fresh(folder, operation)
            child = os.fork()
            if not child:
                with dying():
                    operation.act(path, Counting(at, lambda _name: os._exit(9)))
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            require(code in (0, 9), f"{operation.name} point {at}: the child failed with {code}")
            try:
                collection_is(path, operation.before, operation.after)
                operation.act(path, Disk())
                collection_is(path, operation.after)
                _derived_is_whole(path)
                nothing_left_over(path)
            except (BrokenPromiseError, NestvecError) as error:
                raise BrokenPromiseError(f"{operation.name}, killed at point {at}: {error}") from error
            if code == 0:
                break
            at += 1
        out[operation.name] = at
    return out


def _derived_is_whole(path: Path) -> None:
    with Store.open(path) as store:
        got = store.get_derived("index")
        require(got is None or got[0] in (b"old" * 100, b"new" * 100), "a derived file is neither old nor new")


def nothing_left_over(path: Path) -> None:
    """After an interruption and a clean run: no file that nothing refers to, no row that nothing shows."""
    with Store.open(path, write=True) as store:
        require(store.writer.sweep() == 0, "opening for writing left files behind")


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
        found = [
            base | {name: _survivor(inode, damage) for name, inode in names.items()}
            for names in (self.durable, self.names)
            for damage in ("drop", "tear", "zero", "keep")
        ]
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

    def write_placed(self, path: Path, pieces: Iterable[tuple[int, bytes | memoryview]]) -> int:
        """As the disk does."""
        inode = _Inode()

        def noted() -> Iterator[tuple[int, bytes | memoryview]]:
            for offset, piece in pieces:
                yield offset, piece
                data = bytes(piece)
                inode.now = inode.now[:offset].ljust(offset, b"\0") + data + inode.now[offset + len(data) :]

        self.names = self.names | {str(path.relative_to(self.path)): inode}
        return super().write_placed(path, noted())

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
        if not only or operation.name == only:
            out[operation.name] = _cut(folder, operation, share, rng)
    return out


def _cut(folder: Path, operation: Operation, share: float, rng: random.Random) -> int:
    path, after_cut = fresh(folder, operation), folder / "after"
    seen: set[int] = set()

    def cut(point: str, images: list[dict[str, bytes]]) -> None:
        for number, image in enumerate(images):
            key = hash(tuple(sorted(image.items())))
            if key in seen or rng.random() > share:
                continue
            seen.add(key)
            try:
                _check_image(after_cut, image, operation.before, operation.after)
            except (BrokenPromiseError, NestvecError) as error:
                where = f"{operation.name}, power cut at {point!r}, way {number}"
                raise BrokenPromiseError(f"{where}: {error}") from error

    disk = PowerDisk(path, cut)
    operation.act(path, disk)
    end = disk.images()
    for image in end:  # it is acknowledged: now only the new state will do
        _check_image(after_cut, image, operation.after)
    return len(seen) + len(end)


def _check_image(path: Path, image: dict[str, bytes], *models: Model | None) -> None:
    if path.exists():
        shutil.rmtree(path)
    for name in ("segments", "derived", "quarantine"):
        (path / name).mkdir(parents=True)
    for name, data in image.items():
        (path / name).write_bytes(data)
    if collection_is(path, *models) == 0 and models[0] is None:
        _create(path, Disk())  # what an interrupted creation left must not be in the way of the next
