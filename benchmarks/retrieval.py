"""nDCG@10 of the default model on two judged collections, through nestvec's own path, beside BM25."""

from __future__ import annotations

import csv
import json
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.harness import Figure, Outcome, data
from nestvec.core import Record
from nestvec.inputs import read
from nestvec.metrics import Interval, bootstrap_mean, judge, ndcg, recall

K = 10
SETS = ("scifact", "cranfield")
_QUICK_DOCUMENTS = 300  # what two cores encode in seconds; every relevant document is among them
_QUICK_QUERIES = 30

Ranking = list[list[str]]


@dataclass(frozen=True)
class Judged:
    """Documents, queries, and which documents answer which query."""

    documents: list[Record]
    queries: list[str]
    judgements: list[Mapping[str, float]]


def run(*, quick: bool) -> Outcome:
    """Measure every system on every set that is there."""
    outcome = Outcome({}, ("set", "system", "nDCG@10", "low", "high", "recall@10", "seconds"))
    for name in SETS:
        folder = data(name)
        keys = (f"{name}_ndcg10", f"{name}_lo", f"{name}_hi", f"{name}_bm25", f"{name}_fts5", f"{name}_passages")
        outcome.figures |= dict.fromkeys(keys)
        if folder is None:
            outcome.missing |= dict.fromkeys(keys, f"the data set {name} is not there")
            continue
        _measure(name, load(folder, quick=quick), outcome)
    outcome.notes += [
        "passages: documents cut to the encoder's window, a document scored by its best passage (max-p).",
        "whole: one vector a document, title and text cut off at 256 tokens, as in published scores.",
        f"Intervals: 95 % BCa bootstrap over queries. Documents: {'a cut; compare with nothing' if quick else 'all'}.",
    ]
    return outcome


def load(folder: Path, *, quick: bool) -> Judged:
    """Read a collection in the form of BEIR with nestvec's own reader."""
    judgements: dict[str, dict[str, float]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            judgements.setdefault(row["query-id"], {})[row["corpus-id"]] = float(row["score"])
    with (folder / "queries.jsonl").open(encoding="utf-8") as file:
        queries = {str(row["_id"]): str(row["text"]) for row in map(json.loads, file)}
    judgements = {query: found for query, found in judgements.items() if max(found.values()) > 0}
    documents = list(read(next(folder.glob("corpus.jsonl*")), duplicates="keep"))
    if quick:
        judgements = dict(list(judgements.items())[:_QUICK_QUERIES])
        wanted = {name for found in judgements.values() for name, gain in found.items() if gain > 0}
        documents.sort(key=lambda record: record.id not in wanted)  # stable: relevant ones first
        documents = documents[: max(_QUICK_DOCUMENTS, len(wanted))]
    return Judged(documents, [queries[name] for name in judgements], list(judgements.values()))


def _measure(name: str, judged: Judged, outcome: Outcome) -> None:
    wanted = {n for found in judged.judgements for n, gain in found.items() if gain > 0}
    unread = wanted - {record.id for record in judged.documents}
    if unread:
        outcome.notes.append(f"{name}: relevant, but without text, and so counted as not found: {sorted(unread)}")
    systems: dict[str, tuple[str, Callable[[Judged], dict[str, Ranking]]]] = {
        "passages": (f"{name}_passages", lambda j: collection(j, budget=None)),
        "whole": (f"{name}_ndcg10", lambda j: {"whole": collection(j, budget=0)["passages"]}),
        "bm25s": (f"{name}_bm25", lambda j: {"bm25s": bm25(j)}),
    }
    values: dict[str, np.ndarray] = {}
    for system, (key, search) in systems.items():
        start = time.perf_counter()
        try:
            found = search(judged)
        except ImportError as error:
            outcome.missing[key] = f"{system}: {error}"
            continue
        seconds = time.perf_counter() - start
        for which, ranking in found.items():
            ranked, ideal = judge(ranking, judged.judgements, k=K)
            values[which] = ndcg(ranked, ideal)
            interval = bootstrap_mean(values[which])
            _note(name, which, interval, outcome.figures)
            outcome.rows.append(
                (name, which, interval.mean, interval.low, interval.high, float(recall(ranked, ideal).mean()), seconds)
            )
    if {"passages", "bm25s"} <= set(values):
        difference = bootstrap_mean(values["passages"] - values["bm25s"])
        outcome.notes.append(f"{name}, passages minus bm25s, query by query: {difference}")


def _note(name: str, system: str, interval: Interval, figures: dict[str, Figure]) -> None:
    if system == "whole":  # what is published, and so what can be compared, is one vector a document
        figures |= {f"{name}_ndcg10": interval.mean, f"{name}_lo": interval.low, f"{name}_hi": interval.high}
    else:
        figures[f"{name}_{ {'bm25s': 'bm25'}.get(system, system) }"] = interval.mean


def collection(judged: Judged, *, budget: int | None) -> dict[str, Ranking]:
    """Rankings of documents by meaning and by the store's own full text, from a collection in a temporary folder."""
    from nestvec.search import Collection

    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # with budget 0 the encoder rightly warns of texts that it cuts off
        with Collection.create(Path(folder) / "c", encoder="default", budget=budget) as made:
            made.add(judged.documents)
            dense = made.search_many(judged.queries, K, per_document=True)
            words = made.search_many(judged.queries, K, per_document=True, mode="lexical")
    return {
        "passages": [[result.document for result in results] for results in dense],
        "fts5": [[result.document for result in results] for results in words],
    }


def bm25(judged: Judged) -> Ranking:
    """Rankings by bm25s with its own defaults, English stop words and stemmer, over title and text."""
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")

    def tokens(texts: Sequence[str]) -> object:
        return bm25s.tokenize(list(texts), stopwords="en", stemmer=stemmer, show_progress=False)

    index = bm25s.BM25()
    index.index(tokens([record.full_text for record in judged.documents]), show_progress=False)
    k = min(K, len(judged.documents))
    found, _ = index.retrieve(tokens(judged.queries), k=k, show_progress=False)
    return [[judged.documents[int(i)].id for i in row] for row in found]
