"""Smaller tasks that put models in the same order: hard negatives instead of a whole corpus, a sample by classes.

What stays, by kind:

- retrieval: queries by chance, every document judged for them, and the documents that cheap systems rank highest;
- reranking: queries by chance, each with all its candidates;
- classification, zero-shot classification, pair classification: texts by chance, as many of each class as its share;
- clustering: the same, and the samples that are clustered are drawn from what stays;
- everything else, STS above all: as it is. A correlation needs its pairs, and they are few.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Int64
from nestvec.evaluation.baselines import Bm25, TfIdf
from nestvec.evaluation.kind import Kind
from nestvec.evaluation.kinds.classification import Classification
from nestvec.evaluation.kinds.clustering import Clustering
from nestvec.evaluation.kinds.pair_classification import PairClassification
from nestvec.evaluation.kinds.reranking import Reranking
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.kinds.zero_shot import ZeroShot
from nestvec.evaluation.system import Ranks

_DRAWN = 4  # times the shots, so many texts a class stay to draw few shots from


@dataclass(frozen=True)
class Downsampling:
    """How a task is made smaller. Two runs of one seed give the same task, and so the same fingerprint.

    Args:
        share: of the documents or texts, how much stays; more where ``least`` says so.
        least: documents or texts that stay in any case, by chance where miners find fewer; a task with no more of them
            is left as it is.
        queries: at most.
        depth: how deep into the ranking of each miner hard negatives are taken, at most.
        miners: systems whose best documents are the hard negatives. They should not all be of one family: what only
            one family gets wrong is then missing for the others.
        seed: of every draw.

    Raises:
        InputError: a number is out of range, or there is no miner.
    """

    share: float = 0.25
    least: int = 1_000
    queries: int = 1_000
    depth: int = 250
    miners: tuple[Ranks, ...] = (Bm25(), TfIdf())
    seed: int = 42

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise InputError(f"share must lie above 0 and be at most 1, got {self.share}.")
        if min(self.least, self.queries, self.depth) < 1 or not self.miners:
            raise InputError(
                f"least, queries and depth must be at least 1, with one miner or more, got {self.least}, "
                f"{self.queries}, {self.depth} and {len(self.miners)} miners."
            )

    def room(self, n: int) -> int:
        """How many of ``n`` stay."""
        return min(n, max(self.least, math.ceil(self.share * n)))

    def notes(self, task: Kind) -> tuple[str, ...]:
        """What a reader of a figure should know: how much is left of a task, and who looks worse than he is."""
        left = f"down-sampled to {extent(task)} (seed {self.seed}); compare only with figures of the same"
        if not isinstance(task, Retrieval):
            return (left,)
        return left, f"{' and '.join(m.name for m in self.miners)} chose the documents, and look worse than they are"


def downsample(task: Kind, how: Downsampling | None = None) -> Kind:
    """A smaller task of the same kind and metric.

    Figures of the two are not comparable: fewer documents are easier to search. The order of systems is what is kept;
    :func:`nestvec.evaluation.preservation.preserved` measures how well.

    Args:
        task: its data.
        how: see the class.

    Returns:
        The smaller task; the same one where there is nothing to take away, or its kind is left as it is.

    Cost: of retrieval, what the miners take for all queries that stay; else next to nothing.

    Source: Enevoldsen et al. 2025 (arXiv:2502.13595): 250 documents a query and system, 1,000 queries.
    """
    way = _WAYS.get(type(task))
    return task if way is None else way(task, how or Downsampling())


def extent(task: Kind) -> str:
    """How much data a task has, in words: ``1,296 documents, 300 queries``."""
    if isinstance(task, Retrieval | Reranking):
        return f"{len(task.documents):,} documents, {len(task.queries):,} queries"
    if isinstance(task, Classification):
        return f"{len(task.train):,} texts to learn from, {len(task.test):,} to be tested on"
    if isinstance(task, Clustering | ZeroShot):
        return f"{len(task.texts):,} texts"
    return f"{len(task):,} items"


def stratified(labels: Sequence[object], size: int, *, seed: int, least: int = 1) -> Int64[np.ndarray, " s"]:
    """Rows drawn so that every label keeps its share, by largest remainders, and no fewer than ``least`` each.

    Args:
        labels: one a row.
        size: how many rows; more where ``least`` of every label are more.
        seed: of the draw.
        least: of each label, or all there are.

    Returns:
        ``[s]`` ascending rows.
    """
    which, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)[1:]
    exact = counts * (min(size, len(which)) / max(len(which), 1))
    take = np.maximum(np.floor(exact).astype(np.int64), np.minimum(counts, least))
    for label in np.argsort(np.floor(exact) - exact, kind="stable"):  # the largest remainder first
        if take.sum() >= size:
            break
        take[label] += take[label] < counts[label]
    order = np.random.default_rng(seed).permutation(len(which))
    place = np.empty_like(order)  # of each row among those of its label, in the order of the draw
    for label in range(len(counts)):
        mine = order[which[order] == label]
        place[mine] = np.arange(len(mine))
    return np.flatnonzero(place < take[which])


def _retrieval(task: Retrieval, how: Downsampling) -> Retrieval:
    rng = np.random.default_rng(how.seed)
    names = [name for name, gains in task.judged.items() if max(gains.values()) > 0]
    asked = [names[i] for i in _rows(len(names), how.queries, how.seed)]
    goal = how.room(len(task.documents))
    if goal == len(task.documents) and len(asked) == len(task.judged):
        return task
    judged = {name: task.judged[name] for name in asked}
    queries = {name: task.queries[name] for name in asked}
    known = {document for gains in judged.values() for document in gains}
    kept = np.array([record.id in known for record in task.documents])
    found = _found(task, tuple(queries.values()), how)
    order = np.lexsort((rng.permutation(len(kept)), found))  # of documents that were found at one rank, by chance
    order = order[~kept[order]]
    hard, here = int((found[order] < how.depth).sum()), int(kept.sum())
    kept[order[: max(0, min(goal - here, max(hard, how.least - here)))]] = True
    documents = tuple(record for record, keep in zip(task.documents, kept, strict=True) if keep)
    return replace(task, documents=documents, queries=queries, judged=judged)


def _found(task: Retrieval, queries: Sequence[str], how: Downsampling) -> Int64[np.ndarray, " n"]:
    """The best rank of each document for any query by any miner, from 0; ``depth`` where it was not found."""
    n = len(task.documents)
    first = np.full(n, how.depth)
    for miner in how.miners:
        ids = miner.rank(queries, task.documents, min(how.depth, n)).ids
        ranks = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        inside = (ids >= 0) & (ids < n)
        np.minimum.at(first, ids[inside], ranks[inside])
    return first


def _reranking(task: Reranking, how: Downsampling) -> Reranking:
    rows = _rows(len(task), min(how.queries, how.room(len(task))), how.seed)
    if len(rows) == len(task):
        return task
    candidates = tuple(task.candidates[i] for i in rows)
    used = set().union(*candidates)
    documents = tuple(record for record in task.documents if record.id in used)
    queries = tuple(task.queries[i] for i in rows)
    return Reranking(documents, queries, candidates, tuple(task.relevant[i] for i in rows))


def _classification(task: Classification, how: Downsampling) -> Classification:
    few = _DRAWN * task.shots if task.way == "few-shot" else 1
    train = stratified(task.train_labels, how.room(len(task.train)), seed=how.seed, least=few).tolist()
    test = stratified(task.test_labels, how.room(len(task.test)), seed=how.seed).tolist()
    return replace(
        task,
        train=tuple(task.train[i] for i in train),
        train_labels=tuple(task.train_labels[i] for i in train),
        test=tuple(task.test[i] for i in test),
        test_labels=tuple(task.test_labels[i] for i in test),
    )


def _clustering(task: Clustering, how: Downsampling) -> Clustering:
    rows = stratified(task.labels, how.room(len(task.texts)), seed=how.seed).tolist()
    texts, labels = tuple(task.texts[i] for i in rows), tuple(task.labels[i] for i in rows)
    return replace(task, texts=texts, labels=labels, size=min(task.size, len(rows)))


def _zero_shot(task: ZeroShot, how: Downsampling) -> ZeroShot:
    rows = stratified(task.labels, how.room(len(task)), seed=how.seed).tolist()
    return replace(task, texts=tuple(task.texts[i] for i in rows), labels=tuple(task.labels[i] for i in rows))


def _pairs(task: PairClassification, how: Downsampling) -> PairClassification:
    rows = stratified(task.truth.tolist(), how.room(len(task)), seed=how.seed)
    first, second = (tuple(texts[i] for i in rows.tolist()) for texts in (task.first, task.second))
    return replace(task, first=first, second=second, truth=task.truth[rows])


def _rows(n: int, size: int, seed: int) -> list[int]:
    found: list[int] = np.sort(np.random.default_rng(seed).permutation(n)[:size]).tolist()
    return found


_WAYS: Mapping[type[object], Callable[[Any, Downsampling], Kind]] = {
    Retrieval: _retrieval,
    Reranking: _reranking,
    Classification: _classification,
    Clustering: _clustering,
    ZeroShot: _zero_shot,
    PairClassification: _pairs,
}
