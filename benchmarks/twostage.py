"""One query over a million one-bit codes and the best hundred rescored: milliseconds, memory, and what is lost."""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks._vectors import minilm, synthetic
from benchmarks.harness import Outcome
from nestvec import Collection, Record, Space, Vectors
from nestvec.codecs.rabitq import RaBitQ
from nestvec.codecs.sign import Sign
from nestvec.core.coding import Codec
from nestvec.core.protocols import Searcher
from nestvec.core.types import Array
from nestvec.kernels import signscan
from nestvec.metrics import bootstrap_mean, judge, ndcg
from nestvec.search.flat import Flat, Rows
from nestvec.search.funnel import Funnel
from nestvec.search.twostage import TwoStage

DIM, K, M = 384, 10, 100
_KEPT = "collection of size b1"
KEYS = ("ms_per_query_core", "ram_mb", "vs_faiss_binary_rescored", "scifact_loss")


def run(*, quick: bool) -> Outcome:
    """A million synthetic vectors in a memory map, a hundred queries one by one, and scifact."""
    out = Outcome(dict.fromkeys(KEYS), ("search", "rows", "recall@10", "cpu ms a query", "wall ms", "worst", "RAM MB"))
    way = signscan.kernel.compile_now()
    n = 100_000 if quick else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        x = np.memmap(Path(folder) / "x", np.float32, "w+", shape=(n, DIM))
        synthetic(n, DIM, out=x)
        x = np.memmap(Path(folder) / "x", np.float32, "r", shape=(n, DIM))
        large(out, x, synthetic(100, DIM, seed=1))
    judged = minilm("scifact")
    if judged is None:
        out.missing["scifact_loss"] = "no data folder; set NESTVEC_DATA"
    else:
        small(out, judged.documents, judged.queries, judged.judgements)
    out.notes.append(
        f"Scans of one query ran on the {way} path, in one thread; vectors are a memory map in the page cache."
    )
    out.notes.append("RAM MB: codes, factors and row ids of 8 bytes; not the float vectors, which stay on disk.")
    out.notes.append(
        "bus_ms: what reading the codes and their numbers alone takes in one thread; no scan can take less."
    )
    return out


def flat_over(x: Array) -> Flat:
    return Flat((Rows(np.arange(len(x)), x),), x.shape[1])


def recall(truth: Array, found: Array) -> float:
    return float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)]))


def large(out: Outcome, x: Array, queries: Array) -> None:
    """Ours with one bit, two ways, beside faiss's binary index, all rescored."""
    flat = flat_over(x)
    truth = flat.search(queries, K).ids
    sample = np.asarray(x[:: max(len(x) // 20_000, 1)])
    for label, codec in (("rabitq@1, 1 bit", RaBitQ.fit(sample)), ("sign@1", Sign.fit(sample))):
        one_by_one(out, label, codec, flat, queries, truth)
    theirs = binary(out, x, queries, truth)
    if theirs is None:
        out.missing["vs_faiss_binary_rescored"] = "faiss is not installed"
    else:
        out.figures["vs_faiss_binary_rescored"] = round(float(theirs) / float(out.figures["ms_per_query_core"] or 1), 3)


@dataclass
class Clock:
    """Seconds of single queries: on the wall, and of all cores together, which a busy machine does not lengthen."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)

    def __call__(self, work: Callable[[], Array]) -> Array:
        start = time.perf_counter(), time.process_time()
        got = work()
        self.wall.append(time.perf_counter() - start[0])
        self.cpu.append(time.process_time() - start[1])
        return got

    def row(self) -> list[float]:
        """Milliseconds: median of either, and the longest on the wall."""
        return [round(1e3 * x, 2) for x in (statistics.median(self.cpu), statistics.median(self.wall), max(self.wall))]


def one_by_one(out: Outcome, label: str, codec: Codec, flat: Flat, queries: Array, truth: Array) -> None:
    start = time.perf_counter()
    built = TwoStage.build(codec, flat, m=M)
    out.notes.append(f"{label}: encoded {len(flat) / (time.perf_counter() - start):,.0f} rows a second.")
    for m in (M, 3 * M):
        search, clock = replace(built, m=m), Clock()
        search.search(queries[:3], K)
        found = [clock(partial(search_ids, search, query)) for query in queries]
        got, mb = recall(truth, np.concatenate(found)), search.nbytes / 1e6
        out.rows.append((f"{label}, best {m} rescored", len(flat), round(got, 4), *clock.row(), round(mb, 1)))
        print(*out.rows[-1], file=sys.stderr, flush=True)
        if isinstance(codec, RaBitQ):
            out.figures |= {f"recall10_m{m}": round(got, 4), "ram_mb": round(mb, 1)}
            if m == M:
                out.figures |= {"ms_per_query_core": clock.row()[0], "bus_ms": bus(built.scan)}


def bus(scan: object) -> float:
    """Milliseconds to read words and the two numbers of each row in one thread, doing nothing else: the least of 20."""
    assert isinstance(scan, signscan.SignScan)
    words, numbers = scan.words.reshape(-1), scan.factors[:2].view(np.uint32).reshape(-1)
    clock = Clock()
    for _ in range(20):
        clock(lambda: np.bitwise_or.reduce(words) | np.bitwise_or.reduce(numbers))
    return round(1e3 * min(clock.cpu), 2)


def search_ids(search: TwoStage, query: Array) -> Array:
    return search.search(query[None], K).ids


def binary(out: Outcome, x: Array, queries: Array, truth: Array) -> float | None:
    """faiss IndexBinaryFlat over plain signs, the best hundred rescored."""
    if importlib.util.find_spec("faiss") is None:
        return None
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexBinaryFlat(DIM)
    signs = np.packbits(np.asarray(x) > 0, axis=1, bitorder="little")
    index.add(signs)

    def once(query: Array) -> Array:
        candidates = np.sort(index.search(np.packbits(query > 0, bitorder="little")[None], M)[1][0])
        return candidates[np.argsort(-(x[candidates] @ query))[:K]]

    clock = Clock()
    found = [clock(partial(once, query)) for query in queries]
    got = round(recall(truth, np.array(found)), 4)
    out.rows.append(
        (f"faiss IndexBinaryFlat, best {M} rescored", len(x), got, *clock.row(), round(signs.nbytes / 1e6, 1))
    )
    return clock.row()[0]


def small(out: Outcome, documents: Array, queries: Array, judgements: list[dict[int, float]]) -> None:
    """nDCG@10 on scifact through two stages, minus that of exact search."""
    flat = flat_over(documents)
    sample = documents
    searches: dict[str, Searcher] = {
        "exact": flat,
        "rabitq@1, 1 bit": TwoStage.build(RaBitQ.fit(sample), flat, m=M),
        "sign@1": TwoStage.build(Sign.fit(sample), flat, m=M),
        "funnel 64, 128": Funnel(flat, widths=(64, 128), keep=(200, 100)),
    }
    values = {}
    for name, search in searches.items():
        found = [[str(i) for i in row] for row in search.search(queries, K).ids.tolist()]
        ranked, ideal = judge(found, [{str(i): g for i, g in gains.items()} for gains in judgements], k=K)
        values[name] = ndcg(ranked, ideal)
    values[_KEPT] = collection(out, documents, queries, judgements)
    for name, value in values.items():
        out.notes.append(f"scifact nDCG@10, {name}: {bootstrap_mean(value)}")
    out.figures["scifact_loss"] = round(float((values["exact"] - values[_KEPT]).mean()), 5)


def collection(out: Outcome, documents: Array, queries: Array, judgements: list[dict[int, float]]) -> Array:
    """nDCG@10 of each query through a collection on disk of one bit a dimension, and the memory that it takes."""
    space = Space("given", weights="given", pooling="given", dim=documents.shape[1])
    with tempfile.TemporaryDirectory() as folder:
        with Collection.create(Path(folder) / "c", encoder=None, space=space, size="b1") as made:
            made.add([Record(str(i), str(i)) for i in range(len(documents))], vectors=Vectors(documents, space))
        with Collection.open(Path(folder) / "c") as opened:
            hits = opened.find(Vectors(queries, space), K).ids
            told = opened.info()["codes"]
    if not isinstance(told, dict):
        raise TypeError(f"a collection of {len(documents)} records must have codes, got {told}.")
    rows = len(documents) * (int(str(told["bytes_per_vector"])) + 8)
    out.figures["scifact_ram_ratio"] = round(documents.nbytes / rows, 2)
    out.figures["scifact_ram_ratio_with_rotation"] = round(documents.nbytes / int(str(told["memory_bytes"])), 2)
    out.notes.append(
        f"The collection: {told['codec']}, {told['memory_bytes']} bytes in memory (codes, row ids, rotation), vectors "
        f"of {documents.nbytes} bytes on disk, best {told['m']} rescored, recall@10 {told['recall']} measured."
    )
    found = [[str(rid - 1) for rid in row] for row in hits.tolist()]  # row ids count from 1
    ranked, ideal = judge(found, [{str(i): g for i, g in gains.items()} for gains in judgements], k=K)
    return ndcg(ranked, ideal)
