"""The best score of each query token in each item, with tokens of one byte or one bit a dimension.

Products of whole numbers are several times as fast as those of floats. A query token is rounded to 8 bits, as the
tokens of ``int8_rows@1`` are::

    q ~ s round(q / s),   s = max |q| / 127

so that each product is exact, and the query loses as much as such a token does: at most ``max |q| / 254`` a dimension.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nestvec.core.types import Array, Float32, Int64, Shaped, UInt8
from nestvec.kernels import bits, ragged
from nestvec.kernels.jit import Kernel
from nestvec.kernels.maxsim import in_blocks


def best_int8(
    query: Float32[np.ndarray, "q d"],
    codes: Shaped[np.ndarray, "t d"],
    offsets: Int64[np.ndarray, " n1"],
    *,
    scale: Float32[np.ndarray, " t"] | None = None,
) -> Float32[np.ndarray, "n q"]:
    """``max_j scale_j <q_i, codes_j>`` over the tokens of each item.

    Args:
        query: ``[q, d]`` float32, finite.
        codes: ``[t, d]`` int8; rows may lie apart, as columns of a wider array do.
        offsets: ``[n + 1]``.
        scale: ``[t]`` of each token; None for 1.

    Returns:
        ``[n, q]``; ``-inf`` for an item without tokens.
    """
    whole = _Whole(query)

    def best(lo: int, hi: int, inner: Array) -> Array:
        products = whole.times(codes[lo:hi])
        # a scale that lies beside its codes is copied while those are in cache: all at once takes a third longer
        times = np.ones(hi - lo, np.float32) if scale is None else np.ascontiguousarray(scale[lo:hi])
        return _maxima(products, whole.nothing, times, inner)

    return np.asarray(in_blocks(len(query), offsets, best) * whole.step)


def best_bits(
    query: Float32[np.ndarray, "q b"],
    packed: UInt8[np.ndarray, "t w"],
    offsets: Int64[np.ndarray, " n1"],
) -> Float32[np.ndarray, "n q"]:
    """``max_j <q_i, s_j>`` over the tokens of each item, where ``s_j`` is -1 or 1 a dimension.

    ``<q, s> = 2 <q, bits> - sum q``. As :func:`best_int8` otherwise; ``packed`` is what :func:`bits.pack` gave.
    """
    whole = _Whole(query)
    b, less = query.shape[1], whole.sums / 2
    even = np.ones(len(packed), np.float32)

    def best(lo: int, hi: int, inner: Array) -> Array:
        return _maxima(whole.times(bits.unpack(packed[lo:hi], b).view(np.int8)), less, even[lo:hi], inner)

    return np.asarray(in_blocks(len(query), offsets, best) * (2 * whole.step))


class _Whole:
    """A query in whole numbers, packed for numkong.

    Attributes:
        step: ``[q]`` float32, ``s``.
        sums: ``[q]`` float32, of the whole numbers.
        nothing: ``[q]`` zeros.
    """

    def __init__(self, query: Float32[np.ndarray, "q d"]) -> None:
        import numkong  # takes 70 ms to import

        top = np.abs(query).max(axis=1, initial=0).astype(np.float64)
        step = np.maximum(top / 127, np.finfo(np.float32).tiny)
        whole = np.rint(query / step[:, None])
        self.step, self.sums = step.astype(np.float32), whole.sum(axis=1).astype(np.float32)
        self.nothing = np.zeros(len(step), np.float32)
        self._numkong = numkong
        if query.size:
            self._packed = numkong.dots_pack(whole.astype(np.int8), dtype="int8")

    def times(self, codes: Shaped[np.ndarray, "t d"]) -> Shaped[np.ndarray, "t q"]:
        """int32 products of ``codes`` with the whole numbers."""
        if not codes.size or not len(self.step):
            return np.zeros((len(codes), len(self.step)), np.int32)
        return np.asarray(self._numkong.dots_packed(codes, self._packed))


def _maxima(products: Array, less: Array, scale: Array, offsets: Array) -> Float32[np.ndarray, "n q"]:
    """``max_j scale_j (products_ij - less_i)`` within each item; the same to the last bit with numba."""
    if kernel.compiled is not None:
        out = np.full((len(offsets) - 1, len(less)), -np.inf, np.float32)
        kernel.compiled(products, less, scale, offsets, out)
        return out
    start = time.perf_counter()
    found = products.astype(np.float32)
    found -= less
    found *= scale[:, None]
    kernel.spend(time.perf_counter() - start)
    return ragged.maxima(found, offsets)


def _scan(products, less, scale, offsets, out):  # type: ignore[no-untyped-def]
    """What numba compiles."""
    q = len(less)
    for i in range(len(offsets) - 1):
        for t in range(offsets[i], offsets[i + 1]):
            times = scale[t]
            for j in range(q):
                out[i, j] = max(out[i, j], (np.float32(products[t, j]) - less[j]) * times)


def _build() -> Callable[..., Any]:
    numba = importlib.import_module("numba")
    compiled: Callable[..., Any] = numba.njit(nogil=True)(inspect.unwrap(_scan))
    return compiled


kernel = Kernel(_build)
"""Scaled maxima; ``kernel.compile_now()`` brings numba in at once."""
