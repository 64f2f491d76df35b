"""Rows that belong to items, several to each: one flat array, and offsets that say where each item starts."""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float32, Int64
from nestvec.kernels.jit import Kernel


def as_offsets(offsets: ArrayLike, *, end: int, name: str = "offsets") -> Int64[np.ndarray, " n1"]:
    """Return ``offsets`` ``[n + 1]`` as int64 if they cut ``end`` rows into items, or say what is wrong with them.

    Item ``i`` owns rows ``offsets[i]`` to ``offsets[i + 1]``, which may be none.

    Raises:
        ShapeError: they do not start at 0, fall, or do not end at ``end``.
    """
    found = np.asarray(offsets)
    whole = found.ndim == 1 and len(found) > 0 and found.dtype.kind in "iu"
    if not whole or found[0] != 0 or found[-1] != end or (found[1:] < found[:-1]).any():
        raise ShapeError(
            f"{name} must be [n + 1] whole numbers that rise from 0 to {end}, "
            f"got shape {found.shape} {found.dtype}, {found.ravel()[:3]} … {found.ravel()[-3:]}."
        )
    return np.ascontiguousarray(found, np.int64)


def take(
    rows: Array, offsets: Int64[np.ndarray, " n1"], items: Int64[np.ndarray, " m"]
) -> tuple[Array, Int64[np.ndarray, " m1"]]:
    """The rows of some items, copied one after the other, and their own offsets.

    Args:
        rows: ``[t, …]``, also a memory map.
        offsets: ``[n + 1]``.
        items: ``[m]`` positions of items, in any order.

    Raises:
        InputError: there is no such item.

    Cost: one copy of those rows.
    """
    if len(items) and (items.min() < 0 or items.max() >= len(offsets) - 1):
        raise InputError(f"items must be in [0, {len(offsets) - 1}), got {items.min()} to {items.max()}.")
    first, size = offsets[items], offsets[items + 1] - offsets[items]
    out: Int64[np.ndarray, " m1"] = np.zeros(len(items) + 1, np.int64)
    np.cumsum(size, out=out[1:])
    where = np.repeat(first - out[:-1], size) + np.arange(out[-1])
    return np.take(rows, where, axis=0, mode="clip"), out


def blocks(offsets: Int64[np.ndarray, " n1"], most: int) -> Iterator[tuple[int, int]]:
    """Runs of items ``lo`` to ``hi`` that have at most ``most`` rows together; an item of more has a run of its own."""
    lo, n = 0, len(offsets) - 1
    while lo < n:
        hi = int(np.searchsorted(offsets, offsets[lo] + max(most, 1), side="right")) - 1
        hi = min(max(hi, lo + 1), n)
        yield lo, hi
        lo = hi


def maxima(scores: Float32[np.ndarray, "t q"], offsets: Int64[np.ndarray, " n1"]) -> Float32[np.ndarray, "n q"]:
    """The largest of each column within each item; ``-inf`` for an item without rows.

    With numba (the extra ``fast``), once it has paid for itself, four times as fast; the same to the last bit.
    """
    out = np.full((len(offsets) - 1, scores.shape[1]), -np.inf, np.float32)
    if kernel.compiled is not None:
        kernel.compiled(scores, offsets, out)
        return out
    start = time.perf_counter()
    some = np.flatnonzero(np.diff(offsets))
    if len(some):
        out[some] = np.maximum.reduceat(scores[: offsets[-1]], offsets[some], axis=0)
    kernel.spend(time.perf_counter() - start)
    return out


def _maxima(scores, offsets, out):  # type: ignore[no-untyped-def]
    """What numba compiles."""
    for i in range(len(offsets) - 1):
        for t in range(offsets[i], offsets[i + 1]):
            for j in range(scores.shape[1]):
                out[i, j] = max(out[i, j], scores[t, j])


def _build() -> Callable[..., Any]:
    numba = importlib.import_module("numba")
    compiled: Callable[..., Any] = numba.njit(nogil=True)(inspect.unwrap(_maxima))
    return compiled


kernel = Kernel(_build)
"""The maxima; ``kernel.compile_now()`` brings numba in at once."""
