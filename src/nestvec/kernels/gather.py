"""Scores of rows that lie scattered in a large matrix.

Two ways give the same scores up to the order of a float32 sum. With numpy alone, rows are copied out and
multiplied by BLAS. With numba (the extra ``fast``) one pass reads each row and multiplies it at once, in several
threads. Importing numba and compiling take about as long as a hundred such searches, so a process that
searches once must not pay for it: numba is brought in when as much time has gone into copying as compiling costs,
which is never more than twice the better choice (the rent-or-buy rule). :func:`path` says which way is taken.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nestvec.core.types import Array, Float32, Int64

# Nanoseconds for one row of 384 floats on 2 cores; all three grow with d alike, so their ratios hold for any d.
_COPY, _READ, _MULTIPLY = 150.0, 50.0, 2.6
_COMPILE = 1.5  # seconds to import numba and compile the kernel without a cache; 0.6 with one
_PIECE = 1 << 18  # floats copied at a time for one query: 1 MB, half of a usual L2
_PARALLEL = 1 << 20  # floats below which a second thread costs more to wake than it saves


@dataclass
class _State:
    """What the process knows. Changed under the lock; a stale read only delays the switch by a call."""

    spent: float = 0.0
    kernel: Callable[..., Any] | None = None
    tried: bool = False
    pool: ThreadPoolExecutor | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_state = _State()


def _after_fork() -> None:
    """The threads of a pool do not survive a fork, and a lock may have been held by one of them."""
    _state.pool, _state.lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def path() -> str:
    """``"numba"`` if single queries over scattered rows run compiled in this process by now, else ``"numpy"``."""
    return "numba" if _state.kernel else "numpy"


def compile_now() -> str:
    """Bring in numba without waiting until it has paid for itself; returns what :func:`path` says then.

    For a server that would rather wait at its start. Without numba nothing happens.
    """
    with _state.lock:
        if not _state.tried:
            _state.tried = True
            if importlib.util.find_spec("numba"):
                _state.kernel = _compile()
    return path()


def take(values: Float32[np.ndarray, "n d"], at: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
    """Copy the rows at positions ``at``, each in ``[0, n)``."""
    return np.take(values, at, axis=0, mode="clip")  # any mode but the default skips a second, buffered copy


def dots(
    values: Float32[np.ndarray, "n d"], at: Int64[np.ndarray, " m"], query: Float32[np.ndarray, " d"]
) -> Float32[np.ndarray, " m"]:
    """Inner products of one query with the rows at positions ``at``, each in ``[0, n)``.

    Cost: reads each row once. Safe to call from several threads at once.
    """
    out = np.empty(len(at), np.float32)
    if _state.kernel is None or not values.flags.c_contiguous:  # what is compiled takes whole rows only
        start = time.perf_counter()
        piece = max(_PIECE // max(values.shape[1], 1), 1)
        for i in range(0, len(at), piece):
            np.dot(take(values, at[i : i + piece]), query, out=out[i : i + piece])
        if not _state.tried:
            with _state.lock:
                _state.spent += time.perf_counter() - start
            if _state.spent > _COMPILE:
                compile_now()
        return out
    kernel = _state.kernel
    threads = min(os.cpu_count() or 1, 8) if at.size * values.shape[1] > _PARALLEL else 1
    step = -(-len(at) // threads) if len(at) else 1
    waiting = [
        _pool().submit(kernel, values, at[i : i + step], query, out[i : i + step]) for i in range(step, len(at), step)
    ]
    kernel(values, at[:step], query, out[:step])
    for job in waiting:
        job.result()
    return out


def worth(q: int) -> float:
    """How many rows may be scored in place for each row that is wanted, before copying those out is cheaper.

    In place costs a read and ``q`` products for every row; copied out costs the copy as well, but for the wanted
    rows only. So ``1 + copy / (read + q multiply)``: 3.9 for one query, near 1 for many.
    """
    copy = _READ if q == 1 and _state.kernel else _COPY  # compiled, a scattered row costs one more miss, not a copy
    return 1 + copy / (_READ + q * _MULTIPLY)


def _pool() -> ThreadPoolExecutor:
    with _state.lock:
        if _state.pool is None:
            _state.pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8), thread_name_prefix="nestvec-gather")
        return _state.pool


def _scattered(values: Array, at: Array, query: Array, out: Array) -> None:
    """What numba compiles."""
    # Four rows at a time: their first cache misses overlap, which is where the time goes.
    m, d = len(at), len(query)
    whole = m - m % 4
    for i in range(0, whole, 4):
        a, b, c, e = values[at[i]], values[at[i + 1]], values[at[i + 2]], values[at[i + 3]]
        s = t = u = v = np.float32(0)
        for j in range(d):
            x = query[j]
            s += a[j] * x
            t += b[j] * x
            u += c[j] * x
            v += e[j] * x
        out[i], out[i + 1], out[i + 2], out[i + 3] = s, t, u, v
    for i in range(whole, m):
        a, s = values[at[i]], np.float32(0)
        for j in range(d):
            s += a[j] * query[j]
        out[i] = s


def _compile() -> Callable[..., Any]:
    import numba

    plain = inspect.unwrap(_scattered)  # the test suite wraps every function in a check of its shapes
    f, i = numba.types.float32, numba.types.int64
    matrix, line = numba.types.Array(f, 2, "C", readonly=True), numba.types.Array(f, 1, "C", readonly=True)
    where = numba.types.Array(i, 1, "C", readonly=True)  # a writable array passes as a read-only one
    signature = numba.types.void(matrix, where, line, f[::1])
    try:
        kernel = numba.njit([signature], nogil=True, fastmath=True, cache=True)(plain)
    except (RuntimeError, OSError):  # numba has no folder that it may write its cache to; compile for this process only
        kernel = numba.njit([signature], nogil=True, fastmath=True)(plain)
    compiled: Callable[..., Any] = kernel
    return compiled
