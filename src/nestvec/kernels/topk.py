"""The k best of a stream of scores, for many queries at once, ties to the smaller position.

Every score is packed with the position of its row into one unsigned 64-bit key, so that a smaller
key is a better hit and no two keys are equal::

    key = descending(score) << 32 | position

One sort of plain integers then settles scores and ties together, and numpy sorts such integers with
vector instructions, which it cannot do for a pair of columns.
"""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float32, Int64, Shaped

_NONE = np.uint64(0xFFFFFFFFFFFFFFFF)
_SLACK = 512  # free places beyond 2 k: a first block of 4,096 rows leaves about 80 candidates for k = 10
_SAMPLE = (64, 4096)  # rows looked at for a first bound; about n k / 4096 candidates pass it
_LOOK = 1 << 17  # and scores in all: a sixteenth of a block of 2**21
MOST_ROWS = 2**32 - 1  # positions are 32 bits wide


class Best:
    """Keeps the ``k`` best of all scores that it is offered, for each of ``q`` queries.

    A score that cannot reach the current ``k``-th best of its query is dropped by one comparison;
    the others wait in a buffer which is cut back to ``k`` when it holds ``2 k``. So each score costs one
    comparison, each survivor ``O(log k)``, and ``k = 10,000`` is not quadratic.

    Args:
        q: how many queries.
        k: how many to keep for each.
        n: how many scores will be offered for each at most; bounds the memory for a large ``k``.

    Raises:
        InputError: ``n`` is more than 32-bit positions can count.

    Cost: ``8 q (2 k + 512)`` bytes, or ``8 q n`` if that is less.
    """

    def __init__(self, q: int, k: int, *, n: int) -> None:
        if n > MOST_ROWS:
            raise InputError(f"one search covers at most {MOST_ROWS} rows, got {n}. Split the collection.")
        self.k = min(k, n)
        width = min(2 * self.k + _SLACK, n)
        self._keys = np.full((q, width), _NONE, np.uint64)
        self._filled = np.zeros(q, np.int64)
        self._cutoff = np.full(q, -np.inf, np.float32)
        self._full = False  # until every query has k, all rows of _keys are filled to the same width
        self._last = -1  # the largest position seen

    def offer(self, scores: Float32[np.ndarray, "b q"], positions: int | Int64[np.ndarray, " b"]) -> None:
        """Take in the scores of ``b`` rows.

        Args:
            scores: ``[b, q]`` float32, not NaN; ``-inf`` for a row that must not be found.
            positions: of each row, ascending, or of the first one if they count up from there.
        """
        b = len(scores)
        if not b or not self.k or not scores.shape[1]:
            return
        if not self._full and b <= self._keys.shape[1] - int(self._filled[0]):
            self._append(scores, positions)
            return
        first = positions if isinstance(positions, int) else int(positions[0])
        # A row equal to the k-th best loses to it when it comes later, which is the rule in ordered data.
        if self._full and first > self._last:
            flat = np.flatnonzero(scores > self._cutoff)
        else:
            flat = np.flatnonzero(scores >= self._bound(scores))
        placed = self._insert(scores, flat, positions)
        del flat  # before the halves find their own
        if not placed:
            half = b // 2
            rest = positions + half if isinstance(positions, int) else positions[half:]
            self.offer(scores[:half], positions if isinstance(positions, int) else positions[:half])
            self.offer(scores[half:], rest)
            return
        self._last = max(self._last, first + b - 1 if isinstance(positions, int) else int(positions[-1]))

    def result(self) -> tuple[Int64[np.ndarray, "q k"], Float32[np.ndarray, "q k"]]:
        """Positions and scores, best first; -1 and ``-inf`` where there were fewer than ``k``."""
        self._cut()
        keys = np.sort(self._keys[:, : self.k], axis=1)
        scores = _from_descending((keys >> np.uint64(32)).astype(np.uint32))
        missing = (keys == _NONE) | (scores == -np.inf)
        positions = (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)
        return np.where(missing, -1, positions), np.where(missing, np.float32(-np.inf), scores)

    def _bound(self, scores: Float32[np.ndarray, "b q"]) -> Float32[np.ndarray, " q"]:
        """A score that the ``k``-th best cannot be below: the ``k``-th best of the first few rows."""
        if self._full:
            return self._cutoff
        b, q = scores.shape
        some = min(b, max(2 * self.k, int(np.clip(_LOOK // q, *_SAMPLE))))  # b > k: the buffer had room for k
        bound: Array = np.partition(np.ascontiguousarray(scores[:some].T), some - self.k, axis=1)[:, some - self.k]
        return bound

    def _append(self, scores: Float32[np.ndarray, "b q"], positions: int | Int64[np.ndarray, " b"]) -> None:
        """Take every score: there are so few that nothing is gained by choosing."""
        at, b = int(self._filled[0]), len(scores)
        if isinstance(positions, int):
            positions = np.arange(positions, positions + b)
        self._keys[:, at : at + b] = _keys(np.ascontiguousarray(scores.T), positions)
        self._filled += b
        self._last = max(self._last, int(positions[-1]))
        if at + b >= 2 * self.k:
            self._cut()

    def _insert(
        self,
        scores: Float32[np.ndarray, "b q"],
        flat: Int64[np.ndarray, " m"],
        positions: int | Int64[np.ndarray, " b"],
    ) -> bool:
        """Put the chosen scores into the buffer; False, and nothing done, if they do not fit."""
        if not len(flat):
            return True
        if len(flat) > self._keys.size:  # all tie, say; do not even sort out whose they are
            return False
        q = scores.shape[1]
        row, query = (flat, np.zeros(1, np.int64)) if q == 1 else np.divmod(flat, q)
        more = np.bincount(query, minlength=q) if q > 1 else np.array([len(flat)])
        if int((self._filled + more).max()) > self._keys.shape[1]:
            self._cut()
            if int((self._filled + more).max()) > self._keys.shape[1]:
                return False
        where = row + positions if isinstance(positions, int) else positions[row]
        keys = _keys(scores.reshape(-1)[flat] if scores.flags.c_contiguous else scores[row, query], where)
        if q == 1:
            at = int(self._filled[0])
            self._keys[0, at : at + len(keys)] = keys
        else:
            order = np.argsort(query.astype(np.uint16 if q <= 65536 else np.uint32), kind="stable")  # radix sort
            start = np.cumsum(more) - more
            slot = np.arange(len(keys)) - np.repeat(start - self._filled, more)
            self._keys[query[order], slot] = keys[order]
        self._filled += more
        if not self._full or int(self._filled.max()) >= 2 * self.k:
            self._cut()
        return True

    def _cut(self) -> None:
        """Keep the ``k`` best of each query, and note the score that has to be beaten from now on."""
        width = int(self._filled.max(initial=0))
        if width > self.k:
            self._keys[:, :width].partition(self.k - 1, axis=1)
            self._keys[:, self.k : width] = _NONE
            self._filled = np.minimum(self._filled, self.k)
        if len(self._filled) and int(self._filled.min()) >= self.k > 0:
            worst = self._keys[:, : self.k].max(axis=1)
            self._cutoff = _from_descending((worst >> np.uint64(32)).astype(np.uint32))
            self._full = True


def merge(
    ids: Int64[np.ndarray, "q c"], scores: Float32[np.ndarray, "q c"], k: int
) -> tuple[Int64[np.ndarray, "q k"], Float32[np.ndarray, "q k"]]:
    """The ``k`` best of ``c`` candidates of each query, in order; ties to the smaller id.

    Args:
        ids: ``[q, c]`` int64; -1 where there is none. No id comes twice in a row.
        scores: ``[q, c]`` float32.
        k: how many to give back; padded with -1 and ``-inf`` where there are fewer.
    """
    scores = np.where(ids < 0, np.float32(-np.inf), scores)
    order = np.lexsort((ids, -scores), axis=1)[:, :k]
    ids, scores = np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
    pad = [(0, 0), (0, k - ids.shape[1])]
    ids, scores = np.pad(ids, pad, constant_values=-1), np.pad(scores, pad, constant_values=-np.inf)
    return np.where(scores == -np.inf, -1, ids), scores


def _keys(scores: Float32[np.ndarray, "*s"], positions: Int64[np.ndarray, " b"]) -> Shaped[np.ndarray, "*s"]:
    """Pack scores with positions, which run along the last axis."""
    return (_descending(scores).astype(np.uint64) << np.uint64(32)) | positions.astype(np.uint64)


def _descending(scores: Float32[np.ndarray, "*s"]) -> Shaped[np.ndarray, "*s"]:
    """uint32 that falls as the float rises.

    The bits of a negative float rise with its size already; those of a positive one have to be turned round.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # adding zero turns -0.0 into 0.0, which it must tie with
    positive = (~(bits.view(np.int32) >> 31)) & np.int32(0x7FFFFFFF)
    return np.bitwise_xor(bits, positive.view(np.uint32))


def _from_descending(keys: Shaped[np.ndarray, "*s"]) -> Float32[np.ndarray, "*s"]:
    """The float that :func:`_descending` was given."""
    positive = (~(keys.view(np.int32) >> 31)) & np.int32(0x7FFFFFFF)
    scores: Array = np.bitwise_xor(keys, positive.view(np.uint32)).view(np.float32)
    return scores
