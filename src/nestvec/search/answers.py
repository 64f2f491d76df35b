"""From row ids and scores to results, one a row or one a document."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from nestvec.search.result import Result
from nestvec.store import Snapshot

Ranking = list[tuple[int, float]]
"""Row ids and scores of one query, best first; an id of -1 is no row."""


def answer(
    snapshot: Snapshot, rank: Callable[[int], list[Ranking]], k: int, *, per_document: bool
) -> list[list[Result]]:
    """The ``k`` best results of each query.

    With ``per_document``, passages of a document already found are passed over, so the ranking is asked for
    more, four times as much each time, until there are ``k`` documents or no rows are left.

    Args:
        snapshot: whose rows they are.
        rank: gives the ``n`` best rows of each query.
        k: how many.
        per_document: the best passage of each document only.
    """
    depth = k
    while True:
        results = [_results(snapshot, ranking) for ranking in rank(depth)]
        if not per_document:
            return results
        best = [_per_document(some)[:k] for some in results]
        done = all(len(b) == k or len(r) < depth for b, r in zip(best, results, strict=True))
        if done or depth >= len(snapshot):
            return best
        depth = min(depth * 4, len(snapshot))


def _results(snapshot: Snapshot, ranking: Ranking) -> list[Result]:
    kept = [(rid, score) for rid, score in ranking if rid >= 0]
    records = snapshot.records([rid for rid, _ in kept])
    return [Result(record, score, rid) for record, (rid, score) in zip(records, kept, strict=True)]


def _per_document(results: Iterable[Result]) -> list[Result]:
    best: dict[str, Result] = {}
    for result in results:
        best.setdefault(result.document, result)
    return list(best.values())
