"""Scan small codes in memory, then read the float vectors of the best few: nearly exact at a fraction of the memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.coding import Bounded, Codec
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.hits import Hits
from nestvec.core.types import Array, ArrayLike, Bool, Float32, Int64
from nestvec.kernels.topk import Best, merge
from nestvec.search.flat import Flat
from nestvec.search.probe import Probe
from nestvec.search.rescore import rescore

_LADDER = (10, 20, 30, 50, 75, 100, 150, 200, 300, 500, 750, 1000, 1500, 2000)  # candidates tried by tune
_SCORES = 1 << 21  # floats of scores at a time: 8 MB
_BLOCK = 256  # rows that scans lay out together
_EXACT = 40  # a row read exactly from where it lies costs as much as this many rows of the scan


@runtime_checkable
class Scan(Protocol):
    """Codes in memory that can be searched."""

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        ...

    def nearest(
        self, queries: Float32[np.ndarray, "q d"], m: int, *, shown: Bool[np.ndarray, " n"] | None = None
    ) -> tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]:
        """Positions and estimates of the ``m`` best; -1 and ``-inf`` where there are fewer."""
        ...

    def codes(self, positions: Int64[np.ndarray, " m"]) -> Array:
        """The codes at positions."""
        ...


@dataclass(frozen=True, eq=False)
class CodeScan:
    """The scan of any codec: scores in blocks, best kept.

    Args:
        codec: scores queries against codes.
        held: ``[n, w]`` codes; may be a memory map.
    """

    codec: Codec
    held: Array

    def __len__(self) -> int:
        return len(self.held)

    @property
    def nbytes(self) -> int:
        """Bytes of the codes."""
        return int(self.held.nbytes)

    def codes(self, positions: Int64[np.ndarray, " m"]) -> Array:
        """The codes at ``positions``."""
        found: Array = self.held[positions]
        return found

    def nearest(
        self, queries: Float32[np.ndarray, "q d"], m: int, *, shown: Bool[np.ndarray, " n"] | None = None
    ) -> tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]:
        """Positions and scores of the ``m`` best rows of each query, best first, ties to the smaller position."""
        best = Best(len(queries), m, n=len(self))
        step = int(np.clip(_SCORES // max(len(queries), 1), 256, 65536))
        for lo in range(0, len(self), step):
            scores = np.ascontiguousarray(self.codec.scores(queries, self.held[lo : lo + step]).T)
            if shown is not None:
                scores[~shown[lo : lo + step]] = -np.inf
            best.offer(scores, lo)
        positions, found = best.result()
        short = [(0, 0), (0, m - positions.shape[1])]
        return np.pad(positions, short, constant_values=-1), np.pad(found, short, constant_values=-np.inf)


def scan_of(codec: Codec, codes: Array) -> Scan:
    """The fastest scan that the codec has."""
    make = getattr(codec, "scanner", None)
    found: Scan | None = make(codes) if make else None
    return found if found is not None else CodeScan(codec, codes)


def held_bytes(codec: Codec) -> int:
    """Bytes of one code in memory: as it is stored, or as the codec's own scan lays it out, in whole words."""
    few: Float32[np.ndarray, "n d"] = np.zeros((_BLOCK, codec.dim), np.float32)
    return scan_of(codec, codec.encode(few)).nbytes // _BLOCK


@dataclass(frozen=True, eq=False)
class TwoStage:
    """Search codes, then score the best ``m`` of each query by their float vectors.

    Scores of what it gives are exact; what it may lose is a row whose code ranks below ``m``. Rows that have no code
    yet are searched exactly, dead rows are not found, and a filter that leaves few rows is searched exactly.

    Args:
        flat: the float vectors, and which rows live.
        scan: the codes.
        rows: ``[n]`` int64 strictly ascending: the row id of each code; rows that ``flat`` has not, or dead, are not
            found.
        m: candidates a query; raised to ``k`` where it is less.
        codec: with ``bounds``, for reading only those candidates that may still reach the best ``k``; else None.
        k: the ``k`` that ``m`` was tuned for; more is asked for in proportion. 0 if it was not.
        recall: what was measured, 0 if nothing was.

    Raises:
        ShapeError: ``rows`` and codes differ in number.
        InputError: ``rows`` is not strictly ascending, or ``m < 1``.

    Cost: a scan of the codes and ``m`` scattered reads a query.

    Source: Gao and Long 2024, sec. 4 (arXiv:2405.12497).
    """

    flat: Flat
    scan: Scan
    rows: Int64[np.ndarray, " n"]
    m: int = 100
    codec: Any = None
    k: int = 0
    recall: float = 0.0
    _tail: Array = field(init=False, repr=False)  # live rows without a code
    _shown: Array | None = field(init=False, repr=False)  # which codes are of live rows; None for all

    def __post_init__(self) -> None:
        if len(self.rows) != len(self.scan):
            raise ShapeError(f"there must be a row id for each code, got {len(self.rows)} and {len(self.scan)}.")
        if (np.diff(self.rows) <= 0).any():
            raise InputError("rows must be strictly ascending row ids, got some out of order.")
        if self.m < 1:
            raise InputError(f"m must be at least 1, got {self.m}.")
        live = self.flat.live
        dead = len(np.setdiff1d(self.rows, live, assume_unique=True))
        object.__setattr__(self, "_tail", np.setdiff1d(live, self.rows, assume_unique=True))
        object.__setattr__(self, "_shown", np.isin(self.rows, live, assume_unique=True) if dead else None)

    @classmethod
    def build(cls, codec: Codec, flat: Flat, *, m: int = 100, rows: int = 16384) -> TwoStage:
        """Encode every live row of ``flat``, ``rows`` at a time."""
        live = flat.live
        pieces = [codec.encode(flat.vectors(live[i : i + rows])) for i in range(0, len(live), rows)]
        codes = np.concatenate(pieces) if pieces else codec.encode(np.zeros((0, flat.dim), np.float32))
        return cls(flat, scan_of(codec, codes), live, m, codec if isinstance(codec, Bounded) else None)

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: codes and row ids; the float vectors stay where they are."""
        return self.scan.nbytes + self.rows.nbytes

    def search(self, queries: ArrayLike, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Hits:
        """The ``k`` rows with the largest inner product among the candidates, for each query.

        Arguments, order, ties, padding and errors are those of :meth:`Flat.search`.
        """
        queries = as_matrix(queries, name="queries", dim=self.flat.dim)
        if self.exact(len(queries), k, allow=allow):
            return self.flat.search(queries, k, allow=allow)
        m, shown = self._width(k), self._among(allow)
        positions, estimates = self.scan.nearest(queries, min(m, len(self.rows)), shown=shown)
        ids, scores = self._exact(queries, positions, estimates, k)
        tail = self._tail if allow is None else np.intersect1d(self._tail, allow, assume_unique=True)
        if len(tail):
            beside = self.flat.search(queries, k, allow=tail)
            ids, scores = np.hstack([ids, beside.ids]), np.hstack([scores, beside.scores])
        return Hits(*merge(ids, scores, k))

    def _width(self, k: int) -> int:
        """Candidates to ask for: what was tuned for the tuned ``k``, in proportion beyond it."""
        return max(self.m * k // self.k if 0 < self.k < k else self.m, k)

    def exact(self, q: int, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> bool:
        """Whether :meth:`search` goes by the vectors alone: where so few rows are allowed that this is cheaper.

        Raises:
            InputError: ``allow`` is not strictly ascending.
        """
        if k < 1 or not q or not len(self.rows):
            return True
        return allow is not None and len(self._coded(allow)) <= len(self.rows) // _EXACT + self._width(k) * q

    def _coded(self, allow: Array) -> Array:
        """Positions of the codes of allowed rows."""
        if (np.diff(allow) <= 0).any():
            raise InputError("allow must be strictly ascending row ids, got some out of order. Pass np.unique(allow).")
        at = np.minimum(np.searchsorted(self.rows, allow), len(self.rows) - 1)
        found: Array = at[self.rows[at] == allow]
        return found

    def _among(self, allow: Array | None) -> Array | None:
        """Which codes may be found; None for all."""
        if allow is None:
            return self._shown
        shown: Array = np.zeros(len(self.rows), bool)
        shown[self._coded(allow)] = True
        return shown if self._shown is None else shown & self._shown

    def _exact(
        self, queries: Float32[np.ndarray, "q d"], positions: Array, estimates: Array, k: int
    ) -> tuple[Array, Array]:
        ids: Int64[np.ndarray, "q k"] = np.full((len(queries), k), -1, np.int64)
        scores: Float32[np.ndarray, "q k"] = np.full((len(queries), k), -np.inf, np.float32)
        for i, query in enumerate(queries):
            at = positions[i][positions[i] >= 0]
            guess, errors = estimates[i][: len(at)], None
            if self.codec is not None and len(at) > k:
                both = self.codec.bounds(query[None], self.scan.codes(at))
                guess, errors = both[0][0], both[1][0]
            found = rescore(query, self.rows[at], guess, self.flat, k, errors=errors)
            ids[i, : len(found.ids)], scores[i, : len(found.ids)] = found.ids, found.scores
        return ids, scores


def tune(
    search: TwoStage,
    *,
    target: float = 0.99,
    k: int = 10,
    queries: int = 200,
    asked: ArrayLike | None = None,
    seed: int = 0,
) -> TwoStage:
    """The same with the fewest candidates that reach ``target`` recall at ``k``, or the most that are tried.

    ``recall`` says what was reached: less than ``target`` where 2,000 candidates are not enough.

    Args:
        search: what to tune.
        target: recall, above 0, at most 1.
        k: how many nearest rows.
        queries: how many stored rows to take as queries; each is left out of its own answer.
        asked: ``[q, d]`` real queries instead, which are better.
        seed: of the sample.

    Raises:
        InputError: ``target`` is out of range, or there are no live rows.
    """
    if not 0 < target <= 1:
        raise InputError(f"target must be above 0 and at most 1, got {target}.")
    probe = Probe.of(search.flat, k=k, queries=queries, asked=asked, seed=seed)
    recall, m = 0.0, _LADDER[-1]
    for m in _LADDER:
        if m < k:
            continue
        recall = probe.recall(replace(search, m=m, k=0))
        if recall >= target:
            break
    return replace(search, m=m, k=k, recall=recall)


def measured(search: TwoStage, *, k: int = 10, queries: int = 200, seed: int = 0) -> TwoStage:
    """The same with the recall that its own ``m`` reaches at ``k``; see :func:`tune` for the rest."""
    probe = Probe.of(search.flat, k=k, queries=queries, seed=seed)
    return replace(search, k=k, recall=probe.recall(replace(search, k=0)))
