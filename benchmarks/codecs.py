"""Recall@10, bytes and time of every codec beside faiss, on real vectors."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from benchmarks._vectors import debian, minilm
from benchmarks.harness import Outcome
from nestvec.codecs import CODECS
from nestvec.core.coding import Codec
from nestvec.core.types import Array
from nestvec.metrics import bootstrap_mean
from nestvec.search.flat import Flat, Rows
from nestvec.search.twostage import TwoStage

K = 10
KEYS = ("onebit_rescored_recall10", "onebit_bytes", "int8_recall10", "bebr2_minus_sign2x", "distillvq_minus_opq")
_OURS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("float16@1", {}),
    ("bfloat16@1", {}),
    ("int8@1", {}),
    ("int8_rows@1", {}),
    ("int4@1", {}),
    ("rabitq@1", {"bits": 8}),
    ("rabitq@1", {"bits": 4}),
    ("rabitq@1", {"bits": 2}),
    ("rabitq@1", {"bits": 1}),
    ("sign@1", {}),
    ("sign@1", {"wide": 2}),  # times d
    ("bebr@1", {"bits": 1}),
    ("bebr@1", {"bits": 2}),
    ("pq@1", {}),
    ("opq@1", {}),
    ("lr2vq@1", {}),
    ("distill_vq@1", {}),
)


@dataclass
class Case:
    """Vectors to search, queries, vectors to train on, and the truth."""

    name: str
    x: Array
    queries: Array
    sample: Array
    truth: Array

    def recalls(self, found: Array) -> Array:
        """Of each query."""
        return np.array([np.isin(a, b).mean() for a, b in zip(self.truth, found, strict=True)])


def run(*, quick: bool) -> Outcome:
    """Fit on a sample, encode all, and compare the ten best by code with the ten best by float."""
    out = Outcome(
        dict.fromkeys(KEYS), ("codec", "bytes", "recall@10", "±", "rescored 100", "fit s", "encode/s", "µs a query")
    )
    case = judged() if quick else packages()
    if case is None:
        out.missing = dict.fromkeys(KEYS, "no data folder; set NESTVEC_DATA")
        return out
    kept: dict[str, Array] = {}
    for name, asked in _OURS:
        settings = {key: value * case.x.shape[1] if key == "wide" else value for key, value in asked.items()}
        label = name + "".join(f" {key}={value}" for key, value in settings.items())
        kept[label] = ours(out, case, label, partial(CODECS[name].fit, case.sample, **settings))
    dim = case.x.shape[1]
    figures = {
        "int8_recall10": kept["int8_rows@1"].mean(),
        "float16_recall10": kept["float16@1"].mean(),
        "bebr2_minus_sign2x": (kept["bebr@1 bits=2"] - kept[f"sign@1 wide={2 * dim}"]).mean(),
        "distillvq_minus_opq": (kept["distill_vq@1"] - kept["opq@1"]).mean(),
    }
    out.figures |= {key: round(float(value), 5) for key, value in figures.items()}
    out.figures |= onebit(case)
    peers(out, case)
    for key, (a, b) in {
        "bebr2_minus_sign2x": ("bebr@1 bits=2", f"sign@1 wide={2 * dim}"),
        "distillvq_minus_opq": ("distill_vq@1", "opq@1"),
    }.items():
        out.notes.append(f"{key}: {bootstrap_mean(kept[a] - kept[b])}, query by query")
    out.notes.append(
        f"{case.name}: {len(case.x):,} vectors, {len(case.queries)} queries, {len(case.sample):,} to fit on."
    )
    out.notes.append("Time of a query: 64 at once, all cores; scores and the ten best of them.")
    out.notes.append(
        "int8_recall10 is of int8_rows@1. Row ids, 8 bytes each, are not counted; nor is what is stored once."
    )
    return out


def judged() -> Case | None:
    """Documents of two judged collections, and their queries."""
    sets = [minilm(name) for name in ("cranfield", "scifact")]
    found = [s for s in sets if s is not None]
    if not found:
        return None
    x = np.concatenate([s.documents for s in found])
    queries = np.concatenate([s.queries for s in found])
    return Case("cranfield and scifact", x, queries, x, exact(x, queries))


def packages() -> Case | None:
    """Descriptions of Debian packages, a thousand of them held out as queries."""
    x = debian(make=True)
    if x is None:
        return None
    order = np.random.default_rng(0).permutation(len(x))
    x, queries = x[order[1000:]], x[order[:1000]]
    return Case("Debian descriptions", x, queries, x[:20_000], exact(x, queries))


def exact(x: Array, queries: Array) -> Array:
    return flat_over(x).search(queries, K).ids


def flat_over(x: Array) -> Flat:
    return Flat((Rows(np.arange(len(x)), x),), x.shape[1])


def ours(out: Outcome, case: Case, label: str, fit: Callable[[], Codec]) -> Array:
    """One row of the table; gives back the recall of each query."""
    start = time.perf_counter()
    codec = fit()
    fitted = time.perf_counter()
    codes = codec.encode(case.x)
    encoded = time.perf_counter()
    found = np.concatenate(
        [best(codec.scores(case.queries[i : i + 64], codes)) for i in range(0, len(case.queries), 64)]
    )
    asked = time.perf_counter()
    recalls = case.recalls(found[:, :K])
    interval = bootstrap_mean(recalls)
    out.rows.append(
        (
            label, codec.bytes_per_vector, round(interval.mean, 4), round((interval.high - interval.low) / 2, 4),
            round(float(case.recalls(found).mean()), 4), round(fitted - start, 1),
            round(len(codes) / (encoded - fitted)), round(1e6 * (asked - encoded) / len(case.queries)),
        )
    )  # fmt: skip
    print(*out.rows[-1], file=sys.stderr, flush=True)
    return recalls


def best(scores: Array) -> Array:
    """The hundred best columns of each row, best first."""
    few = np.argpartition(-scores, 100, axis=1)[:, :100]
    order = np.argsort(-np.take_along_axis(scores, few, axis=1), axis=1)
    return np.take_along_axis(few, order, axis=1)


def onebit(case: Case) -> dict[str, float]:
    """RaBitQ with one bit and the best hundred rescored, through the searcher itself."""
    search = TwoStage.build(CODECS["rabitq@1"].fit(case.sample, bits=1), flat_over(case.x), m=100)
    recall = case.recalls(search.search(case.queries, K).ids).mean()
    return {
        "onebit_rescored_recall10": round(float(recall), 5),
        "onebit_bytes": CODECS["rabitq@1"].fit(case.sample[:1], bits=1).bytes_per_vector,
    }


def peers(out: Outcome, case: Case) -> None:
    """What faiss does with the same vectors."""
    if importlib.util.find_spec("faiss") is None:
        out.notes.append("faiss is not installed: no peers.")
        return
    import faiss

    d, product = case.x.shape[1], faiss.METRIC_INNER_PRODUCT

    def rotated() -> Any:
        turn = faiss.OPQMatrix(d, d // 8)
        turn.niter = 20  # as many rounds as ours; the default is 50
        return faiss.IndexPreTransform(turn, faiss.IndexPQ(d, d // 8, 8, product))

    makers: dict[str, tuple[Callable[[], Any], int]] = {
        "faiss SQ fp16": (lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_fp16, product), 2 * d),
        "faiss SQ8": (lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_8bit, product), d),
        "faiss SQ4": (lambda: faiss.IndexScalarQuantizer(d, faiss.ScalarQuantizer.QT_4bit, product), d // 2),
        "faiss RaBitQ": (lambda: faiss.IndexRaBitQ(d, product), d // 8 + 8),
        "faiss RR,RaBitQ": (lambda: faiss.index_factory(d, "RR,RaBitQ", product), d // 8 + 8),
        "faiss PQ": (lambda: faiss.IndexPQ(d, d // 8, 8, product), d // 8),
        "faiss OPQ": (rotated, d // 8),
    }
    for label, (make, size) in makers.items():
        try:
            index = make()
            start = time.perf_counter()
            index.train(case.sample)
            trained = time.perf_counter()
            index.add(case.x)
            added = time.perf_counter()
            found = np.concatenate(
                [index.search(case.queries[i : i + 64], 100)[1] for i in range(0, len(case.queries), 64)]
            )
        except (RuntimeError, AttributeError) as error:
            out.notes.append(f"{label}: {str(error).splitlines()[0]}")
            continue
        asked = time.perf_counter()
        interval = bootstrap_mean(case.recalls(found[:, :K]))
        out.rows.append(
            (
                label, size, round(interval.mean, 4), round((interval.high - interval.low) / 2, 4),
                round(float(case.recalls(found).mean()), 4), round(trained - start, 1),
                round(len(case.x) / (added - trained)), round(1e6 * (asked - added) / len(case.queries)),
            )
        )  # fmt: skip
        print(*out.rows[-1], file=sys.stderr, flush=True)
