"""Tokens gathered in the cells of random partitions: the inner loop of fixed-dimensional encodings.

Each of ``R`` partitions has ``2**k`` cells, and a token lies in one cell of each: that of the signs of ``k`` inner
products. What is gathered there are ``p`` numbers of the token. One matrix gives all of them: its first ``R p`` columns
the numbers, partition by partition, the next ``R k`` the products, the rest is filling.

With numba (the extra ``fast``), once it has paid for itself, the gathering is 15 times as fast; numpy gives the same up
to the order of a float32 sum.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np

from nestvec.core.types import Array, Float32, Int64
from nestvec.kernels import ragged
from nestvec.kernels.jit import Kernel

_FAR = 1 << 40  # one bit of difference weighs more than any position of a token
_TOKENS = 1024  # of a block: at 10,240 dimensions 2 MB of products, which stay in L2
_FEW = 32  # rows are filled up to a multiple of this, a whole number of times the height of any BLAS kernel

_K = _P = 0  # of the partition; constants in what numba compiles, which halves its time


def encode(
    x: Float32[np.ndarray, "t d"],
    offsets: Int64[np.ndarray, " n1"],
    matrix: Float32[np.ndarray, "d w"],
    shape: tuple[int, int, int],
    *,
    mean: bool,
    fill: bool,
) -> Float32[np.ndarray, "n m"]:
    """What lies in each cell for each item: ``[n, R 2**k p]``, partition by partition, cell by cell.

    Args:
        x: ``[t, d]`` tokens.
        offsets: ``[n + 1]``.
        matrix: ``[d, w]``, ``w >= R (p + k)``.
        shape: ``R``, ``k`` and ``p``.
        mean: the mean of what lies in a cell, not the sum.
        fill: an empty cell gets the numbers of the token whose cell differs in the fewest bits, the first of several.

    Returns:
        Zeros for empty cells that are not filled, and for items without tokens.
    """
    r, k, p = shape
    out = np.zeros((len(offsets) - 1, r * 2**k, p), np.float32)
    kernel = kernel_of(k, p)
    room = np.empty((0, matrix.shape[1]), np.float32)
    for lo, hi in ragged.blocks(offsets, _TOKENS):
        t = int(offsets[hi] - offsets[lo])
        if len(room) < t:
            room = np.empty((max(t, _TOKENS), matrix.shape[1]), np.float32)
        products = _products(x[offsets[lo] : offsets[hi]], matrix, room)
        mine, where = offsets[lo : hi + 1] - offsets[lo], out[lo:hi]
        if kernel.compiled is not None:
            kernel.compiled(products, mine, r, mean, fill, where)
        else:
            start = time.perf_counter()
            _gather_by_numpy(products, mine, shape, where, mean=mean, fill=fill)
            kernel.spend(time.perf_counter() - start)
    return out.reshape(len(out), r * 2**k * p)


def _products(x: Array, matrix: Array, out: Array) -> Float32[np.ndarray, "t w"]:
    """``x @ matrix`` in the first rows of ``out``, each without regard to the rows around it; see ``rows_times``."""
    t = len(x)
    whole = t - t % _FEW
    np.matmul(x[:whole], matrix, out=out[:whole])
    if whole < t:
        rest = np.zeros((_FEW, x.shape[1]), np.float32)
        rest[: t - whole] = x[whole:]
        out[whole:t] = (rest @ matrix)[: t - whole]
    return out[:t]


def _gather_by_numpy(
    products: Array, offsets: Array, shape: tuple[int, int, int], out: Array, *, mean: bool, fill: bool
) -> None:
    r, k, p = shape
    t, n = len(products), len(offsets) - 1
    if not t:
        return
    values = np.ascontiguousarray(products[:, : r * p]).reshape(t * r, p)
    bits = products[:, r * p : r * (p + k)].reshape(t, r, k) > 0
    cell = (bits << np.arange(k)).sum(axis=2)  # [t, r]
    item = np.repeat(np.arange(n), np.diff(offsets))
    slot = ((item[:, None] * r + np.arange(r)) << k | cell).reshape(-1)  # of out, as rows of p
    order = np.argsort(slot, kind="stable")
    used, first = np.unique(slot[order], return_index=True)
    rows = out.reshape(-1, p)
    rows[used] = np.add.reduceat(values[order], first, axis=0)
    if not mean:
        return
    rows[used] /= np.diff(first, append=len(slot)).astype(np.float32)[:, None]
    if fill:
        nearest: Int64[np.ndarray, " s"] = np.full(n * r << k, _FAR << 20, np.int64)
        nearest[used] = order[first] // r  # the first token there
        nearest = _nearest(nearest.reshape(-1, 2**k), k).reshape(-1)
        holes = np.ones(len(nearest), bool)
        holes[used] = False
        holes[np.repeat(np.diff(offsets) == 0, r << k)] = False
        where = np.flatnonzero(holes)
        rows[where] = values[nearest[where] % _FAR * r + (where >> k) % r]


def _nearest(key: Int64[np.ndarray, "m c"], k: int) -> Int64[np.ndarray, "m c"]:
    """The least ``key[c'] + _FAR * hamming(c, c')``, one bit after the other: each step lets that bit differ or not."""
    for b in range(k):
        pair = key.reshape(len(key), -1, 2, 1 << b)
        off, on = pair[:, :, 0], pair[:, :, 1]
        key = np.stack([np.minimum(off, on + _FAR), np.minimum(on, off + _FAR)], axis=2).reshape(key.shape)
    return key


def _gather(products, offsets, r, mean, fill, out):  # type: ignore[no-untyped-def]  # noqa: C901, PLR0912
    """What numba compiles, for one ``_K`` and ``_P``."""
    cells = 1 << _K
    count, key = np.empty(cells, np.int64), np.empty(cells, np.int64)
    for i in range(len(offsets) - 1):
        lo, hi = offsets[i], offsets[i + 1]
        if lo == hi:
            continue
        for j in range(r):
            base, y, b = j * cells, j * _P, r * _P + j * _K
            for c in range(cells):
                count[c], key[c] = 0, _FAR << 20
            for t in range(lo, hi):
                own = np.int64(0)
                for s in range(_K):
                    own |= np.int64(products[t, b + s] > 0) << s
                count[own] += 1
                key[own] = min(key[own], t)
                for s in range(_P):
                    out[i, base + own, s] += products[t, y + s]
            if not mean:
                continue
            for c in range(cells):
                if count[c] > 1:
                    size = np.float32(count[c])
                    for s in range(_P):
                        out[i, base + c, s] /= size
            if not fill:
                continue
            for s in range(_K):
                for c in range(cells):
                    if not (c >> s) & 1:
                        off, on = key[c], key[c | 1 << s]
                        key[c], key[c | 1 << s] = min(off, on + _FAR), min(on, off + _FAR)
            for c in range(cells):
                if count[c] == 0:
                    near = key[c] & (_FAR - 1)
                    for s in range(_P):
                        out[i, base + c, s] = products[near, y + s]


def _build(k: int, p: int) -> Callable[..., Any]:
    numba = importlib.import_module("numba")
    plain = inspect.unwrap(_gather)  # the test suite wraps every function in a check of its shapes
    body = type(plain)(plain.__code__, {**plain.__globals__, "_K": k, "_P": p}, plain.__name__)
    compiled: Callable[..., Any] = numba.njit(nogil=True, error_model="numpy")(body)
    return compiled


@cache
def kernel_of(k: int, p: int) -> Kernel:
    """The gathering in ``2**k`` cells of ``p`` numbers; its ``compile_now()`` brings numba in at once."""
    return Kernel(partial(_build, k, p))
