"""One writer at a time, across processes; the system gives the lock back when a process dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from nestvec.core.errors import LockedError


class WriterLock:
    """An exclusive lock on a folder, held until :meth:`release`.

    Raises:
        LockedError: another holder, in this process or elsewhere; the message names its process.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._handle)
            raise LockedError(
                f"{path.parent} must have one writer at a time, and process {holder} is writing. "
                "Wait for it to finish, or open the collection for reading."
            ) from None
        os.truncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        """Give the lock back. Calling it twice is allowed."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
