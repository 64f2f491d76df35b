"""Turning good candidates into the exact best: reading as few stored vectors as the bounds allow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core.types import Array, Float32, Int64

_STEP = 16  # vectors read at once when k are known, then twice as many: asking costs as much as reading some twenty


@runtime_checkable
class Shelf(Protocol):
    """Where the float vectors are; :class:`nestvec.search.flat.Flat` is one."""

    def vectors(self, rows: Int64[np.ndarray, " m"]) -> Float32[np.ndarray, "m d"]:
        """The vectors of row ids, strictly ascending."""
        ...


@dataclass(frozen=True, eq=False)
class Rescored:
    """What rescoring gave.

    Args:
        ids: ``[c]`` row ids, best first, equal scores by the smaller id; ``c`` is at most ``k``.
        scores: ``[c]`` exact inner products.
        read: how many vectors were read.
    """

    ids: Int64[np.ndarray, " c"]
    scores: Float32[np.ndarray, " c"]
    read: int


def rescore(
    query: Float32[np.ndarray, " d"],
    ids: Int64[np.ndarray, " m"],
    estimates: Float32[np.ndarray, " m"],
    shelf: Shelf,
    k: int,
    *,
    errors: Float32[np.ndarray, " m"] | None = None,
) -> Rescored:
    """The exact ``k`` best of the candidates ``ids``.

    With ``errors``, candidates are read in the order of the most that they may score, ``estimate + error``, and reading
    stops at the first that cannot reach the ``k``-th best exact score so far; none after it can.

    Args:
        query: ``[d]``.
        ids: ``[m]`` candidates, each once; -1 is passed over.
        estimates: ``[m]`` their scores by code.
        shelf: gives their vectors.
        k: at least 1.
        errors: ``[m]`` how far each estimate may be off; None to read them all.

    Source: Gao and Long 2024, sec. 4 (arXiv:2405.12497), for stopping by the bound.
    """
    real = ids >= 0
    ids, estimates = ids[real], estimates[real]
    if errors is None:
        scores = _exact(query, ids, shelf)
        return Rescored(*_best(ids, scores, k), read=len(ids))
    most = estimates + errors[real]
    order = np.lexsort((ids, -most))
    ids, most = ids[order], most[order]
    seen, scores, step = min(k, len(ids)), _exact(query, ids[:k], shelf), _STEP
    while seen < len(ids):
        reach = np.partition(scores, seen - k)[seen - k]
        stop, step = min(seen + step, len(ids)), 2 * step
        worth = int(np.searchsorted(-most[seen:stop], -reach, side="right"))  # ties may win by the smaller id
        if worth:
            scores = np.concatenate([scores, _exact(query, ids[seen : seen + worth], shelf)])
        seen += worth
        if seen < stop:
            break
    return Rescored(*_best(ids[:seen], scores, k), read=seen)


def _exact(query: Array, ids: Array, shelf: Shelf) -> Float32[np.ndarray, " m"]:
    order = np.argsort(ids)
    out = np.empty(len(ids), np.float32)
    out[order] = shelf.vectors(ids[order]) @ query
    return out


def _best(ids: Array, scores: Array, k: int) -> tuple[Array, Array]:
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]
