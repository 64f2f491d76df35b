"""The m best of a million one-bit codes for a float query, in a few milliseconds.

Codes are laid out in blocks of 256 rows, the first word of all of them first, so that one instruction counts the bits
of several rows. The query is rounded to 16 levels, odd multiples of a step::

    q_j ~ step * sum_p 2**p s_pj,  s_pj in {-1, 1},   p = 0 .. 3
    <signs_i, q> ~ step * sum_p 2**p (d - 2 hamming(bits_i, s_p))

which is four Hamming distances. A float32 product per dimension would cost ten times as much.
"""

from __future__ import annotations

import importlib
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nestvec.core.types import Array, Bool, Float32, Int64, Shaped, UInt8
from nestvec.kernels import bits
from nestvec.kernels.jit import Kernel
from nestvec.kernels.topk import Best

_LANES = 256  # rows in a block: 64 blocks of 4 KB of counters fit into L1; 8 was half as fast, 64 a quarter slower
_FIRST = 1 << 12  # rows scanned for a first bound, 8 times as many for the next
_BATCH = 128  # queries from which on unpacking once and BLAS is cheaper
_UNPACKED = 4096  # rows unpacked at a time: 6 MB at d = 384
_STEPS = (0.45, 0.6, 0.75, 0.9, 1.0)  # of the largest value; the grid ends there, larger ones are clipped


@dataclass(frozen=True, eq=False)
class SignScan:
    """One-bit codes, ready to be scanned.

    The estimate of the inner product of a query with row ``i`` is::

        along_i <q, axis> + factor_i <signs_i, (q @ matrix - <q, axis> offset) * scale>

    Args:
        words: ``[blocks, v, 256]`` uint64.
        factors: ``[f, n]`` float32 of each row: ``factor_i``, then ``along_i``, then whatever goes with a code. With
            ``[0, n]`` both are 1.
        matrix: ``[d, b]`` float32 from a query to the ``b`` bits; that of the codec, which is not copied.
        scale: ``[b]`` float32 of each bit.
        axis: ``[d]`` float32.
        offset: ``[b]`` float32.
    """

    words: Shaped[np.ndarray, "blocks v lanes"]
    factors: Float32[np.ndarray, "f n"]
    matrix: Float32[np.ndarray, "d b"]
    scale: Float32[np.ndarray, " b"]
    axis: Float32[np.ndarray, " d"]
    offset: Float32[np.ndarray, " b"]

    @classmethod
    def of(
        cls,
        packed: UInt8[np.ndarray, "n w"],
        *,
        factors: Array,
        matrix: Array,
        scale: Array,
        axis: Array,
        offset: Array,
        most: int = 1 << 16,
    ) -> SignScan:
        """Lay out packed bits ``[n, w]``; ``most`` rows are copied at a time."""
        n, v = len(packed), -(-packed.shape[1] // 8)
        blocks = -(-n // _LANES)
        out = np.zeros((blocks, v, _LANES), np.uint64)
        for lo in range(0, n, most):
            some = bits.words(packed[lo : lo + most])
            whole = -(-len(some) // _LANES)
            some = np.concatenate([some, np.zeros((whole * _LANES - len(some), v), np.uint64)])
            out[lo // _LANES : lo // _LANES + whole] = some.reshape(whole, _LANES, v).transpose(0, 2, 1)
        return cls(out, np.ascontiguousarray(factors, np.float32), matrix, scale, axis, offset)

    def __len__(self) -> int:
        return int(self.factors.shape[1])

    @property
    def nbytes(self) -> int:
        """Bytes of codes and factors in memory; all else belongs to the codec."""
        return self.words.nbytes + self.factors.nbytes

    def codes(self, positions: Int64[np.ndarray, " m"]) -> UInt8[np.ndarray, "m w"]:
        """The codes at ``positions`` as they came: packed bits, then the factors as little-endian float32."""
        rows = np.ascontiguousarray(self.words[positions // _LANES, :, positions % _LANES]).view(np.uint8)
        width = -(-self.matrix.shape[1] // 8)
        factors = np.ascontiguousarray(self.factors[:, positions].T, "<f4").view(np.uint8)
        return np.concatenate([rows[:, :width], factors.reshape(len(positions), 4 * len(self.factors))], axis=1)

    def nearest(
        self, queries: Float32[np.ndarray, "q d"], m: int, *, shown: Bool[np.ndarray, " n"] | None = None
    ) -> tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]:
        """Positions and estimates of the ``m`` best rows of each query, best first, ties to the smaller position.

        Args:
            queries: ``[q, d]`` float32, finite.
            m: how many.
            shown: ``[n]`` which rows may be found; None for all.

        Returns:
            ``[q, m]`` each; -1 and ``-inf`` where there are fewer.

        Cost: at d = 384 about 4 nanoseconds a row and query with numba, 60 without.
        """
        along = queries @ self.axis
        turned = (queries @ self.matrix - along[:, None] * self.offset) * self.scale
        if len(queries) >= _BATCH:
            positions, found = self._many(turned, along, m, shown)
        else:
            positions = np.full((len(queries), m), -1, np.int64)
            found = np.full((len(queries), m), -np.inf, np.float32)
            for i, query in enumerate(turned):
                at, best = self._one(query, float(along[i]), m, shown)
                positions[i, : len(at)], found[i, : len(at)] = at, best
        return positions, found if len(self.factors) else found + along[:, None]

    def _many(
        self, turned: Float32[np.ndarray, "q b"], along: Float32[np.ndarray, " q"], m: int, shown: Array | None
    ) -> tuple[Array, Array]:
        best = Best(len(turned), m, n=len(self))
        dim = self.matrix.shape[1]
        for lo in range(0, len(self), _UNPACKED):
            hi = min(lo + _UNPACKED, len(self))
            block = self.words[lo // _LANES : -(-hi // _LANES)].transpose(0, 2, 1)
            packed = np.ascontiguousarray(block).view(np.uint8).reshape(-1, 8 * self.words.shape[1])[: hi - lo]
            scores = bits.signs(packed, dim) @ turned.T
            if len(self.factors):
                scores *= self.factors[0, lo:hi, None]
                scores += self.factors[1, lo:hi, None] * along
            if shown is not None:
                scores[~shown[lo:hi]] = -np.inf
            best.offer(scores, lo)
        positions, found = best.result()
        short = [(0, 0), (0, m - positions.shape[1])]
        return np.pad(positions, short, constant_values=-1), np.pad(found, short, constant_values=-np.inf)

    def _one(self, query: Float32[np.ndarray, " b"], along: float, m: int, shown: Array | None) -> tuple[Array, Array]:
        planes, step = _planes(query)
        terms = step, 15 * len(query), along
        at, best = np.zeros(0, np.int64), np.zeros(0, np.float32)
        lo, hi = 0, _FIRST
        while lo < len(self):
            bound = best[-1] if len(best) >= m else np.float32(-np.inf)
            more, scores = self._range(lo, min(hi, len(self)), planes, (*terms, float(bound)), shown)
            at, best = np.concatenate([at, more]), np.concatenate([best, scores])
            if len(at) > 4 * m:
                reach = np.partition(best, len(best) - m)[len(best) - m]
                at, best = at[best >= reach], best[best >= reach]
            order = np.argsort(-best, kind="stable")[:m]  # equal scores stand in the order of their positions already
            at, best = at[order], best[order]
            lo, hi = hi, 8 * hi
        return at, best

    def _range(
        self, lo: int, hi: int, planes: Array, terms: tuple[float, int, float, float], shown: Array | None
    ) -> tuple[Array, Array]:
        """Positions and estimates of rows ``lo`` to ``hi`` that reach the bound."""
        if kernel.compiled is None:
            start = time.perf_counter()
            found = _range_by_numpy(self.words, self.factors, planes, terms, (lo, hi))
            kernel.spend(time.perf_counter() - start)
            at, scores = found
        else:
            at, scores = np.empty(hi - lo, np.int64), np.empty(hi - lo, np.float32)
            scratch = np.empty(_LANES, np.uint64), np.empty(_LANES, np.float32)
            count = kernel.compiled(self.words, self.factors, planes, *terms, lo, hi, *scratch, at, scores)
            at, scores = at[:count], scores[:count]
        if shown is not None:
            keep = shown[at]
            at, scores = at[keep], scores[keep]
        return at, scores


def _planes(query: Float32[np.ndarray, " b"]) -> tuple[Shaped[np.ndarray, "p v"], float]:
    """The query on the grid: four planes of bits, and the step. The grid's end is searched for the least error."""
    top = float(np.abs(query).max(initial=0))
    if top == 0:
        return bits.words(bits.pack(np.zeros((4, len(query)), bool))), 0.0
    least, chosen = np.inf, (np.zeros(len(query), np.uint8), 0.0)
    for share in _STEPS:
        step = share * top / 15
        level = np.clip(np.floor(query / np.float32(2 * step)) + 8, 0, 15)
        error = float(np.square(query - np.float32(step) * (2 * level - 15)).sum())
        if error < least:
            least, chosen = error, (level.astype(np.uint8), step)
    level, step = chosen
    return bits.words(bits.pack((level[None] >> np.arange(4, dtype=np.uint8)[:, None]) & np.uint8(1))), step


def _range_by_numpy(
    words: Array, factors: Array, planes: Array, terms: tuple[float, int, float, float], where: tuple[int, int]
) -> tuple[Array, Array]:
    """The same as :func:`_scan`, to the last bit; both ends of the range start a block, or end the rows."""
    lo, hi = where
    step, total, along, bound = terms
    count = np.zeros((-(-(hi - lo) // _LANES), _LANES), np.int64)
    first, last = lo // _LANES, -(-hi // _LANES)
    for v in range(words.shape[1]):
        line = words[first:last, v]
        for p, plane in enumerate(planes[:, v]):
            count += np.bitwise_count(line ^ plane).astype(np.int64) << p
    scores = np.float32(step) * (total - 2 * count).astype(np.float32).reshape(-1)[: hi - lo]
    if len(factors):
        scores = scores * factors[0, lo:hi] + factors[1, lo:hi] * np.float32(along)
    at = np.flatnonzero(scores >= bound)
    return at + lo, scores[at]


def _scan(words, factors, planes, step, total, along, bound, lo, hi, counts, line, at, scores):  # type: ignore[no-untyped-def]  # noqa: PLR0913, PLR0917
    """What numba compiles: four Hamming distances of 256 rows at a time; blocks without a good row are passed over."""
    found = 0
    lanes, scaled = counts.shape[0], factors.shape[0] > 0
    for b in range(lo // lanes, (hi + lanes - 1) // lanes):
        for j in range(lanes):
            counts[j] = 0
        for v in range(words.shape[1]):
            a0, a1, a2, a3 = planes[0, v], planes[1, v], planes[2, v], planes[3, v]
            for j in range(lanes):
                x = words[b, v, j]
                low = _popcount(x ^ a0) + (_popcount(x ^ a1) << np.uint64(1))
                counts[j] += low + (_popcount(x ^ a2) << np.uint64(2)) + (_popcount(x ^ a3) << np.uint64(3))
        stop = min(lanes, hi - b * lanes)
        best = np.float32(-np.inf)
        if scaled:
            for j in range(stop):
                s = np.float32(step) * np.float32(total - 2 * np.int64(counts[j])) * factors[0, b * lanes + j]
                s += factors[1, b * lanes + j] * np.float32(along)
                line[j] = s
                best = max(best, s)
        else:
            for j in range(stop):
                s = np.float32(step) * np.float32(total - 2 * np.int64(counts[j]))
                line[j] = s
                best = max(best, s)
        if best >= bound:
            for j in range(stop):
                if line[j] >= bound:
                    at[found] = b * lanes + j
                    scores[found] = line[j]
                    found += 1
    return found


def _popcount(x: int) -> int:
    """How many bits are set. Only its compiled form, one instruction, is ever called."""
    return x.bit_count()


def _build() -> Callable[..., Any]:
    numba, extending = importlib.import_module("numba"), importlib.import_module("numba.extending")

    def count(_: Any, x: Any) -> Any:  # noqa: ARG001  # its name and type are all that numba looks at
        def lower(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ARG001
            return builder.ctpop(arguments[0])

        return numba.types.uint64(numba.types.uint64), lower

    plain = inspect.unwrap(_scan)  # the test suite wraps every function in a check of its shapes
    scope = {**plain.__globals__, "_popcount": extending.intrinsic(count)}
    body = type(plain)(plain.__code__, scope, plain.__name__)
    compiled: Callable[..., Any] = numba.njit(nogil=True)(body)
    return compiled


kernel = Kernel(_build)
"""The scan of one query; ``kernel.compile_now()`` brings numba in at once."""
