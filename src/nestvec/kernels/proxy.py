"""How good a cheap score is at finding what an exact one ranks first."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import ArrayLike, Float32, Int64


@dataclass(frozen=True, eq=False)
class ProxyRecall:
    """Where the cheap score ranks each of the ``k`` items that the exact one ranks first.

    Args:
        ranks: ``[q, k]`` from 0, exact order along each row.
    """

    ranks: Int64[np.ndarray, "q k"]

    @classmethod
    def measure(cls, exact: ArrayLike, cheap: ArrayLike, *, k: int = 10, own: ArrayLike | None = None) -> ProxyRecall:
        """Compare two scores of the same queries and items.

        Args:
            exact: ``[q, n]``, such as MaxSim.
            cheap: ``[q, n]``, such as inner products of fixed-dimensional encodings.
            k: how many items count for each query, or all where there are fewer.
            own: ``[q]`` an item that each query was made from, which is left out on both sides; None if there are none.

        Raises:
            ShapeError: the two differ in shape, or ``own`` does not fit.
            InputError: ``k`` is less than 1, or there is nothing to compare.
        """
        a, b = np.array(exact, np.float32), np.array(cheap, np.float32)
        if a.ndim != 2 or a.shape != b.shape:
            raise ShapeError(f"exact and cheap must both be [q, n], got {a.shape} and {b.shape}.")
        left = a.shape[1] - (own is not None)
        if k < 1 or len(a) < 1 or left < 1:
            raise InputError(f"k must be at least 1, with a query and an item, got k={k}, {len(a)} and {left}.")
        if own is not None:
            where = np.asarray(own, np.int64)
            if where.shape != (len(a),):
                raise ShapeError(f"own must be [{len(a)}], an item for each query, got shape {where.shape}.")
            for scores in (a, b):
                scores[np.arange(len(a)), where] = -np.inf
        best = np.argsort(-a, axis=1, kind="stable")[:, : min(k, left)]
        place = np.argsort(np.argsort(-b, axis=1, kind="stable"), axis=1, kind="stable")
        return cls(np.take_along_axis(place, best, axis=1).astype(np.int64))

    def at(self, candidates: int) -> float:
        """The part of the exact ``k`` best that is among the ``candidates`` best by the cheap score: recall."""
        return float((self.ranks < candidates).mean())

    def of_queries(self, candidates: int) -> Float32[np.ndarray, " q"]:
        """:meth:`at` of each query, for an interval around their mean."""
        return np.asarray((self.ranks < candidates).mean(axis=1), np.float32)

    def needed(self, recall: float) -> int:
        """The fewest candidates that reach ``recall``, which is above 0 and at most 1.

        Raises:
            InputError: it is not.
        """
        if not 0 < recall <= 1:
            raise InputError(f"recall must be above 0 and at most 1, got {recall}.")
        ordered = np.sort(self.ranks.reshape(-1))
        return int(ordered[int(np.ceil(recall * len(ordered) - 1e-9)) - 1]) + 1
