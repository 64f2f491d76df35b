"""The steps by which a growing table changes its folder, each one a place where a crash may come."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import xxhash

from nestvec.core.errors import DiskError, LockedError, NestvecError

_BLOCK = 1 << 20


class Disk:
    """The steps. Tests stand in for it to stop between any two."""

    def point(self, name: str) -> None:
        """A moment that a test may want to interrupt."""

    def write(self, path: Path, pieces: Iterable[bytes | memoryview]) -> tuple[int, str]:
        """Write and sync a file that nobody reads yet; returns its length and its xxh3."""
        digest, size = xxhash.xxh3_64(), 0
        with path.open("wb") as file:
            for piece in pieces:
                self.point(f"write {path.name}")
                file.write(piece)
                digest.update(piece)
                size += len(piece)
            file.flush()
            self.point(f"sync {path.name}")
            os.fsync(file.fileno())
        return size, digest.hexdigest()

    def move(self, path: Path, to: Path) -> None:
        """Rename, replacing what is there, and sync the folder."""
        self.point(f"move {to.name}")
        path.replace(to)
        self.sync(to.parent)

    def sync(self, folder: Path) -> None:
        """Return when the names in a folder are on the disk."""
        self.point(f"sync {folder.name}/")
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def remove(self, path: Path) -> None:
        """Take a name away."""
        self.point(f"remove {path.name}")
        path.unlink(missing_ok=True)


def digest_of(path: Path) -> tuple[int, str]:
    """Length and xxh3 of a file, read in blocks; ``(-1, "")`` where there is none."""
    digest, size = xxhash.xxh3_64(), 0
    try:
        with path.open("rb") as file:
            while piece := file.read(_BLOCK):
                digest.update(piece)
                size += len(piece)
    except FileNotFoundError:
        return -1, ""
    return size, digest.hexdigest()


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn what the system raises inside the block into :class:`DiskError`."""
    try:
        yield
    except NestvecError:
        raise
    except OSError as cause:
        full = cause.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "Free some space and try again" if full else "Check the disk and the rights of the folder"
        raise DiskError(
            f"{path} could not be read or written: {cause.strerror or cause}. {hint}; what was saved before is safe."
        ) from cause


class Lock:
    """One writer of a folder at a time, across processes; the system gives it back when a process dies.

    Raises:
        LockedError: there is another.
    """

    def __init__(self, folder: Path) -> None:
        self._handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            self._handle = -1
            raise LockedError(
                f"{folder} must have one writer at a time, and another process has it open. Wait for it, or open the "
                "table with write=False."
            ) from None

    def release(self) -> None:
        """Give it back. Calling it twice is allowed."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
