"""Kernels that numba compiles, once that has paid for itself.

Importing numba and compiling takes a second or two, so a process that searches once must not pay for it. A kernel is
compiled when as much time has gone into its slower twin as compiling costs, which is never more than twice the better
choice (the rent-or-buy rule), or when somebody says ``compile_now``.
"""

from __future__ import annotations

import importlib.util
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

_COMPILE = 1.5  # seconds to import numba and compile a kernel without a cache

_all: weakref.WeakSet[Kernel] = weakref.WeakSet()


class Kernel:
    """One function that may be compiled.

    Args:
        build: imports numba and gives back the compiled function.
    """

    def __init__(self, build: Callable[[], Callable[..., Any]]) -> None:
        self._build, self._spent, self._tried = build, 0.0, False
        self._lock = threading.Lock()
        self.compiled: Callable[..., Any] | None = None
        _all.add(self)

    def spend(self, seconds: float) -> None:
        """Count time that the slower twin took; compile once it adds up to what that costs."""
        if self._tried:
            return
        with self._lock:
            self._spent += seconds
        if self._spent > _COMPILE:
            self.compile_now()

    def compile_now(self) -> str:
        """Compile if numba is there and that was not tried before; ``"numba"`` or ``"numpy"``: what runs from now."""
        with self._lock:
            if not self._tried:
                self._tried = True
                if importlib.util.find_spec("numba"):
                    self.compiled = self._build()
        return "numba" if self.compiled else "numpy"

    def forked(self) -> None:
        """A lock may have been held by a thread that a fork left behind."""
        self._lock = threading.Lock()


def _after_fork() -> None:
    for kernel in _all:
        kernel.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
