"""Find the documents that answer a query, in all documents there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

import numpy as np

from nestvec.core import Hits, Record
from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.evaluation.judgements import read_gains, read_texts, write_beir
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest, once, read_rows
from nestvec.evaluation.system import Ranks, System
from nestvec.metrics import Measure, Qrels, Run, measure, parse

_DEPTH = 100
_MEASURES = ("nDCG@10", "R@10", "R@100", "AP@100", "RR@10", "P@10", "Success@1")
_MTEB = {"nDCG": "ndcg_at", "R": "recall_at", "AP": "map_at", "RR": "mrr_at", "P": "precision_at", "Success": "hit_at"}


@dataclass(frozen=True)
class Retrieval:
    """Documents, queries and judgements. Each query is one item; its value is the metric of its ranking.

    Queries in which nothing is judged relevant have no value, and are left out.

    Args:
        documents: all that may be found.
        queries: ``{id: text}``, those with judgements.
        judged: ``{query: {document: gain}}``.
        metric: the main one, in the grammar of :func:`nestvec.metrics.parse`.

    Raises:
        InputError: two documents of one id, a judgement for an unknown query or document, a query without
            judgements, no query with a relevant document, or a metric that does not exist.
    """

    documents: tuple[Record, ...]
    queries: Mapping[str, str]
    judged: Mapping[str, Mapping[str, float]]
    metric: str = "nDCG@10"

    id: ClassVar[str] = "retrieval@1"
    needs: ClassVar[type[object]] = Ranks
    mteb_type: ClassVar[str] = "Retrieval"
    trivial_name: ClassVar[str] = "random ranking"
    spread: ClassVar[float] = 0.33  # of differences of nDCG@10, query by query: MiniLM and TF-IDF on SciFact

    _measure: Measure = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_measure", parse(self.metric))
        if (self._measure.k or 0) > _DEPTH or self._measure.k is None:
            raise InputError(f"a metric of retrieval must have a depth up to {_DEPTH}, got {self.metric!r}.")
        once([record.id for record in self.documents], "ids of documents")
        known = {record.id for record in self.documents}
        for query, gains in self.judged.items():
            if query not in self.queries:
                raise InputError(f"judgements must be of known queries, got query {query!r}, which has no text.")
            unknown = next((doc for doc in gains if doc not in known), None)
            if unknown is not None:
                raise InputError(f"judged documents must be in the corpus, got {unknown!r} for query {query!r}.")
        bare = [query for query in self.queries if not self.judged.get(query)]
        if bare:
            raise InputError(f"every query must have a judgement, got {len(bare)} without, the first {bare[0]!r}.")
        if not len(self):
            raise InputError("at least one query must have a relevant document (a gain above 0), got none.")

    @classmethod
    def read(cls, path: Path, *, split: str = "test", metric: str = "nDCG@10") -> Retrieval:
        """Read a folder as BEIR lays it out: ``corpus.jsonl``, ``queries.jsonl``, ``qrels/<split>.tsv``.

        Queries that the split does not judge belong to other splits, and are left out.

        Args:
            path: the folder; each file may be gzipped.
            split: whose judgements.
            metric: the main one.

        Raises:
            InputError: a file is missing, a line is broken, an id comes twice, or as for the class.
        """
        if not path.is_dir():
            raise InputError(f"a retrieval task must be a folder with corpus.jsonl in it, got {str(path)!r}.")
        corpus = read_rows(path / "corpus.jsonl")
        documents = tuple(
            Record(row.label("_id", "id"), str(row.values.get("text") or ""), title=str(row.values.get("title") or ""))
            for row in corpus
        )
        asked = read_texts(path / "queries.jsonl")
        judged = read_gains(path / "qrels" / f"{split}.tsv")
        return cls(documents, {name: text for name, text in asked.items() if name in judged}, judged, metric)

    def write(self, folder: Path, *, split: str = "test") -> None:
        """Write what :meth:`read` reads; see :func:`nestvec.evaluation.judgements.write_beir`."""
        write_beir(folder, self.documents, self.queries, self.judged, split=split)

    def __len__(self) -> int:
        """Queries with something relevant."""
        return sum(any(gain > 0 for gain in gains.values()) for gains in self.judged.values())

    @cached_property
    def fingerprint(self) -> str:
        """Of all texts and judgements, and the metric."""
        documents = [(record.id, record.title, record.text) for record in self.documents]
        return digest(self.id, self.metric, documents, dict(self.queries), {k: dict(v) for k, v in self.judged.items()})

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """Rank the best 100 documents for every query, and score the rankings. ``seed`` decides nothing here."""
        del seed
        texts = [self.queries[query] for query in self.judged]
        return self._scored(cast(Ranks, system).rank(texts, self.documents, _DEPTH))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """100 documents drawn at random for each query."""
        rng, n = np.random.default_rng(seed), len(self.documents)
        ids = np.full((len(self.judged), _DEPTH), -1, np.int64)
        for row in ids:
            row[: min(n, _DEPTH)] = rng.permutation(n)[:_DEPTH]
        scores = np.broadcast_to(-np.arange(_DEPTH, dtype=np.float32), ids.shape).copy()
        return self._scored(Hits(ids, scores))

    def _scored(self, hits: Hits) -> Outcome:
        names = [record.id for record in self.documents]
        names += [f"\0unknown {i}" for i in range(int(hits.ids.max(initial=-1)) + 1 - len(names))]
        asked = list(dict.fromkeys([self._measure.name, *_MEASURES]))
        run = Run(tuple(self.judged), hits.ids, items=names)  # hits are in order
        values = measure(run, Qrels(self.judged), asked)
        return outcome(values, tuple(self.judged), main=self._measure, unit="queries")


def outcome(values: Mapping[str, Array], items: Sequence[str], *, main: Measure, unit: str) -> Outcome:
    """Values ``[q]`` of measures by name -> their means over the queries that have one."""
    kept = ~np.isnan(values[main.name])
    columns = {mteb_name(parse(name)): found[kept] for name, found in values.items()}
    left_out = len(kept) - int(kept.sum())
    notes = (f"{left_out} of {len(kept)} {unit} have nothing relevant and are left out",) if left_out else ()
    return Outcome(
        main=mteb_name(main),
        scores={name: float(column.mean()) for name, column in columns.items()},
        items=tuple(item for item, keep in zip(items, kept, strict=True) if keep),
        columns=columns,
        unit=unit,
        notes=notes,
    )


def mteb_name(found: Measure) -> str:
    """``nDCG@10`` as MTEB writes it: ``ndcg_at_10``."""
    plain = Measure(found.kind, found.k)
    return f"{_MTEB[found.kind]}_{found.k}" if plain == found and found.kind in _MTEB else found.name
