"""Exact search against BLAS, faiss and the memory bus, with and without filters."""

from __future__ import annotations

import importlib.util
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from benchmarks.harness import Outcome, ratio, times
from nestvec.core.types import Array
from nestvec.kernels import gather
from nestvec.search.flat import Flat, Rows

DIM, K = 384, 10


def run(*, quick: bool = False) -> Outcome:
    """256 queries over 50,000 rows, one over 1,000,000, and three filters."""
    few, many, repeats = (20_000, 100_000, 5) if quick else (50_000, 1_000_000, 9)
    compiled = gather.kernel.compile_now()
    out = Outcome({}, ["what", "rows", "queries", "ms", "ms of the yardstick", "ratio"])
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        small, large = unit(rng, few, Path(folder) / "small"), unit(rng, many, Path(folder) / "large")
        queries = np.array(unit(rng, 256, Path(folder) / "queries"))
        batch(out, small, queries, repeats=repeats)
        single(out, large, queries[:1], repeats=repeats)
        cases = [(small, 256), (small, 64), (small, 1), (large, 64), (large, 1)]
        filters(out, cases, queries, folder=Path(folder), repeats=repeats)
    out.notes.append(f"Medians of {repeats} runs taken in turn; a ratio is the median over pairs of runs.")
    out.notes.append("All rows are read-only memory maps of files that are in the page cache.")
    out.notes.append(
        f"Single queries over scattered rows ran on the {compiled} path, compiled before the clock started."
    )
    return out


def unit(rng: np.random.Generator, n: int, path: Path) -> Array:
    """``[n, DIM]`` random unit vectors in a read-only memory map."""
    with path.open("wb") as file:
        for i in range(0, n, 50_000):
            x = rng.standard_normal((min(50_000, n - i), DIM), dtype=np.float32)
            file.write((x / np.linalg.norm(x, axis=1, keepdims=True)).data)
    return np.memmap(path, np.float32, "r", shape=(n, DIM))


def flat_over(x: Array) -> Flat:
    return Flat((Rows(np.arange(len(x)), x),), DIM)


def blas(x: Array, queries: Array) -> Array:
    """The plain way: every score, then the best of them, sorted."""
    scores = queries @ x.T
    best = np.argpartition(scores, len(x) - K, axis=1)[:, len(x) - K :]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
    return np.take_along_axis(best, order, axis=1)


def add(out: Outcome, what: str, shape: tuple[int, int], mine: list[float], theirs: list[float]) -> float:
    """One row of the table; gives back the ratio."""
    share = ratio(mine, theirs)
    ms = [round(1e3 * statistics.median(t), 3) for t in (mine, theirs)]
    out.rows.append([what, f"{shape[0]:,}", shape[1], *ms, round(share, 3)])
    return share


def batch(out: Outcome, x: Array, queries: Array, *, repeats: int) -> None:
    """Ours, BLAS and faiss on the same arrays; and that ours is never slower at other batch sizes."""
    flat, plain = flat_over(x), np.asarray(x)
    assert (flat.search(queries, K).ids == blas(plain, queries)).mean() > 0.999  # rounding may swap two neighbours
    work: list[Callable[[], object]] = [lambda: flat.search(queries, K), lambda: blas(plain, queries)]
    names = ["BLAS and top-k"]
    if importlib.util.find_spec("faiss"):
        import faiss

        index = faiss.IndexFlatIP(DIM)
        index.add(plain)
        work.append(lambda: index.search(queries, K))
        names.append("faiss IndexFlatIP, defaults")
    if importlib.util.find_spec("torch"):
        import torch

        tx, tq = torch.from_numpy(np.array(x)), torch.from_numpy(queries)
        work.append(lambda: torch.topk(tq @ tx.T, K, dim=1))
        names.append("torch matmul and topk")
    ours, *others = times(*work, repeats=repeats)
    ratios = {name: add(out, f"ours / {name}", (len(x), 256), ours, t) for name, t in zip(names, others, strict=True)}
    out.figures["vs_blas"] = round(ratios["BLAS and top-k"], 3)
    theirs = ratios.get("faiss IndexFlatIP, defaults")
    out.figures["vs_faiss"] = None if theirs is None else round(1 / theirs, 2)
    if theirs is None:
        out.missing["vs_faiss"] = "faiss is not installed"
    for q in (1, 2, 4, 8, 16, 64):
        some = queries[:q]
        pair = (partial(flat.search, some, K), partial(blas, plain, some))
        ours, other = times(*pair, repeats=repeats)
        add(out, "ours / BLAS and top-k", (len(x), q), ours, other)


def single(out: Outcome, x: Array, query: Array, *, repeats: int) -> None:
    """One query, against the least time in which the same bytes can be read."""
    flat, whole = flat_over(x), np.asarray(x).reshape(-1)
    half = len(whole) // 2
    parts = [whole[:half], whole[half:]]
    words = [np.asarray(p).view(np.uint64) for p in parts]
    with ThreadPoolExecutor(2) as pool:
        work: list[Callable[[], object]] = [
            lambda: flat.search(query, K),
            lambda: list(pool.map(np.bitwise_or.reduce, words)),
            lambda: list(pool.map(np.max, parts)),
            lambda: list(pool.map(lambda p: np.dot(p, p), parts)),
        ]
        ours, *reads = times(*work, repeats=repeats)
    bound = min(reads, key=statistics.median)  # the fastest way of reading is the fairest bound
    out.figures["single_vs_bandwidth"] = round(add(out, "ours / reading it all", (len(x), 1), ours, bound), 3)
    speed = whole.nbytes / statistics.median(bound) / 1e9
    out.notes.append(
        f"Bandwidth: {speed:.1f} GB/s, the best of an OR of all words, a maximum and a dot product, in two threads."
    )


def filters(out: Outcome, cases: list[tuple[Array, int]], queries: Array, *, folder: Path, repeats: int) -> None:
    """Filtered search against our own search over a file of just the allowed rows."""
    rng = np.random.default_rng(1)
    slowest, recalls = 0.0, []
    for (x, q), share in ((case, share) for case in cases for share in (0.1, 0.01, 0.001)):
        flat, some = flat_over(x), queries[:q]
        allow = np.sort(rng.choice(len(x), int(len(x) * share), replace=False))
        np.asarray(x)[allow].tofile(folder / "allowed")
        compact = flat_over(np.memmap(folder / "allowed", np.float32, "r", shape=(len(allow), DIM)))
        found, truth = flat.search(some, K, allow=allow).ids, allow[compact.search(some, K).ids]
        recalls.append(float(np.mean([np.isin(a, b).mean() for a, b in zip(truth, found, strict=True)])))
        often = range(
            int(np.clip(2e5 / (len(allow) * (q + 20)), 1, 100))
        )  # a tenth of a millisecond cannot be timed alone
        pair = (partial(flat.search, some, K, allow=allow), partial(compact.search, some, K))
        ours, scan = times(*(partial(many_times, often, call) for call in pair), repeats=2 * repeats)
        ours, scan = [t / len(often) for t in ours], [t / len(often) for t in scan]
        slowest = max(slowest, add(out, f"{share:.1%} allowed / those alone", (len(x), q), ours, scan))
    out.figures |= {"filter_recall_min": min(recalls), "filter_vs_scan_max": round(slowest, 3)}


def many_times(often: range, call: Callable[[], object]) -> None:
    for _ in often:
        call()
