"""Seeded hashes of integer ids: the same in every process and on every machine."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Int64

_GOLDEN = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


def scramble(ids: Int64[np.ndarray, " n"], *, salt: int) -> Array:
    """``[n]`` int64 -> ``[n]`` uint64 that look random; another ``salt`` gives another function.

    ``x = mix(id + mix(salt + 1))`` with the 64-bit finaliser of SplitMix, a bijection: two ids never share all bits.

    Source: Steele et al. 2014, sec. 5 (OOPSLA, mix64variant13).
    """
    return _finalised(ids.view(np.uint64) + np.uint64(_mix(salt + 1)))


def mix64(x: Array) -> Array:
    """``[...]`` uint64 to uint64, one to one; every bit that changes moves half of the output. SplitMix64's step."""
    return _finalised(x + np.uint64(_GOLDEN))


def _finalised(x: Array) -> Array:
    """In place; the caller made ``x``."""
    x ^= x >> np.uint64(30)
    x *= np.uint64(0xBF58476D1CE4E5B9)
    x ^= x >> np.uint64(27)
    x *= np.uint64(0x94D049BB133111EB)
    x ^= x >> np.uint64(31)
    return x


def buckets(ids: Int64[np.ndarray, " n"], count: Array | int, *, salt: int) -> Int64[np.ndarray, " n"]:
    """A bucket in ``[0, count)`` for every id, ``count`` one number or one an id, below ``2**32``.

    The upper half of the hash times ``count``, shifted back: no division, and even for any ``count``.

    Source: Lemire 2019, sec. 2 (arXiv:1805.10941), without the rejection, whose bias is below ``count / 2**32``.
    """
    high = scramble(ids, salt=salt) >> np.uint64(32)
    high *= np.asarray(count, np.uint64)
    high >>= np.uint64(32)
    return high.view(np.int64)


def mix_seed(seed: int) -> int:
    """A number below ``2**64`` that looks random, so that counting up from two seeds gives no salt twice; 0 stays 0."""
    return _mix(seed)


def signs(ids: Int64[np.ndarray, " n"], *, salt: int) -> Array:
    """``+1`` or ``-1`` float32 for every id."""
    bit = (scramble(ids, salt=salt) & np.uint64(1)).astype(np.float32)
    return bit * np.float32(2) - np.float32(1)


def _mix(x: int) -> int:
    x = (x * _GOLDEN) & _MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & _MASK
    return x ^ (x >> 31)
