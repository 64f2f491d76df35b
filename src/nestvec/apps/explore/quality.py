"""How well a collection answers judged queries, by meaning and by words, through its own search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from nestvec.core.types import Float64
from nestvec.evaluation.cost import Meter, per_point
from nestvec.metrics import Interval, bootstrap_mean, judge, ndcg, recall, reciprocal_rank
from nestvec.planner.questions import Questions
from nestvec.search.collection import Collection, Mode

K = 10


@dataclass(frozen=True)
class Quality:
    """Scores of one way to search.

    Args:
        ndcg: nDCG@10.
        recall: recall@10.
        first: reciprocal rank of the first relevant document.
        cpu: processor seconds a query, encoding it included; all in one call, without what a first query loads.
    """

    ndcg: Interval
    recall: Interval
    first: Interval
    cpu: float

    @property
    def per_point(self) -> float | None:
        """Processor seconds a query for each hundredth of nDCG@10; None where it found nothing."""
        return per_point(self.cpu, self.ndcg.mean)


@dataclass(frozen=True)
class Answered:
    """What was measured.

    Args:
        dense: by meaning.
        lexical: by words (BM25).
        difference: nDCG@10 by meaning minus that by words, query by query.
        hardest: the queries that are answered worst by meaning, with their nDCG@10.
    """

    dense: Quality
    lexical: Quality
    difference: Interval
    hardest: tuple[tuple[str, float], ...]


def answered(collection: Collection, questions: Questions) -> Answered:
    """Search for every judged query, documents by their best passage, and score the ten best.

    Args:
        collection: open for reading.
        questions: with judgements.
    """
    gains = questions.gains or ()
    dense, by_meaning = _measure(collection, questions, gains, "dense")
    lexical, by_words = _measure(collection, questions, gains, "lexical")
    worst = np.argsort(by_meaning, kind="stable")[:10].tolist()
    hardest = tuple((questions.texts[i], float(by_meaning[i])) for i in worst)
    return Answered(dense, lexical, bootstrap_mean(by_meaning - by_words), hardest)


def _measure(
    collection: Collection, questions: Questions, gains: tuple[Mapping[str, float], ...], mode: Mode
) -> tuple[Quality, Float64[np.ndarray, " q"]]:
    collection.search_many(questions.texts[:1], K, mode=mode, per_document=True)  # loads what is loaded once
    meter = Meter.start()
    results = collection.search_many(questions.texts, K, mode=mode, per_document=True)
    cpu = (meter.stop().cpu_seconds or 0.0) / len(questions.texts)
    ranked, ideal = judge([[result.document for result in row] for row in results], gains, k=K)
    values = ndcg(ranked, ideal)
    found = (values, recall(ranked, ideal), reciprocal_rank(ranked, ideal))
    gained, kept, first = (bootstrap_mean(x) for x in found)
    return Quality(gained, kept, first, cpu), values
