"""Fixed-dimensional encodings beside fastembed's: speed on one core, and how far from a slow reference."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np

from benchmarks.harness import Outcome, ratio, times
from nestvec.core.types import Array
from nestvec.kernels import partition
from nestvec.reducers.fde import FDE, SHAPES

DIM, TOKENS, QUERY = 128, 100, 32
KEYS = ("docs_per_s", "vs_fastembed", "query_vs_fastembed", "max_error")
MAIN = "10240"


def run(*, quick: bool = False) -> Outcome:
    """Documents of 100 tokens, and queries of 32, to encodings of every named length."""
    out = Outcome(dict.fromkeys(KEYS), ("what", "documents/s", "µs a query", "recall@10 of a fifth"))
    n, repeats = (100, 5) if quick else (500, 9)
    tokens, offsets = unit(np.random.default_rng(0), n)
    with one_thread():
        for name in SHAPES:
            ours(out, name, tokens, offsets, repeats=repeats)
        peer(out, tokens, offsets, repeats=repeats)
    out.figures["max_error"] = error(tokens[: 20 * TOKENS], offsets[:21])
    out.notes.append(f"{n} documents of {TOKENS} tokens and queries of {QUERY}, {DIM} dimensions; medians, one thread.")
    out.notes.append(
        "Tokens are random near 200 topics, eight of them to a document. The last column, MaxSim's ten best among the "
        "best fifth by encodings, shows that nothing is broken; it says nothing of real tokens."
    )
    out.notes.append("max_error: the largest difference to the construction in float64, token by token.")
    return out


def unit(rng: np.random.Generator, n: int) -> tuple[Array, Array]:
    """``n`` documents of tokens around a few topics each."""
    topics = rng.standard_normal((200, DIM))
    near = topics[rng.integers(0, 200, (n, 8))][np.arange(n)[:, None], rng.integers(0, 8, (n, TOKENS))]
    x = (near + 0.7 * rng.standard_normal((n, TOKENS, DIM))).reshape(-1, DIM)
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return x, np.arange(n + 1) * TOKENS


@contextmanager
def one_thread() -> Iterator[None]:
    """BLAS on one core, where that can be asked for from within; else the environment has to say it."""
    if importlib.util.find_spec("threadpoolctl") is None:
        yield
        return
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


def ours(out: Outcome, name: str, tokens: Array, offsets: Array, *, repeats: int) -> None:
    """One shape, compiled."""
    fde = FDE.fit(tokens, shape=name)
    way = partition.kernel_of(fde.shape.bits, fde.shape.inner).compile_now()
    query, one = tokens[:QUERY], np.array([0, QUERY])
    docs, queries = times(
        lambda: fde.documents(tokens, offsets), often(lambda: fde.queries(query, one), 50), repeats=repeats
    )
    speed = (len(offsets) - 1) / statistics.median(docs)
    out.rows.append((f"{name} ({way})", round(speed), round(1e6 * statistics.median(queries) / 50, 1),
                     round(recall(fde, tokens, offsets), 3)))  # fmt: skip
    if name == MAIN:
        out.figures["docs_per_s"] = round(speed)


def often(work: Callable[[], object], many: int) -> Callable[[], object]:
    """A call of some microseconds cannot be timed alone."""

    def repeated() -> None:
        for _ in range(many):
            work()

    return repeated


def recall(fde: FDE, tokens: Array, offsets: Array) -> float:
    """Of the ten best by MaxSim among the best fifth by encodings, for 20 noisy parts of documents as queries."""
    rng = np.random.default_rng(1)
    n = len(offsets) - 1
    chosen = rng.choice(n, min(20, n), replace=False)
    rows = np.concatenate([offsets[i] + rng.choice(TOKENS, QUERY, replace=False) for i in chosen])
    queries = (tokens[rows] + 0.05 * rng.standard_normal((len(rows), DIM))).astype(np.float32)
    start = np.arange(len(chosen) + 1) * QUERY
    return fde.recall((queries, start), (tokens, offsets)).at(n // 5)


def peer(out: Outcome, tokens: Array, offsets: Array, *, repeats: int) -> None:
    """fastembed's MUVERA with the same parameters, document by document as its interface has it."""
    if importlib.util.find_spec("fastembed") is None:
        for key in ("vs_fastembed", "query_vs_fastembed"):
            out.missing[key] = "fastembed is not installed"
        return
    from fastembed.postprocess import Muvera

    shape = SHAPES[MAIN]
    theirs = Muvera(DIM, k_sim=shape.bits, dim_proj=shape.inner, r_reps=shape.repetitions)
    few = min(50, len(offsets) - 1)
    documents = [tokens[a:b] for a, b in pairwise(offsets[: few + 1])]
    fde, query, one = FDE.fit(tokens, shape=MAIN), tokens[:QUERY], np.array([0, QUERY])
    mine, docs, my_query, queries = times(
        lambda: fde.documents(tokens[: few * TOKENS], offsets[: few + 1]),
        lambda: [theirs.process_document(x) for x in documents],
        often(lambda: fde.queries(query, one), 50),
        often(lambda: theirs.process_query(query), 50),
        repeats=repeats,
    )
    length = len(theirs.process_query(query))
    out.rows.append((f"fastembed {length}", round(few / statistics.median(docs)),
                     round(1e6 * statistics.median(queries) / 50, 1), ""))  # fmt: skip
    out.figures["vs_fastembed"] = round(ratio(docs, mine), 1)
    out.figures["query_vs_fastembed"] = round(ratio(queries, my_query), 1)


def error(tokens: Array, offsets: Array) -> float:
    """The largest difference to the definition, worked out one token and one cell at a time in float64."""
    fde = FDE.fit(tokens, shape=MAIN)
    found, worst = fde.documents(tokens, offsets), 0.0
    for i in range(len(offsets) - 1):
        worst = max(worst, float(np.abs(found[i] - slow(fde, tokens[offsets[i] : offsets[i + 1]])).max()))
    return worst


def slow(fde: FDE, x: Array) -> Array:
    """The encoding of one document."""
    whole = []
    for planes, signs in zip(fde.planes.astype(np.float64), fde.signs.astype(np.float64), strict=True):
        cell = np.array([sum(int(g @ token > 0) << b for b, g in enumerate(planes)) for token in x])
        y = x @ signs.T / np.sqrt(len(signs) * len(fde.planes))
        for c in range(2 ** len(planes)):
            mine = y[cell == c]
            nearest = np.argmin([(int(other) ^ c).bit_count() for other in cell])
            whole.append(mine.mean(axis=0) if len(mine) else y[nearest])
    return np.concatenate(whole)
