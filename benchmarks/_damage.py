"""Bits that flip, disks that refuse, and readers beside a writer."""

from __future__ import annotations

import errno
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np

from benchmarks._stops import Counting, Operation, dying, fresh, nothing_left_over, operations
from benchmarks._workload import (
    SETTINGS,
    BrokenPromiseError,
    Model,
    after,
    apply,
    collection_is,
    compare,
    merging_at,
    require,
    state_after,
)
from nestvec.core.errors import CorruptError, DiskError, NestvecError
from nestvec.store import Disk, Store, verify


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
        with dying():
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


REFUSALS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE)


def refusals(folder: Path, *, errors: Iterable[int] = REFUSALS, rotate: bool = True) -> dict[str, int]:
    """Refuse every step of every operation once; it must say so, keep old or new, and work when asked again."""
    out, codes = {}, list(errors)
    for operation in operations():
        at, tried = 0, 0
        while True:
            used = [codes[at % len(codes)]] if rotate else codes
            for code in used:
                reached = _refuse(fresh(folder, operation), operation, at, code)
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
        raise BrokenPromiseError(f"{where}: {type(error).__name__}: {error}") from error
    try:
        collection_is(path, operation.before, operation.after)
        operation.act(path, Disk())
        collection_is(path, operation.after)
        nothing_left_over(path)
    except (BrokenPromiseError, NestvecError) as error:
        raise BrokenPromiseError(f"{where}, afterwards: {error}") from error
    return disk.count > at


def full(folder: Path) -> dict[str, int]:
    """Let the files of a writer grow no further than a limit, which SQLite meets too; then lift it and go on."""
    out = {"limits": 0, "refused": 0}
    for limit in (*range(1, 12), *range(12, 240, 12)):
        path = folder / f"full{limit}"
        child = os.fork()
        if not child:
            with dying():
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
            with dying():
                count = _read_along(path, stop) if number else _write_along(path, stop)
                (folder / f"count{number}").write_text(str(count))
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    require(codes == [0] * len(codes), f"exit codes {codes}: the first is the writer's")
    counts = [int((folder / f"count{n}").read_text()) for n in range(processes + 1)]
    collection_is(path, state_after(counts[0]))
    return {"batches": counts[0], "snapshots": sum(counts[1:])}


def _write_along(path: Path, stop: float) -> int:
    batch = 0
    with merging_at(4), Store.open(path, write=True) as store:  # segments change under the readers all the time
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
            now = cast(int, snapshot.get(["cursor"])[0].metadata["batch"])
            require(now >= at, f"a snapshot went back from batch {at} to {now}")
            for batch in range(at + 1, now + 1):
                model = after(model, batch)
            at = now
            found = compare(snapshot, model)
            require(found.none, f"a snapshot is not the state after batch {now}: {found}")
        count += 1
    store.close()
    return count
