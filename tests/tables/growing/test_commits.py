"""What a crash, a full disk and a flipped bit may do to a saved table: nothing that was acknowledged is lost."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import nullcontext

import numpy as np
import pytest

from nestvec.core.errors import CorruptError, DiskError, FormatError, NoCollectionError
from nestvec.tables.growing import DamageWarning, GrowingSpec, GrowingTable
from nestvec.tables.growing.commits import LISTS
from nestvec.tables.growing.disk import Disk
from nestvec.tables.growing.streams import Stream, StreamFile, pieces

SPEC = GrowingSpec(dim=4, cap=1 << 20, expiry=True, admit_after=1)
NAMES = [f"key {i}" for i in range(300)]


class StoppedError(Exception):
    """The process ends here."""


class Stopping(Disk):
    """Stops at the ``at``-th step, or fails there as a full disk does."""

    def __init__(self, at=10**9, *, full=False):
        self.at, self.full, self.steps = at, full, 0

    def point(self, name):
        self.steps += 1
        if self.steps > self.at:
            raise OSError(errno.ENOSPC, "No space left on device") if self.full else StoppedError


def image(table, names=NAMES):
    """All that a table says about keys."""
    rows = table.lookup(names)
    book = table._book
    return rows.tobytes(), table.values(rows).tobytes(), book.seen[rows].tobytes(), book.count[rows].tobytes()


def grown(path, disk=None):
    """A table with two commits; the second touches old rows and adds new ones."""
    table = GrowingTable.create(path, SPEC, disk=disk)
    start = float(table._made)
    for step in range(2):
        rows = table.admit(NAMES[: 100 * (step + 1)], now=start + step)
        table.learn(rows[::3], np.full((len(rows[::3]), 4), 1 + step))
        table.save()
    return table


def third(table):
    """A change that takes rows away, adds others, and is not saved yet."""
    table.expire(keep=150)
    rows = table.admit(NAMES[150:], now=table._made + 9.0)
    table.learn(rows, np.ones((len(rows), 4)))


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_a_commit_stopped_anywhere_has_happened_or_has_not(tmp_path, whole, full):
    with grown(tmp_path / "base") as table:
        before = image(table)
    steps, after, at, seen = 1, None, -1, set()
    while at < steps:  # the first round is not stopped, and counts the steps
        path = shutil.copytree(tmp_path / "base", tmp_path / f"{at}")
        disk = Stopping() if at < 0 else Stopping(at, full=full)
        table = GrowingTable.open(path, disk=disk)
        disk.steps = 0
        third(table)
        acknowledged = at < 0
        with nullcontext() if acknowledged else pytest.raises(DiskError if full else StoppedError):
            table.compact() if whole else table.save()
        if at < 0:
            after, steps = image(table), disk.steps
            assert steps > 5
        table.close()
        with GrowingTable.open(path) as again:
            found = image(again)
            assert found in (before, after)
            assert found == after or not acknowledged
            seen.add(found == after)
            assert {p.name for p in path.glob("*.safetensors")} == {c.file for c in again._listing.changes}
            again.admit(["new"])
            again.save()
        at += 1
    assert seen == {True, False}


@pytest.mark.filterwarnings("ignore::nestvec.tables.growing.DamageWarning")
def test_every_flipped_byte_is_found(tmp_path):
    with grown(tmp_path / "t") as table:
        before, files = image(table), sorted(table.path.iterdir())
    rng = np.random.default_rng(0)
    silent = 0
    for path in files:
        data = path.read_bytes()
        for at in rng.integers(0, max(len(data), 1), 12 if data else 0).tolist():
            bad = bytearray(data)
            bad[at] ^= 1 << int(rng.integers(8))
            path.write_bytes(bytes(bad))
            try:
                with GrowingTable.open(tmp_path / "t", write=False) as table:
                    silent += image(table) != before
                    assert path.name in LISTS or path.name == "lock"
            except CorruptError as error:
                silent += path.name not in str(error)
        path.write_bytes(data)
    assert silent == 0


def damaged(path, number):
    file = path / f"{number:08d}.safetensors"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data))
    return file


def test_a_damaged_file_is_an_error_or_is_cut_back_loudly(tmp_path):
    with grown(tmp_path / "t") as table:
        first = [image(table, NAMES[:1])]
    file = damaged(tmp_path / "t", 2)
    with pytest.raises(CorruptError, match="cut_back=True"):
        GrowingTable.open(tmp_path / "t")
    with pytest.warns(DamageWarning, match="cut back to commit 1"):
        table = GrowingTable.open(tmp_path / "t", cut_back=True)
    with table:
        assert (table.lookup(NAMES[:100]) >= 2).all()
        assert (table.lookup(NAMES[100:]) == 1).all()
        assert first
        table.admit(["after"])
        table.save()
    assert (tmp_path / "t" / "damaged" / file.name).is_file()
    with GrowingTable.open(tmp_path / "t") as table:
        assert table.lookup(["after"]) >= 2


def test_one_damaged_list_is_healed_by_its_copy_and_two_are_an_error(tmp_path):
    with grown(tmp_path / "t") as table:
        before = image(table)
    (tmp_path / "t" / LISTS[0]).write_bytes(b"{}")
    with pytest.warns(DamageWarning, match="copy is whole"):
        table = GrowingTable.open(tmp_path / "t")
    with table:
        assert image(table) == before
    with GrowingTable.open(tmp_path / "t") as table:  # both were written again, so nothing warns
        assert image(table) == before
    for name in LISTS:
        (tmp_path / "t" / name).write_bytes(b"not a list")
    with pytest.raises(CorruptError, match="So is its copy"):
        GrowingTable.open(tmp_path / "t")
    with pytest.raises(NoCollectionError, match="none of"):
        GrowingTable.open(tmp_path)


def test_a_missing_file_and_a_later_format_are_said(tmp_path):
    with grown(tmp_path / "t"):
        pass
    (tmp_path / "t" / "00000001.safetensors").unlink()
    with pytest.raises(CorruptError, match="is missing"):
        GrowingTable.open(tmp_path / "t")
    other = tmp_path / "x.safetensors"
    other.write_bytes(b"\x05\x00\x00\x00\x00\x00\x00\x00hello")
    with pytest.raises(FormatError, match="header"):
        StreamFile(other)


def test_files_of_changes_do_not_pile_up(tmp_path):
    with GrowingTable.create(tmp_path / "t", SPEC) as table:
        rows = table.admit(NAMES)
        for _ in range(30):
            table.learn(rows, np.ones((len(rows), 4)))
            table.save()
        before = image(table)
        assert len(list(table.path.glob("*.safetensors"))) < 12
    with GrowingTable.open(tmp_path / "t") as table:
        assert image(table) == before


def test_killed_processes_lose_nothing_that_was_acknowledged(tmp_path):
    """A writer prints each step when its save has returned; it is killed at a random moment, thrice."""
    code = """
import sys, numpy as np
from pathlib import Path
from nestvec.tables.growing import GrowingSpec, GrowingTable
path = Path(sys.argv[1])
table = GrowingTable.open(path) if path.exists() else GrowingTable.create(path, GrowingSpec(dim=4, cap=1 << 20))
step = len(table)
while True:
    row = table.admit([step])
    table.put(row, np.full((1, 4), step))
    table.save()
    step += 1
    print(step, flush=True)
"""
    path, rng, acknowledged = tmp_path / "t", np.random.default_rng(0), 0
    for _ in range(3):
        with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout is not None
            line = writer.stdout.readline()
            time.sleep(0.3 * rng.random())
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read().splitlines()
        acknowledged = int([line.strip(), *[x for x in rest if x]][-1])
        with GrowingTable.open(path) as table:
            assert acknowledged <= len(table) <= acknowledged + 1
            values = table.values(table.lookup(np.arange(len(table))))
            assert (values[:, 0] == np.arange(len(table))).all()


def test_the_files_are_safetensors(tmp_path):
    from safetensors.numpy import load_file

    arrays = {"a": np.arange(7, dtype=np.uint32), "b": np.ones((3, 5), np.uint8), "c": np.empty(0, np.uint64)}
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"".join(bytes(p) for p in pieces({n: Stream.of(x) for n, x in arrays.items()}, {"number": 4})))
    found, file = load_file(path), StreamFile(path)
    assert file.notes == {"number": 4}
    for name, value in arrays.items():
        assert (found[name] == value).all()
        assert (file.array(name) == value).all()
