"""Products in blocks of rows, and the door that codes come in by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import ShapeError
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, Shaped

_ROWS = 128  # a multiple of every BLAS micro-kernel's height, so that all rows take the same path
_DECODED = 1 << 20  # floats decoded at a time: 4 MB, so that they are multiplied while in cache


def rows_times(x: Float32[np.ndarray, "n d"], matrix: Float32[np.ndarray, "d m"]) -> Float32[np.ndarray, "n m"]:
    """``x @ matrix``, where a row's result does not depend on the rows around it, to the last bit.

    BLAS sums the rows left over at the end of a block in another order than the others, and a bit of a code could turn
    on that. Here the last block is filled up with zeros.
    """
    n = len(x)
    out = np.empty((n, matrix.shape[1]), np.float32)
    for lo in range(0, n, _ROWS):
        block = x[lo : lo + _ROWS]
        if len(block) < _ROWS:
            block = np.concatenate([block, np.zeros((_ROWS - len(block), x.shape[1]), np.float32)])
        out[lo : lo + _ROWS] = (block @ matrix)[: n - lo]
    return out


def as_codes(codes: Array, *, width: int, dtype: type[np.generic] = np.uint8) -> Shaped[np.ndarray, "n w"]:
    """Return ``codes`` if they are what a codec with rows of ``width`` items gives.

    Raises:
        ShapeError: they have another shape or type.
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] != width or codes.dtype != dtype:
        raise ShapeError(
            f"codes must be [n, {width}] {np.dtype(dtype).name}, got {codes.shape} {codes.dtype}. "
            "Pass what encode of this same codec gave."
        )
    return codes


def scores_by_decoding(
    queries: ArrayLike, codes: Array, decode: Callable[[Array], Matrix], *, dim: int
) -> Float32[np.ndarray, "q n"]:
    """``queries @ decode(codes).T``, decoding a block of rows at a time.

    Args:
        queries: ``[q, d]`` float.
        codes: ``[n, w]``.
        decode: rows of codes to ``[b, d]`` float32.
        dim: ``d``.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.
    """
    queries = as_matrix(queries, name="queries", dim=dim)
    out = np.empty((len(queries), len(codes)), np.float32)
    step = max(_DECODED // max(dim, 1), 256)
    for lo in range(0, len(codes), step):
        np.matmul(queries, decode(codes[lo : lo + step]).T, out=out[:, lo : lo + step])
    return out
