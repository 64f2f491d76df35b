"""Put the documents that answer a query before the others, among a few candidates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core import Hits, Record
from nestvec.core.errors import InputError
from nestvec.core.types import Int64
from nestvec.evaluation.baselines import Bm25
from nestvec.evaluation.kinds.retrieval import Retrieval, outcome
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, once, read_rows
from nestvec.evaluation.system import Ranks, System
from nestvec.metrics import Qrels, Run, measure, parse

_MAIN = "AP@1000"
_MEASURES = (_MAIN, "nDCG@10", "RR@10")


@dataclass(frozen=True)
class Reranking:
    """Queries, each with candidates of its own, some of them relevant. Each query is one item; its value is the AP.

    Args:
        documents: candidates of all queries, each once.
        queries: texts.
        candidates: for each query, ids of its candidates.
        relevant: for each query, ids of those that answer it.
        label: of the metric.

    Raises:
        InputError: an id comes twice or is unknown; a query has fewer than two candidates, or none is relevant.
    """

    documents: tuple[Record, ...]
    queries: tuple[str, ...]
    candidates: tuple[tuple[str, ...], ...]
    relevant: tuple[frozenset[str], ...]

    id: ClassVar[str] = "reranking@1"
    needs: ClassVar[type[object]] = Ranks
    metric: ClassVar[str] = "AP@1000"
    mteb_type: ClassVar[str] = "Reranking"
    trivial_name: ClassVar[str] = "random order"
    spread: ClassVar[float] = 0.33  # as of retrieval; average precision and nDCG of a query spread alike

    def __post_init__(self) -> None:
        if not len(self.queries) == len(self.candidates) == len(self.relevant) or not self.queries:
            raise InputError("a reranking task must have candidates and relevant ids for each of one or more queries.")
        known = {record.id for record in self.documents}
        once([record.id for record in self.documents], "ids of candidates")
        for i, (offered, good) in enumerate(zip(self.candidates, self.relevant, strict=True)):
            once(offered, f"candidates of query {i}")
            if not set(offered) <= known or not good <= set(offered):
                raise InputError(f"candidates of query {i} must be known, and relevant ones be among the candidates.")
            if not good or len(offered) < 2:
                raise InputError(f"query {i} must have two or more candidates, one of them relevant.")

    @classmethod
    def read(cls, path: Path, *, split: str = "test", depth: int = 50) -> Reranking:
        """Read lines of ``query``, ``positive`` and ``negative`` (lists of texts); or make the task of a BEIR folder.

        Of a folder, the candidates are the best ``depth`` by BM25 and all that are judged relevant.

        Args:
            path: a JSONL file or a folder.
            split: of the folder's judgements.
            depth: candidates a query.

        Raises:
            InputError: see the class and :class:`~nestvec.evaluation.kinds.retrieval.Retrieval`.
        """
        if depth < 1:
            raise InputError(f"depth must be at least 1, got {depth}.")
        if path.is_dir():
            return cls.of(Retrieval.read(path, split=split), depth=depth)
        texts: dict[str, str] = {}
        queries, candidates, relevant = [], [], []
        for row in read_rows(path):
            good, bad = row.texts("positive"), row.texts("negative")
            for text in (*good, *bad):
                texts.setdefault(text, f"d{len(texts)}")
            queries.append(row.text("query"))
            candidates.append(tuple(dict.fromkeys(texts[text] for text in (*good, *bad))))
            relevant.append(frozenset(texts[text] for text in good))
        documents = tuple(Record(name, text) for text, name in texts.items())
        return cls(documents, tuple(queries), tuple(candidates), tuple(relevant))

    @classmethod
    def of(cls, task: Retrieval, *, depth: int = 50) -> Reranking:
        """The best ``depth`` documents by BM25 and all relevant ones, for every query with something relevant.

        Where fewer documents share a word with the query, the first ones of the corpus make up the number.
        """
        judged = {q: {d for d, gain in gains.items() if gain > 0} for q, gains in task.judged.items()}
        judged = {q: good for q, good in judged.items() if good}
        found = Bm25().rank([task.queries[q] for q in judged], task.documents, depth).ids
        names = [record.id for record in task.documents]
        offered = tuple(
            tuple(dict.fromkeys([*_filled(row, names), *sorted(good)]))
            for row, good in zip(found, judged.values(), strict=True)
        )
        used = set().union(*offered)
        documents = tuple(record for record in task.documents if record.id in used)
        return cls(documents, tuple(task.queries[q] for q in judged), offered, tuple(map(frozenset, judged.values())))

    def __len__(self) -> int:
        return len(self.queries)

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts, candidates and judgements."""
        documents = [(record.id, record.title, record.text) for record in self.documents]
        return digest(self.id, documents, self.queries, self.candidates, [sorted(good) for good in self.relevant])

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """Rank the candidates of every query. ``seed`` decides nothing here."""
        del seed
        widest = max(map(len, self.candidates))
        return self._scored(cast(Ranks, system).rank(self.queries, self.documents, widest, among=self._places))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """Candidates in random order."""
        rng = np.random.default_rng(seed)
        hits = Hits.empty(len(self), max(map(len, self.candidates)))
        for row, places in enumerate(self._places):
            hits.ids[row, : len(places)] = rng.permutation(places)
            hits.scores[row, : len(places)] = -np.arange(len(places))
        return self._scored(hits)

    @cached_property
    def _places(self) -> list[np.ndarray]:
        place = {record.id: i for i, record in enumerate(self.documents)}
        return [np.array([place[name] for name in offered], np.int64) for offered in self.candidates]

    def _scored(self, hits: Hits) -> Outcome:
        items = tuple(f"q{i}" for i in range(len(self)))
        run = Run(items, hits.ids, items=[record.id for record in self.documents])  # hits are in order
        pairs = zip(self.candidates, self.relevant, strict=True)
        judged = {
            item: {name: float(name in good) for name in offered}
            for item, (offered, good) in zip(items, pairs, strict=True)
        }
        return outcome(measure(run, Qrels(judged), _MEASURES), items, main=parse(_MAIN), unit="queries")


def _filled(row: Int64[np.ndarray, " k"], names: Sequence[str]) -> list[str]:
    """The names of the ids in ``row``; for every -1, the first document that is not among them."""
    found = [int(i) for i in row if i >= 0]
    rest = (i for i in range(len(names)) if i not in set(found))
    return [names[i] for i in (*found, *islice(rest, len(row) - len(found)))]
