"""What a plan is judged by: judgements where there are some, else agreement with the full size."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float64, Int64
from nestvec.metrics import judge, ndcg


@runtime_checkable
class Target(Protocol):
    """Gives every query a number in [0, 1], higher is better."""

    @property
    def name(self) -> str:
        """Of the number, for people."""
        ...

    @property
    def proxy(self) -> bool:
        """Whether it stands in for judgements that are not there."""
        ...

    @property
    def depth(self) -> int:
        """How many rows it wants found."""
        ...

    def __len__(self) -> int:
        """How many queries."""
        ...

    def scores(self, queries: Int64[np.ndarray, " a"], found: Int64[np.ndarray, "a k"]) -> Float64[np.ndarray, " a"]:
        """Of queries, by position, for the row ids that were found for each, best first, -1 for none."""
        ...


@dataclass(frozen=True, eq=False)
class Judged:
    """nDCG of documents by judgements; a document stands where its best passage stands.

    Args:
        gains: one ``{document: gain}`` a query.
        documents: ``[n]`` which document each row belongs to, by number.
        k: depth of the ranking.

    Raises:
        InputError: a query has no relevant document, or ``k < 1``.
    """

    gains: tuple[Mapping[int, float], ...]
    documents: Int64[np.ndarray, " n"]
    k: int = 10

    def __post_init__(self) -> None:
        if self.k < 1:
            raise InputError(f"k must be at least 1, got {self.k}.")
        empty = [i for i, gains in enumerate(self.gains) if max(gains.values(), default=0) <= 0]
        if empty:
            raise InputError(f"every query must have a relevant document, got none for query {empty[0]}. Leave it out.")

    @property
    def name(self) -> str:
        """``nDCG@10``."""
        return f"nDCG@{self.k}"

    @property
    def proxy(self) -> bool:
        """No."""
        return False

    @property
    def depth(self) -> int:
        """More than ``k`` where several rows may belong to one document."""
        whole = len(np.unique(self.documents)) == len(self.documents)
        return self.k if whole else 3 * self.k

    def __len__(self) -> int:
        return len(self.gains)

    def scores(self, queries: Int64[np.ndarray, " a"], found: Int64[np.ndarray, "a k"]) -> Float64[np.ndarray, " a"]:
        """See :class:`Target`."""
        ranking = [list(dict.fromkeys(self.documents[row[row >= 0]].tolist()))[: self.k] for row in found]
        named = [[str(document) for document in row] for row in ranking]
        judged = [{str(d): float(g) for d, g in self.gains[i].items()} for i in queries.tolist()]
        return ndcg(*judge(named, judged, k=self.k))


@dataclass(frozen=True, eq=False)
class Agreement:
    """How much of the full size's answer is found again: the mean overlap of the two rankings down to each depth.

    ``A = 1/k sum_i |first i of mine & first i of theirs| / i``, which is rank-biased overlap with the weights of the
    ranks even down to ``k``. Rows that answer a query because it was made of them are left out of both.

    Args:
        reference: ``[q, k]`` row ids that the full size finds; -1 where there are none.
        own: ``[q]`` the row that each query was made of; -1 for a query of somebody's.

    Source: Fagin, Kumar and Sivakumar 2003, sec. 3 (average overlap); Webber, Moffat and Zobel 2010, sec. 4.
    """

    reference: Int64[np.ndarray, "q k"]
    own: Int64[np.ndarray, " q"]

    @property
    def name(self) -> str:
        """``agreement@10``."""
        return f"agreement@{self.reference.shape[1]}"

    @property
    def proxy(self) -> bool:
        """Yes."""
        return True

    @property
    def depth(self) -> int:
        """One more than is compared, for the row that the query was made of."""
        return int(self.reference.shape[1]) + 1

    def __len__(self) -> int:
        return len(self.reference)

    @classmethod
    def of(cls, found: Int64[np.ndarray, "q k1"], own: Int64[np.ndarray, " q"]) -> Agreement:
        """With what the full size found, one row more than is to be compared."""
        return cls(without(found, own), own)

    def scores(self, queries: Int64[np.ndarray, " a"], found: Int64[np.ndarray, "a k"]) -> Float64[np.ndarray, " a"]:
        """See :class:`Target`."""
        return average_overlap(without(found, self.own[queries]), self.reference[queries])


def without(found: Int64[np.ndarray, "q k1"], own: Int64[np.ndarray, " q"]) -> Int64[np.ndarray, "q k"]:
    """Rankings one shorter: without ``own`` where it was found, without the last where it was not."""
    drop: Array = found == own[:, None]
    drop[~drop.any(axis=1), -1] = True
    kept: Array = found[~drop].reshape(len(found), found.shape[1] - 1)
    return kept


def average_overlap(mine: Int64[np.ndarray, "q k"], theirs: Int64[np.ndarray, "q k"]) -> Float64[np.ndarray, " q"]:
    """``[q]`` in [0, 1]: 1 for equal rankings. Ids come once in each; -1 agrees with nothing, unless both end there."""
    k = mine.shape[1]
    same = (mine[:, :, None] == theirs[:, None, :]) & (mine[:, :, None] >= 0)
    meet = np.maximum(np.arange(k)[:, None], np.arange(k)[None, :])  # the depth at which both rankings have the id
    first: Float64[np.ndarray, "q k"] = np.zeros((len(mine), k))
    for depth in range(k):
        first[:, depth] = (same & (meet == depth)).sum(axis=(1, 2))
    common = np.cumsum(first, axis=1)
    most = np.minimum(np.arange(1, k + 1), np.maximum((theirs >= 0).sum(axis=1, keepdims=True), 1))
    found: Float64[np.ndarray, " q"] = (common / most).mean(axis=1)
    return found
