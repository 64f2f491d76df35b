"""Scores of rows that lie scattered in a large matrix.

Two ways give the same scores up to the order of a float32 sum. With numpy alone, rows are copied out and
multiplied by BLAS. With numba (the extra ``fast``) one pass reads each row and multiplies it at once, in several
threads, once compiling has paid for itself (:mod:`nestvec.kernels.jit`). :func:`path` says which way is taken.
"""

from __future__ import annotations

import importlib
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
from nestvec.kernels.jit import Kernel

# Nanoseconds for one row of 384 floats on 2 cores; all three grow with d alike, so their ratios hold for any d.
_COPY, _READ, _MULTIPLY = 150.0, 50.0, 2.6
_PIECE = 1 << 18  # floats copied at a time for one query: 1 MB, half of a usual L2
_PARALLEL = 1 << 20  # floats below which a second thread costs more to wake than it saves


@dataclass
class _Threads:
    """Made when they are first wanted."""

    pool: ThreadPoolExecutor | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_threads = _Threads()


def _after_fork() -> None:
    """The threads of a pool do not survive a fork, and a lock may have been held by one of them."""
    _threads.pool, _threads.lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def path() -> str:
    """``"numba"`` if single queries over scattered rows run compiled in this process by now, else ``"numpy"``."""
    return "numba" if kernel.compiled else "numpy"


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
    compiled = kernel.compiled
    if compiled is None or not values.flags.c_contiguous:  # what is compiled takes whole rows only
        start = time.perf_counter()
        piece = max(_PIECE // max(values.shape[1], 1), 1)
        for i in range(0, len(at), piece):
            np.dot(take(values, at[i : i + piece]), query, out=out[i : i + piece])
        kernel.spend(time.perf_counter() - start)
        return out
    threads = min(os.cpu_count() or 1, 8) if at.size * values.shape[1] > _PARALLEL else 1
    step = -(-len(at) // threads) if len(at) else 1
    waiting = [
        _pool().submit(compiled, values, at[i : i + step], query, out[i : i + step]) for i in range(step, len(at), step)
    ]
    compiled(values, at[:step], query, out[:step])
    for job in waiting:
        job.result()
    return out


def worth(q: int) -> float:
    """How many rows may be scored in place for each row that is wanted, before copying those out is cheaper.

    In place costs a read and ``q`` products for every row; copied out costs the copy as well, but for the wanted
    rows only. So ``1 + copy / (read + q multiply)``: 3.9 for one query, near 1 for many.
    """
    copy = _READ if q == 1 and kernel.compiled else _COPY  # compiled, a scattered row costs one more miss, not a copy
    return 1 + copy / (_READ + q * _MULTIPLY)


def _pool() -> ThreadPoolExecutor:
    with _threads.lock:
        if _threads.pool is None:
            _threads.pool = ThreadPoolExecutor(min(os.cpu_count() or 1, 8), thread_name_prefix="nestvec-gather")
        return _threads.pool


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


def _build() -> Callable[..., Any]:
    numba = importlib.import_module("numba")

    plain = inspect.unwrap(_scattered)  # the test suite wraps every function in a check of its shapes
    f, i = numba.types.float32, numba.types.int64
    matrix, line = numba.types.Array(f, 2, "C", readonly=True), numba.types.Array(f, 1, "C", readonly=True)
    where = numba.types.Array(i, 1, "C", readonly=True)  # a writable array passes as a read-only one
    signature = numba.types.void(matrix, where, line, f[::1])
    try:
        compiled: Callable[..., Any] = numba.njit([signature], nogil=True, fastmath=True, cache=True)(plain)
    except (RuntimeError, OSError):  # numba has no folder that it may write its cache to; compile for this process only
        compiled = numba.njit([signature], nogil=True, fastmath=True)(plain)
    return compiled


kernel = Kernel(_build)
"""One query with scattered rows; ``kernel.compile_now()`` brings numba in at once."""
