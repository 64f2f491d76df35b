"""Exact search over float32 rows that lie in memory maps: the yardstick every other index is measured with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.hits import Hits
from nestvec.core.types import Array, ArrayLike, Float32, Int64
from nestvec.kernels import gather
from nestvec.kernels.topk import Best

# Sizes below were swept on 2 cores with 2 MB of L2 each; see docs/guide/search.md. Larger blocks cost a few per cent
# on an idle machine; smaller ones cost much on a busy one, where BLAS waits for all its threads at the end of each.
_SCORES = 1 << 21  # floats in a block of scores: 8 MB, so that they are compared while still in cache
_VALUES = 1 << 22  # floats in a block of rows copied out: 16 MB
_ROWS = (256, 65536)  # rows in a block, whatever the two above say: enough work for all cores, small next to n
_TILE = 1024  # queries scored together; more would only shorten the blocks
_NEAR = 4096  # rows closer than this share a checksum block more often than not, so touch them together


@runtime_checkable
class Segment(Protocol):
    """A run of rows on disk or in memory. ``nestvec.store`` has one; :class:`Rows` is the plain one."""

    @property
    def rows(self) -> Int64[np.ndarray, " n"]:
        """Row ids, strictly ascending."""
        ...

    @property
    def bands(self) -> tuple[Float32[np.ndarray, "n _"], ...]:
        """The vectors, one a row id, leading dimensions first; usually read-only memory maps, and often only one."""
        ...

    def touch(self, start: int, stop: int, /, *, width: int | None = None) -> None:
        """Called before positions ``start`` to ``stop`` are read; raises if they must not be.

        ``width``: no more than so many leading dimensions will be; None for all.
        """
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """A segment made of two arrays.

    Args:
        rows: ``[n]`` int64 row ids, strictly ascending.
        values: ``[n, d]`` float32.
    """

    rows: Int64[np.ndarray, " n"]
    values: Float32[np.ndarray, "n d"]

    @property
    def bands(self) -> tuple[Float32[np.ndarray, "n d"], ...]:
        """All dimensions in one band."""
        return (self.values,)

    def touch(self, start: int, stop: int, /, *, width: int | None = None) -> None:
        """Nothing to check: what is in memory is trusted."""


@dataclass(frozen=True, eq=False)
class _Cut:
    """Dimensions ``lo`` to ``hi`` of a segment, nothing copied."""

    segment: Segment
    lo: int
    hi: int

    @property
    def rows(self) -> Int64[np.ndarray, " n"]:
        return self.segment.rows

    @property
    def bands(self) -> tuple[Float32[np.ndarray, "n _"], ...]:
        starts = accumulate((band.shape[1] for band in self.segment.bands), initial=0)
        cut = [(max(self.lo - at, 0), self.hi - at, band) for at, band in zip(starts, self.segment.bands, strict=False)]
        return tuple(band[:, lo:hi] for lo, hi, band in cut if lo < min(hi, band.shape[1]))

    def touch(self, start: int, stop: int, /, *, width: int | None = None) -> None:
        self.segment.touch(start, stop, width=self.hi if width is None else self.lo + width)


class _Part(NamedTuple):
    """A segment as the scan needs it."""

    segment: Segment
    rows: Array
    bands: tuple[Array, ...]  # plain views: slicing np.memmap costs microseconds a time
    start: int  # position of its first row among all rows
    dead: Array  # positions inside the segment of rows that are not to be found
    counts_up: bool  # its row ids have no gaps, so that a position is a subtraction


class _Block(NamedTuple):
    bands: tuple[Array, ...]  # [b, d] together, or all rows of the part if at is set
    positions: int | Array  # among all rows
    hidden: Array  # which of the b must not be found
    at: Array | None = None  # which rows of the part to score


@dataclass(frozen=True, eq=False)
class Flat:
    """Exhaustive search by inner product. Exact: recall is 1 with any filter.

    A *row id* is the caller's int64 name of a row and what :class:`Hits` holds. Rows are scored in
    blocks by BLAS and the ``k`` best are kept as the blocks go by, so ``[q, n]`` scores never exist.

    Args:
        segments: where the rows are; an id lies in one of them only. Any order, though segments that
            follow one another by id are cheapest (else 16 bytes a row and a sort, once).
        dim: ``d``.
        dead: ``[m]`` int64 ascending: row ids that are in the segments and must not be found.

    Raises:
        ShapeError: a segment is not ``[n, dim]``.
        InputError: an id comes twice.

    Cost: ``n`` inner products a query. Memory beside the rows: at most 8 MB of scores (32 MB while nearly all
    tie), 16 MB of copied rows, and ``q (16 k + 4096)`` bytes of candidates, which is about what the answer takes.
    Safe to search from several threads at once.
    """

    segments: tuple[Segment, ...]
    dim: int
    dead: Int64[np.ndarray, " m"] = field(default_factory=lambda: np.zeros(0, np.int64))
    _parts: tuple[_Part, ...] = field(init=False, repr=False, compare=False)
    _by_position: Array | None = field(init=False, repr=False, compare=False)  # row ids, if segments overlap
    _position: Array | None = field(init=False, repr=False, compare=False)  # and the way back

    def __post_init__(self) -> None:
        parts, start = [], 0
        for segment in sorted((s for s in self.segments if len(s.rows)), key=lambda s: int(s.rows[0])):
            rows, bands = np.asarray(segment.rows), tuple(map(np.asarray, segment.bands))
            dim = sum(band.shape[1] for band in bands)
            if dim != self.dim or any(len(band) != len(rows) for band in bands):
                raise ShapeError(f"a segment must be [{len(rows)}, {self.dim}], got shape [{len(bands[0])}, {dim}].")
            counts_up = int(rows[-1]) - int(rows[0]) == len(rows) - 1
            dead = _positions(rows, self.dead, counts_up=counts_up)
            parts.append(_Part(segment, rows, bands, start, dead, counts_up))
            start += len(rows)
        by_position = position = None
        if any(a.rows[-1] >= b.rows[0] for a, b in pairwise(parts)):
            every = np.concatenate([part.rows for part in parts])
            order = np.argsort(every, kind="stable")
            by_position, position = every[order], np.empty(len(order), np.int64)
            position[order] = np.arange(len(order))
            twice = np.flatnonzero(by_position[1:] == by_position[:-1])
            if len(twice):
                raise InputError(f"a row id must be in one segment only, got {by_position[twice[0]]} in two.")
        for name, value in (("_parts", tuple(parts)), ("_by_position", by_position), ("_position", position)):
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        """Rows that can be found."""
        return sum(len(part.rows) - len(part.dead) for part in self._parts)

    @cached_property
    def live(self) -> Int64[np.ndarray, " n"]:
        """Row ids that can be found, ascending. Kept once asked for: 8 bytes a row."""
        if not self._parts:
            return np.zeros(0, np.int64)
        every = np.concatenate([np.delete(part.rows, part.dead) for part in self._parts])
        return every if self._by_position is None else np.sort(every)

    def dimensions(self, lo: int, hi: int) -> Flat:
        """The same rows by their dimensions ``lo`` to ``hi`` alone; bands that hold none of these are not read.

        Raises:
            InputError: not ``0 <= lo < hi <= dim``.
        """
        if not 0 <= lo < hi <= self.dim:
            raise InputError(f"dimensions must lie in 0 to {self.dim}, the first before the last, got {lo} to {hi}.")
        return Flat(tuple(_Cut(segment, lo, hi) for segment in self.segments), hi - lo, self.dead)

    def vectors(self, rows: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        """Copies of the vectors of row ids ``rows``, strictly ascending, dead ones included.

        Raises:
            InputError: one of them is not here.
            CorruptError: from the store, if rows it reads are damaged.
        """
        out = np.empty((len(rows), self.dim), np.float32)
        found = 0
        for part in self._parts:
            local = _positions(part.rows, rows, counts_up=part.counts_up)
            if len(local):
                _touch(part.segment, local)
                out[np.searchsorted(rows, part.rows[local])] = _take(part.bands, local)
                found += len(local)
        if found != len(rows):
            raise InputError(f"all {len(rows)} row ids must be here, got {len(rows) - found} that are not.")
        return out

    def search(self, queries: ArrayLike, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Hits:
        """The ``k`` rows with the largest inner product, for each query.

        Args:
            queries: ``[q, d]`` float.
            k: at least 1; may be more than there are rows.
            allow: ``[m]`` int64, strictly ascending: only these row ids may be found. Ids of rows that are dead
                or not here are passed over.

        Returns:
            ``[q, k]`` row ids and scores, best first, equal scores by the smaller id, padded with -1 and ``-inf``.
            (Equal means equal in float32; BLAS may round the same product differently in another batch size.)

        Raises:
            InputError: ``k < 1``, or ``allow`` is not strictly ascending.
            ShapeError: queries are not ``[q, dim]``.
            NotFiniteError: a query holds NaN or infinity.
            CorruptError: from the store, if rows it reads are damaged.

        Cost: with ``allow``, rows are copied out into blocks where they lie scattered, and scored where they lie
        where that is cheaper; never more than a scan of everything.
        """
        queries = as_matrix(queries, name="queries", dim=self.dim)
        if k < 1:
            raise InputError(f"k must be at least 1, got {k}.")
        if allow is not None and (np.diff(allow) <= 0).any():
            raise InputError("allow must be strictly ascending row ids, got some out of order. Pass np.unique(allow).")
        n = self._parts[-1].start + len(self._parts[-1].rows) if self._parts else 0
        if not n or not len(queries):
            return Hits.empty(len(queries), k)
        tile = min(len(queries), _TILE)
        tiles = [queries[i : i + tile] for i in range(0, len(queries), tile)]
        best = [Best(len(t), k, n=n) for t in tiles]
        size = _block_rows(len(queries))
        scores = np.empty((min(size, n), tile), np.float32)
        for block in self._blocks(size, len(queries), allow):
            for t, b in zip(tiles, best, strict=True):
                b.offer(_score(block, t, scores), block.positions)
        found = [b.result() for b in best]
        positions, values = (np.concatenate(x) for x in zip(*found, strict=True))
        short = [(0, 0), (0, k - positions.shape[1])]
        return Hits(
            np.pad(self._ids(positions), short, constant_values=-1), np.pad(values, short, constant_values=-np.inf)
        )

    def _blocks(self, size: int, q: int, allow: Array | None) -> Iterator[_Block]:
        """The rows to score, block by block."""
        for part in self._parts:
            if allow is None:
                for lo in range(0, len(part.rows), size):
                    hi = min(lo + size, len(part.rows))
                    a, b = np.searchsorted(part.dead, (lo, hi)) if len(part.dead) else (0, 0)
                    yield self._slice(part, lo, hi, part.dead[a:b] - lo)
            else:
                local = _positions(part.rows, allow, counts_up=part.counts_up)
                if len(part.dead):
                    local = local[~_member(local, part.dead)]
                yield from self._chosen(part, local, size, q)

    def _chosen(self, part: _Part, local: Array, size: int, q: int) -> Iterator[_Block]:
        """Blocks of the rows at ``local``: in place where they lie close together, else copied out."""
        i, most = 0, gather.worth(q)
        copied = size if q == 1 else min(size, max(_VALUES // max(self.dim, 1), 1))
        while i < len(local):
            lo = int(local[i])
            j = int(np.searchsorted(local, lo + size))  # as many as lie in one block of rows
            hi = int(local[j - 1]) + 1
            if hi - lo <= most * (j - i):
                hidden = np.zeros(0, np.int64)
                if hi - lo > j - i:
                    shown = np.zeros(hi - lo, bool)
                    shown[local[i:j] - lo] = True
                    hidden = np.flatnonzero(~shown)
                yield self._slice(part, lo, hi, hidden)
            else:
                j = i + copied
                chosen = local[i:j]
                _touch(part.segment, chosen)
                where = chosen + part.start
                positions = where if self._position is None else self._position[where]
                if q == 1:  # no other query shares a copy
                    yield _Block(part.bands, positions, chosen[:0], chosen)
                else:
                    yield _Block((_take(part.bands, chosen),), positions, chosen[:0])
            i = j

    def _slice(self, part: _Part, lo: int, hi: int, hidden: Array) -> _Block:
        part.segment.touch(lo, hi)
        first = part.start + lo
        positions = first if self._position is None else self._position[first : part.start + hi]
        return _Block(tuple(band[lo:hi] for band in part.bands), positions, hidden)

    def _ids(self, positions: Int64[np.ndarray, "q k"]) -> Int64[np.ndarray, "q k"]:
        """Row ids of positions; -1 stays -1."""
        if self._by_position is not None:
            return np.where(positions < 0, -1, self._by_position[positions])
        ids = np.full_like(positions, -1)
        which = np.searchsorted([part.start for part in self._parts], positions, side="right") - 1
        for number in np.unique(which[which >= 0]):
            part, here = self._parts[number], which == number
            ids[here] = part.rows[positions[here] - part.start]
        return ids


def _touch(segment: Segment, local: Array) -> None:
    """Announce scattered rows: ascending positions, not empty."""
    gaps = np.flatnonzero(np.diff(local) > _NEAR)
    starts, stops = local[np.append(0, gaps + 1)], local[np.append(gaps, len(local) - 1)] + 1
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        segment.touch(start, stop)


def _block_rows(q: int) -> int:
    """How many rows are scored together."""
    return int(np.clip(_SCORES // min(q, _TILE), *_ROWS))


def _score(block: _Block, queries: Array, out: Array) -> Float32[np.ndarray, "b q"]:
    """Inner products of the rows of a block with the queries, ``-inf`` for hidden rows."""
    if block.at is not None:
        at = block.at
        parts = [gather.dots(band, at, query) for band, query in _matched(block.bands, queries[0])]
        return np.sum(parts, axis=0)[:, None] if len(parts) > 1 else parts[0][:, None]
    b, q = len(block.bands[0]), len(queries)
    scores: Array = out.reshape(-1)[: b * q].reshape(b, q)
    for number, (band, some) in enumerate(_matched(block.bands, queries)):
        if number:
            scores += band @ some.T
        elif q == 1:
            np.dot(band, some[0], out=scores[:, 0])
        else:
            np.matmul(band, some.T, out=scores)
    if len(block.hidden):
        scores[block.hidden] = -np.inf
    return scores


def _matched(bands: tuple[Array, ...], queries: Array) -> Iterator[tuple[Array, Array]]:
    """Each band with the dimensions of the queries that it holds."""
    start = 0
    for band in bands:
        yield band, queries[..., start : start + band.shape[1]]
        start += band.shape[1]


def _take(bands: tuple[Array, ...], at: Array) -> Array:
    """Copies of the rows at positions ``at``, all their dimensions."""
    parts = [gather.take(band, at) for band in bands]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _positions(rows: Array, ids: Array, *, counts_up: bool) -> Int64[np.ndarray, " m"]:
    """Where those of ``ids`` that are among ``rows`` stand; both ascending, ``rows`` not empty."""
    a, b = np.searchsorted(ids, (rows[0], rows[-1] + 1))
    ids = ids[a:b]
    if counts_up:
        return ids - int(rows[0])
    at = np.searchsorted(rows, ids)
    found: Array = at[rows[at] == ids]
    return found


def _member(sorted_: Array, among: Array) -> Array:
    """Which of ``sorted_`` are in ``among``; both ascending, ``among`` not empty."""
    at = np.minimum(np.searchsorted(among, sorted_), len(among) - 1)
    found: Array = among[at] == sorted_
    return found
