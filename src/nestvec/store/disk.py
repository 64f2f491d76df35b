"""Every change that the store makes to a file passes through here, one small step at a time.

The steps are what can be interrupted by a crash or refused by a full disk, so the tests stand in for
:class:`Disk` to stop at each of them, to refuse, or to forget what was never synced.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import apsw

from nestvec.core.errors import CorruptError, DiskError, LockedError, NestvecError, StoreError

_REASONS = {
    errno.ENOSPC: "the disk is full; free some space and try again",
    errno.EDQUOT: "the disk quota is used up; free some space and try again",
    errno.EFBIG: "the file would grow past the size allowed here",
    errno.EACCES: "permission was denied; check the owner and the mode of the folder",
    errno.EPERM: "the operation is not permitted; check the owner and the mode of the folder",
    errno.EROFS: "the file system is read-only",
    errno.EMFILE: "this process has too many files open; raise its limit (ulimit -n)",
    errno.ENFILE: "the system has too many files open",
    errno.EIO: "the disk reported an error; check its health",
}


class Disk:
    """The steps. Each either happens wholly in the sense of POSIX or raises ``OSError``."""

    def point(self, name: str) -> None:
        """A moment between two steps that a test may want to interrupt."""

    def write_new(self, path: Path, pieces: Iterable[bytes | memoryview]) -> int:
        """Write a new file from ``pieces`` and return its length; nothing is synced yet.

        Raises:
            FileExistsError: there is one already.
        """
        self.point(f"create {path.name}")
        with path.open("xb") as file:
            for piece in pieces:
                self.point(f"write {path.name}")
                file.write(piece)
            return file.tell()

    def write_placed(self, path: Path, pieces: Iterable[tuple[int, bytes | memoryview]]) -> int:
        """Write a new file from ``(offset, piece)`` in any order and return its length; nothing is synced yet.

        Raises:
            FileExistsError: there is one already.
        """
        self.point(f"create {path.name}")
        with path.open("xb", buffering=0) as file:
            for offset, piece in pieces:
                self.point(f"write {path.name}")
                rest, at = memoryview(piece).cast("B"), offset
                while rest:
                    done = os.pwrite(file.fileno(), rest, at)
                    rest, at = rest[done:], at + done
            return os.fstat(file.fileno()).st_size

    def write_at(self, path: Path, offset: int, piece: bytes) -> None:
        """Overwrite part of an existing file, in one system call, and sync it."""
        self.point(f"write {path.name}")
        handle = os.open(path, os.O_WRONLY)
        try:
            os.pwrite(handle, piece, offset)
            self.point(f"sync {path.name}")
            os.fsync(handle)
        finally:
            os.close(handle)

    def sync(self, path: Path) -> None:
        """Return when the content of a file, or the list of names in a folder, is on the disk."""
        self.point(f"sync {path.name}")
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def move(self, path: Path, to: Path) -> None:
        """Rename inside one file system, replacing what is there."""
        self.point(f"move {path.name}")
        path.replace(to)

    def remove(self, path: Path) -> None:
        """Take a name away; readers that have the file open keep reading it. No error if it is gone."""
        self.point(f"remove {path.name}")
        with suppress(FileNotFoundError):
            path.unlink()


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn what the system and SQLite raise inside the block into the store's own errors.

    Raises:
        DiskError: full, read-only, not permitted, failing.
        CorruptError, LockedError, StoreError: as :func:`sqlite_errors`.
    """
    try:
        with sqlite_errors(path):
            yield
    except NestvecError:
        raise
    except OSError as cause:
        reason = _REASONS.get(cause.errno or 0, cause.strerror or str(cause))
        what = cause.filename or path
        raise DiskError(f"{what} could not be read or written: {reason}. What was committed before is safe.") from cause


@contextmanager
def sqlite_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite raises inside the block into the store's own errors, and let everything else through.

    Raises:
        CorruptError: SQLite, or the checksum of one of its pages, found damage.
        LockedError: another connection held a lock for longer than the time-out.
        DiskError: full, read-only, not permitted, failing.
        StoreError: anything else.
    """
    try:
        yield
    except (apsw.CorruptError, apsw.NotADBError) as cause:
        raise CorruptError(
            f"{path / 'space.db'} must hold what was written to it, but it is damaged ({cause}). "
            f"Run: nestvec repair {path}"
        ) from cause
    except (apsw.BusyError, apsw.LockedError) as cause:
        raise LockedError(f"{path} is locked by another process ({cause}); try again when it is done.") from cause
    except (apsw.FullError, apsw.ReadOnlyError, apsw.CantOpenError, apsw.PermissionsError, apsw.IOError) as cause:
        raise DiskError(f"{path} could not be read or written: {cause}. What was committed before is safe.") from cause
    except apsw.Error as cause:
        raise StoreError(f"SQLite refused a statement on {path}: {cause}.") from cause
