"""Search by several vectors: candidates by the single vector of a record, then MaxSim over all that it keeps.

The codes of the vectors stay in memory maps, and only those of candidates are read.
"""

from __future__ import annotations

import numpy as np

from nestvec.core.hits import Hits
from nestvec.core.types import Float32, Int64
from nestvec.core.vectors import MultiVectors
from nestvec.search.columns import means
from nestvec.search.settings import ARRAY
from nestvec.search.several import TOKENS, Several, unit
from nestvec.store import Snapshot

EXACT = 512
"""Rows; so few are all compared by their vectors, whatever was measured."""
_SAMPLE = 32  # rows whose means are looked at
_ALIKE = 0.7  # cosine of a mean and a single vector; medians: .89 to .98 with the default model, 0 after a projection
_ROWS = 1024  # whose codes are brought together at a time


def rank(
    snapshot: Snapshot, several: Several, queries: MultiVectors, candidates: list[Int64[np.ndarray, " _"]], k: int
) -> Hits:
    """The ``k`` best of the candidates of each query, by MaxSim over the vectors that are kept.

    Args:
        snapshot: whose rows.
        several: how their vectors are kept.
        queries: the vectors of each query; one without any finds nothing.
        candidates: row ids for each query, any order, none twice.
        k: how many.

    Returns:
        ``[q, k]`` row ids and scores, best first, equal scores by the smaller id, padded with -1 and ``-inf``. Rows
        without vectors are not found.

    Raises:
        CorruptError: what had to be read is damaged.

    Source: Khattab and Zaharia 2020, eq. 3 (arXiv:2004.12832).
    """
    found = Hits.empty(len(queries), k)
    for i, rows in enumerate(candidates):
        if not len(queries[i]):
            continue
        scores = maxsim_of(snapshot, several, queries[i], rows)
        best = first(rows, scores, k)
        found.ids[i, : len(best)], found.scores[i, : len(best)] = rows[best], scores[best]
    return found


def first(rows: Int64[np.ndarray, " m"], scores: Float32[np.ndarray, " m"], k: int) -> Int64[np.ndarray, " b"]:
    """Positions of the ``k`` best, best first, equal scores by the smaller row id; those of ``-inf`` are left out."""
    best = np.lexsort((rows, -scores))[:k].astype(np.int64)
    found: Int64[np.ndarray, " b"] = best[np.isfinite(scores[best])]
    return found


def looked_at(m: int, k: int) -> int:
    """Candidates for ``k`` results where ``m`` are looked at for ten."""
    return max(m * max(k, 10) // 10, k)


def maxsim_of(
    snapshot: Snapshot, several: Several, query: Float32[np.ndarray, "t d"], rows: Int64[np.ndarray, " m"]
) -> Float32[np.ndarray, " m"]:
    """MaxSim of one query ``[t, d]`` with rows, their vectors as they are kept; ``-inf`` for rows without any."""
    out = np.full(len(rows), -np.inf, np.float32)
    for lo in range(0, len(rows), _ROWS):
        out[lo : lo + _ROWS] = several.scores(query, snapshot.several(TOKENS, rows[lo : lo + _ROWS]))
    return out


def mean_serves(snapshot: Snapshot, several: Several) -> bool:
    """Whether the mean of a record's vectors points where its single vector does, so that one stands for the other.

    It does where a model takes the mean of its tokens, and not where tokens are projected: their space is another one
    then, even if it has as many dimensions.
    """
    rows = living(snapshot)
    some = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(np.int64)]
    single = snapshot.vectors(ARRAY, some)
    made = means(several.unpack(snapshot.several(TOKENS, some)))
    if not len(rows) or single.shape != made.shape:
        return False
    cosines = (unit(single) * unit(made)).sum(axis=1)
    return bool(np.median(cosines) >= _ALIKE)


def living(snapshot: Snapshot) -> Int64[np.ndarray, " n"]:
    """Row ids, ascending, of living rows that have a column of several vectors."""
    rows = np.concatenate([np.zeros(0, np.int64), *(segment.rows for segment in snapshot.ragged(TOKENS))])
    return np.setdiff1d(rows, snapshot.state.dead, assume_unique=True)
