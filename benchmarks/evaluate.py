"""Scores of one encoder by nestvec and by MTEB, on the same copies: retrieval, STS, few-shot classes, clusters."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import _downsampled
from benchmarks._remembering import Remembering
from benchmarks.harness import Outcome, data
from nestvec.core.errors import MissingExtraError
from nestvec.encoders import load
from nestvec.evaluation import TASKS, Model
from nestvec.evaluation.kinds.classification import Classification
from nestvec.evaluation.kinds.clustering import Clustering
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.kinds.sts import Sts

NAMES = ("scifact", "stsb", "banking77", "clustering_tweet")
SMALLER = ("downsampled_spearman", "downsampled_turned", "downsampled_cpu")
KEYS = (*(name + tail for name in NAMES for tail in ("", "_mteb")), "max_difference", *SMALLER)


def run(*, quick: bool) -> Outcome:
    """One encoder, four tasks; quick takes depth 0 of the default model."""
    out = Outcome(dict.fromkeys(KEYS), ("task", "metric", "nestvec", "95 % interval", "MTEB", "difference"))
    if data("scifact") is None:
        out.missing = dict.fromkeys(KEYS, "no data folder; set NESTVEC_DATA")
        return out
    folder = data("scifact").parent  # type: ignore[union-attr]  # seen above
    encoder = Remembering(load("default", size="L0" if quick else "full"))
    differences = []
    for name in NAMES:
        kind = TASKS[name].load(folder)
        ours = kind.measure(Model(encoder))
        out.figures[name] = round(ours.score, 6)
        theirs = mteb_score(name, kind, encoder)
        if theirs is None:
            out.missing |= dict.fromkeys((f"{name}_mteb", "max_difference"), "mteb is not installed")
        else:
            out.figures[f"{name}_mteb"] = round(theirs, 6)
            differences.append(abs(ours.score - theirs))
        gap = "-" if theirs is None else f"{ours.score - theirs:+.1e}"
        interval = ours.interval()
        told = f"{interval.low:.4f} to {interval.high:.4f}"
        out.rows.append((name, kind.metric, round(ours.score, 5), told, theirs, gap))
        print(*out.rows[-1], file=sys.stderr, flush=True)
    if len(differences) == len(NAMES):
        out.figures["max_difference"] = round(max(differences), 6)
    _smaller(out, folder, quick=quick)
    out.notes.append("Both were handed the same encoder; each text is encoded once. 42 is the seed of both.")
    return out


def _smaller(out: Outcome, folder: Path, *, quick: bool) -> None:
    """The order of many systems on down-sampled tasks: the worst rank correlation, pairs turned round, time."""
    found, mining = _downsampled.measure(folder, quick=quick)
    out.figures["downsampled_spearman"] = round(min(one.spearman for one in found), 4)
    out.figures["downsampled_turned"] = sum(len(one.turned) for one in found)
    shares = [one.cpu for one in found if one.cpu is not None]
    out.figures["downsampled_cpu"] = round(float(np.mean(shares)), 4)
    out.notes.append(f"To choose the documents of the smaller tasks took {mining:.1f} CPU-s, once for all systems.")
    for one in found:
        pairs = f"{len(one.turned)} of {one.separable} separable pairs turned"
        share = "-" if one.cpu is None else f"{one.cpu:.0%} of the time"
        out.rows.append(
            (f"{one.task}, {one.systems} systems", "rank corr.", round(one.spearman, 4), pairs, None, share)
        )


def mteb_score(name: str, kind: Any, encoder: Remembering) -> float | None:
    """The main score that MTEB gives; None if it is not installed."""
    try:
        from nestvec.apps.mteb import as_model
    except MissingExtraError:
        return None
    import mteb

    with tempfile.TemporaryDirectory() as folder:
        cache = mteb.ResultCache(cache_path=Path(folder))
        found = mteb.evaluate(as_model(encoder), [mteb_task(name, kind)], cache=cache, show_progress_bar=False)
    return float(found.task_results[0].scores["test"][0]["main_score"])


def mteb_task(name: str, kind: Any) -> Any:
    """The same data as a task of MTEB."""
    from datasets import Dataset, DatasetDict
    from mteb.abstasks import AbsTaskClassification, AbsTaskClustering, AbsTaskRetrieval, AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    bases: dict[type, tuple[type, str]] = {
        Retrieval: (AbsTaskRetrieval, "ndcg_at_10"),
        Sts: (AbsTaskSTS, "cosine_spearman"),
        Classification: (AbsTaskClassification, "accuracy"),
        Clustering: (AbsTaskClustering, "v_measure"),
    }
    base, score = bases[type(kind)]

    def content() -> Any:
        if isinstance(kind, Retrieval):
            corpus = [{"id": r.id, "title": r.title, "text": r.text} for r in kind.documents]
            queries = [{"id": q, "text": t} for q, t in kind.queries.items()]
            judged = {q: {d: int(g) for d, g in gains.items()} for q, gains in kind.judged.items()}
            split = {"corpus": Dataset.from_list(corpus), "queries": Dataset.from_list(queries)}
            return {"default": {"test": {**split, "relevant_docs": judged, "top_ranked": None}}}
        if isinstance(kind, Sts):
            pairs = {"sentence1": kind.first, "sentence2": kind.second, "score": kind.scores.tolist()}
            return DatasetDict(test=Dataset.from_dict(pairs))
        if isinstance(kind, Classification):
            train, test = ((kind.train, kind.train_labels), (kind.test, kind.test_labels))
            return DatasetDict(
                train=Dataset.from_dict(dict(zip(("text", "label"), train, strict=True))),
                test=Dataset.from_dict(dict(zip(("text", "label"), test, strict=True))),
            )
        return DatasetDict(test=Dataset.from_dict({"sentences": kind.texts, "labels": kind.labels}))

    def load_data(self: Any, num_proc: int | None = None, **more: Any) -> None:
        del num_proc, more
        self.dataset, self.data_loaded = content(), True

    def meta() -> Any:
        return TaskMetadata(
            name=f"Local{name.title().replace('_', '')}", description="A local copy.", main_score=score,
            eval_langs=["eng-Latn"], eval_splits=["test"], type=kind.mteb_type,
            dataset={"path": "local/none", "revision": "1"},
        )  # fmt: skip

    body: dict[str, Any] = {"metadata": meta(), "load_data": load_data}
    if isinstance(kind, Sts):
        body |= {"min_score": 0, "max_score": 5}
    if isinstance(kind, Clustering):
        body |= {"max_fraction_of_documents_to_embed": None}
    return type(f"Local{name}", (base,), body)()
