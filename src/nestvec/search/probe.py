"""Stored rows taken as queries, to measure what a search finds of what an exact one does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.protocols import Searcher
from nestvec.core.types import Array, ArrayLike, Float32, Int64
from nestvec.search.flat import Flat


@dataclass(frozen=True, eq=False)
class Probe:
    """Queries and what exact search finds for them.

    Args:
        queries: ``[q, d]``.
        own: ``[q]`` the row id of each query, which is left out of its own answer; -1 where it is no stored row.
        truth: for each query the row ids of its ``k`` nearest.
        k: how many nearest rows.
    """

    queries: Float32[np.ndarray, "q d"]
    own: Int64[np.ndarray, " q"]
    truth: list[list[int]]
    k: int

    @classmethod
    def of(cls, flat: Flat, *, k: int = 10, queries: int = 200, asked: ArrayLike | None = None, seed: int = 0) -> Probe:
        """Search ``flat`` exactly for a sample of its rows.

        Args:
            flat: the truth.
            k: how many nearest rows.
            queries: how many stored rows to take.
            asked: ``[q, d]`` real queries instead, which are better.
            seed: of the sample.

        Raises:
            InputError: there are no live rows.
        """
        live = flat.live
        if not len(live):
            raise InputError("there must be live rows to measure recall with, got none.")
        if asked is None:
            own: Array = np.sort(np.random.default_rng(seed).choice(live, min(queries, len(live)), replace=False))
            sample = flat.vectors(own)
        else:
            sample = as_matrix(asked, name="asked", dim=flat.dim, at_least=1)
            own = np.full(len(sample), -1)
        return cls(sample, own, _without(flat.search(sample, k + 1).ids, own, k), k)

    def recall(self, search: Searcher) -> float:
        """The share of the ``k`` nearest rows that a search finds."""
        found = _without(search.search(self.queries, self.k + 1).ids, self.own, self.k)
        hits = sum(len(set(a) & set(b)) for a, b in zip(self.truth, found, strict=True))
        return hits / max(sum(map(len, self.truth)), 1)


def _without(ids: Int64[np.ndarray, "q k1"], own: Int64[np.ndarray, " q"], k: int) -> list[list[int]]:
    """The first ``k`` of each row, the query itself and padding left out."""
    rows = zip(ids.tolist(), own.tolist(), strict=True)
    return [[i for i in row if i not in (-1, me)][:k] for row, me in rows]
