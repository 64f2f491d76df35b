"""Product quantisation: a vector cut into parts, each replaced by the number of its nearest codeword.

Codebooks are ``[m, k, w]``: ``m`` parts, ``k`` codewords of ``w`` dimensions. A width that ``m`` does not divide is
filled up with zeros.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, Float32, Float64, Matrix, UInt8
from nestvec.kernels.blocks import rows_times, scores_by_decoding
from nestvec.kernels.jit import Kernel
from nestvec.kernels.kmeans import kmeans, nearest

_FEW = 8  # queries up to which looking scores up beats decoding and BLAS

Codebooks = Float32[np.ndarray, "m k w"]


def cut(x: Matrix, m: int) -> Float32[np.ndarray, "m n w"]:
    """``[n, d]`` to ``m`` matrices ``[n, ceil(d / m)]``, one after the other."""
    n, d = x.shape
    w = -(-d // m)
    whole = np.pad(x, [(0, 0), (0, m * w - d)])
    return np.ascontiguousarray(whole.reshape(n, m, w).transpose(1, 0, 2))


def check(name: str, *, dim: int, parts: int, bits: int, rows: int) -> None:
    """Return if codebooks of that shape can be trained on that many rows.

    Raises:
        InputError: ``bits`` is not 4 or 8, ``parts`` not in 1 to ``dim``, or there are fewer rows than codewords.
    """
    if bits not in (4, 8):
        raise InputError(f"bits of {name} must be 4 or 8 for each part, got {bits}.")
    if not 1 <= parts <= dim:
        raise InputError(f"parts of {name} must be 1 to d={dim}, got {parts}.")
    if rows < 2**bits:
        raise InputError(
            f"{name} with {bits} bits must be fitted on at least {2**bits} sample rows, got {rows}. "
            "Pass more, or use rabitq@1 or int4@1, which need one."
        )


def check_codebooks(codebooks: Codebooks, dim: int) -> None:
    """Return if codebooks fit vectors of ``dim`` dimensions.

    Raises:
        InputError: they do not.
    """
    if codebooks.ndim != 3 or codebooks.shape[1] not in (16, 256) or codebooks.shape[2] != -(-dim // len(codebooks)):
        raise InputError(f"codebooks must be [m, 16 or 256, ceil({dim} / m)], got shape {codebooks.shape}.")


def train(x: Matrix, *, parts: int, bits: int, rounds: int = 15, seed: int = 0) -> Codebooks:
    """Codebooks of ``x`` ``[n, d]``, by k-means in each part.

    Source: Jégou et al. 2011, sec. 2 (IEEE TPAMI 33(1)).
    """
    return np.stack([kmeans(part, 2**bits, rounds=rounds, seed=seed + i) for i, part in enumerate(cut(x, parts))])


def balanced(x: Matrix, parts: int) -> Float32[np.ndarray, "d d"]:
    """A rotation ``[d, d]`` onto principal directions, dealt out so that all parts hold alike products of variances.

    Source: Ge et al. 2013, sec. 3.2 (CVPR).
    """
    moved = x - x.mean(axis=0)
    variance, directions = np.linalg.eigh((moved.T @ moved).astype(np.float64))
    w = -(-x.shape[1] // parts)
    room = [min(w, x.shape[1] - i * w) for i in range(parts)]
    where: list[list[int]] = [[] for _ in range(parts)]
    load: Float64[np.ndarray, " m"] = np.zeros(parts)
    for i in reversed(range(x.shape[1])):
        open_ = [j for j in range(parts) if len(where[j]) < room[j]]
        j = min(open_, key=lambda part: float(load[part]))
        where[j].append(i)
        load[j] += np.log(max(float(variance[i]), 1e-12 * float(variance[-1]) + 1e-30)) + 100  # positive: fill evenly
    return np.ascontiguousarray(directions[:, [i for part in where for i in part]], dtype=np.float32)


def train_rotated(
    x: Matrix, *, parts: int, bits: int, rounds: int = 20, seed: int = 0
) -> tuple[Float32[np.ndarray, "d d"], Codebooks]:
    """A rotation, and codebooks of ``x @ rotation``, made for each other in turns.

    ``rotation = U V'`` with ``U S V' = x' y`` (Procrustes), ``y`` the decoded rows; then one round of k-means.

    Source: Ge et al. 2013, algorithm 1 (CVPR).
    """
    rotation = balanced(x, parts)
    turned = x @ rotation
    books = train(turned, parts=parts, bits=bits, rounds=4, seed=seed)
    for _ in range(rounds):
        decoded = decode(encode(turned, books), books, x.shape[1])
        u, _, vt = np.linalg.svd((x.T @ decoded).astype(np.float64))
        rotation = np.ascontiguousarray(u @ vt, dtype=np.float32)
        turned = x @ rotation
        books = refine(turned, books, rounds=1, seed=seed)
    return rotation, refine(turned, books, rounds=6, seed=seed)


def refine(x: Matrix, codebooks: Codebooks, *, rounds: int, seed: int = 0) -> Codebooks:
    """Codebooks after more rounds of k-means."""
    pieces = zip(cut(x, len(codebooks)), codebooks, strict=True)
    return np.stack([kmeans(part, len(book), rounds=rounds, seed=seed, start=book) for part, book in pieces])


def encode(x: Matrix, codebooks: Codebooks) -> UInt8[np.ndarray, "n m"]:
    """The number of the nearest codeword in each part."""
    out = np.empty((len(x), len(codebooks)), np.uint8)
    for j, (part, book) in enumerate(zip(cut(x, len(codebooks)), codebooks, strict=True)):
        out[:, j] = nearest(part, book)
    return out


def decode(numbers: UInt8[np.ndarray, "n m"], codebooks: Codebooks, dim: int) -> Matrix:
    """The codewords side by side, ``[n, dim]``."""
    n, m = numbers.shape
    out = np.empty((n, m, codebooks.shape[2]), np.float32)
    for j in range(m):
        out[:, j] = codebooks[j].take(numbers[:, j], axis=0, mode="clip")
    return out.reshape(n, m * codebooks.shape[2])[:, :dim]


def width(parts: int, size: int) -> int:
    """Bytes of a packed code of ``parts`` numbers below ``size`` (16 or 256)."""
    return parts if size == 256 else (parts + 1) // 2


def pack(numbers: UInt8[np.ndarray, "n m"], size: int) -> UInt8[np.ndarray, "n w"]:
    """Numbers below 16 two to a byte, the first in the lower half; numbers below 256 as they are."""
    if size == 256:
        return numbers
    even = np.pad(numbers, [(0, 0), (0, numbers.shape[1] % 2)])
    return np.asarray(even[:, 0::2] | (even[:, 1::2] << 4))


def unpack(codes: UInt8[np.ndarray, "n w"], parts: int, size: int) -> UInt8[np.ndarray, "n m"]:
    """What :func:`pack` was given."""
    if size == 256:
        return codes
    out = np.empty((len(codes), 2 * codes.shape[1]), np.uint8)
    out[:, 0::2], out[:, 1::2] = codes & 15, codes >> 4
    return out[:, :parts]


def scores(
    queries: Float32[np.ndarray, "q d"], numbers: UInt8[np.ndarray, "n m"], codebooks: Codebooks
) -> Float32[np.ndarray, "q n"]:
    """Inner products of ``queries`` ``[q, d]`` with the decoded rows.

    Few queries look up ``m`` products a row in a table of theirs (asymmetric distance computation); more are cheaper by
    decoding a block of rows for all of them.

    Source: Jégou et al. 2011, sec. 3.2 (IEEE TPAMI 33(1)).
    """
    dim = queries.shape[1]
    if dim > len(codebooks) * codebooks.shape[2]:
        raise ShapeError(f"queries must fit the codebooks {codebooks.shape}, got shape {queries.shape}.")
    if len(queries) > _FEW:
        return scores_by_decoding(queries, numbers, lambda some: decode(some, codebooks, dim), dim=dim)
    tables = np.einsum("mqw,mkw->qmk", cut(queries, len(codebooks)), codebooks)
    out = np.zeros((len(queries), len(numbers)), np.float32)
    if kernel.compiled is not None:
        for table, line in zip(tables, out, strict=True):
            kernel.compiled(table, numbers, line)
        return out
    start = time.perf_counter()
    for j in range(len(codebooks)):
        column = numbers[:, j].astype(np.intp)
        for i, table in enumerate(tables):
            out[i] += table[j].take(column, mode="clip")
    kernel.spend(time.perf_counter() - start)
    return out


def numbers_of(x: Matrix, forth: Array, codebooks: Codebooks) -> UInt8[np.ndarray, "n m"]:
    """Numbers of the codewords nearest to ``x @ forth``; a row's do not depend on the rows around it."""
    return encode(rows_times(x, forth), codebooks)


def _sum(tables, numbers, out):  # type: ignore[no-untyped-def]
    """What numba compiles."""
    for i in range(numbers.shape[0]):
        s = np.float32(0)
        for j in range(numbers.shape[1]):
            s += tables[j, numbers[i, j]]
        out[i] = s


def _build() -> Callable[..., Any]:
    numba = importlib.import_module("numba")
    compiled: Callable[..., Any] = numba.njit(nogil=True, fastmath=True)(inspect.unwrap(_sum))
    return compiled


kernel = Kernel(_build)
"""Sums of looked-up products; ``kernel.compile_now()`` brings numba in at once."""
