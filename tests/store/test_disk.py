import errno
import os

import apsw
import numpy as np
import pytest

from nestvec.core.errors import CorruptError, DiskError, LockedError, NotFoundError, StoreError
from nestvec.store import Disk, Store
from nestvec.store.disk import storage_errors


@pytest.fixture
def synced(monkeypatch):
    """What fsync was called for, by inode."""
    calls = []
    plain = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (calls.append(os.fstat(handle).st_ino), plain(handle)))
    return calls


def test_what_says_it_syncs_does(tmp_path, synced):
    disk, file = Disk(), tmp_path / "f"
    assert disk.write_new(file, [b"ab", memoryview(b"c")]) == 3
    assert synced == []
    disk.sync(file)
    disk.sync(tmp_path)
    assert synced == [file.stat().st_ino, tmp_path.stat().st_ino]
    disk.write_at(file, 1, b"X")
    assert synced[2:] == [file.stat().st_ino]
    assert file.read_bytes() == b"aXc"
    with pytest.raises(FileExistsError):
        disk.write_new(file, [])
    placed = tmp_path / "placed"
    assert disk.write_placed(placed, [(4, b"ef"), (0, memoryview(b"ab")), (2, np.frombuffer(b"cd", "<i2").data)]) == 6
    assert synced[3:] == []
    assert placed.read_bytes() == b"abcdef"
    with pytest.raises(FileExistsError):
        disk.write_placed(placed, [])
    disk.remove(placed)
    disk.move(file, tmp_path / "g")
    disk.remove(tmp_path / "g")
    disk.remove(tmp_path / "g")
    assert list(tmp_path.iterdir()) == []


def test_the_order_of_a_commit(path, store, put):
    class Noting(Disk):
        def __init__(self):
            self.steps = []

        def point(self, name):
            self.steps.append(name.split("-")[0])

    disk = store.disk = store.writer.disk = Noting()
    put("a")
    order = ["create dense", *["write dense"] * 3, "sync dense", "sync segments"]
    order += ["begin", "commit", "committed", "write HEAD", "sync HEAD"]
    assert disk.steps == order


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (errno.ENOSPC, "the disk is full; free some space and try again"),
        (errno.EMFILE, "too many files open; raise its limit"),
        (errno.EROFS, "the file system is read-only"),
        (errno.EIO, "the disk reported an error"),
        (errno.ENOTTY, "Inappropriate ioctl"),
    ],
)
def test_the_reason_is_said(tmp_path, code, reason):
    with pytest.raises(DiskError, match=reason) as caught, storage_errors(tmp_path):
        raise OSError(code, os.strerror(code), "some file")
    assert "some file could not be read or written" in str(caught.value)
    assert "What was committed before is safe" in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (apsw.FullError, DiskError),
        (apsw.IOError, DiskError),
        (apsw.ReadOnlyError, DiskError),
        (apsw.CantOpenError, DiskError),
        (apsw.CorruptError, CorruptError),
        (apsw.NotADBError, CorruptError),
        (apsw.BusyError, LockedError),
        (apsw.SQLError, StoreError),
    ],
)
def test_what_sqlite_says_becomes_an_error_of_the_store(tmp_path, error, kind):
    with pytest.raises(kind) as caught, storage_errors(tmp_path):
        raise error("words")
    assert "words" in str(caught.value)
    assert type(caught.value) is kind


def test_errors_of_our_own_pass_through(tmp_path):
    with pytest.raises(NotFoundError), storage_errors(tmp_path):
        raise NotFoundError("x")


def test_too_many_files_open_is_a_disk_error(path, store, monkeypatch):
    store.close()

    def refuse(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("nestvec.store.lock.os.open", refuse)
    with pytest.raises(DiskError, match="too many files open"):
        Store.open(path, write=True)
