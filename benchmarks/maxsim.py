"""MaxSim of one query with many items beside torch and maxsim-cpu, on one core, and what fewer bits change."""

from __future__ import annotations

import importlib.util
import statistics
from collections.abc import Callable

import numpy as np

from benchmarks.fde import DIM, QUERY, TOKENS, one_thread, unit
from benchmarks.harness import Outcome, ratio, times
from nestvec.codecs import CODECS
from nestvec.core.types import Array
from nestvec.kernels import maxsim_codes, ragged
from nestvec.kernels.maxsim import maxsim, maxsim_coded

KEYS = ("docs_per_s", "vs_torch", "top10_agreement", "float32_docs_per_s", "onebit_docs_per_s", "onebit_top10")
_CODES: tuple[tuple[str, dict[str, int]], ...] = (
    ("int8_rows@1", {}),
    ("residual@1", {"bits": 4}),
    ("residual@1", {"bits": 2}),
    ("rabitq@1", {"bits": 1}),
)


def run(*, quick: bool = False) -> Outcome:
    """32 query tokens, items of 100, 128 dimensions."""
    out = Outcome(dict.fromkeys(KEYS), ("tokens", "documents/s", "bytes a token", "of the ten best by float32"))
    n, asked, repeats = (500, 20, 7) if quick else (2000, 100, 15)
    rng = np.random.default_rng(0)
    tokens, offsets = unit(rng, n)
    queries = questions(rng, tokens, offsets, asked)
    way = {ragged.kernel.compile_now(), maxsim_codes.kernel.compile_now()}
    with one_thread():
        truth = [best(maxsim(q, tokens, offsets)) for q in queries]
        work: dict[str, Callable[[Array], Array]] = {
            "float32": lambda q: maxsim(q, tokens, offsets),
            "float16": lambda q: maxsim(q, half, offsets),
        }
        half = tokens.astype(np.float16)
        size = {"float32": 4.0 * DIM, "float16": 2.0 * DIM}
        for name, settings in _CODES:
            codec = CODECS[name].fit(tokens[:: max(len(tokens) // 20_000, 1)], **settings)
            codes, label = codec.encode(tokens), f"{name}, {8 * codec.bytes_per_vector / DIM:.1f} bits a dimension"
            work[label] = lambda q, codec=codec, codes=codes: maxsim_coded(codec, q, codes, offsets)  # type: ignore[misc]
            size[label] = codec.bytes_per_vector
        others = peers(out, tokens, offsets)
        calls = {**work, **others}
        taken = dict(
            zip(calls, times(*(lambda f=f: f(queries[0]) for f in calls.values()), repeats=repeats), strict=True)
        )
        agreed = {name: agreement(f, queries, truth) for name, f in work.items()}
    for name, seconds in taken.items():
        speed = round(n / statistics.median(seconds))
        out.rows.append((name, speed, size.get(name, 4 * DIM), round(agreed[name], 4) if name in agreed else ""))
    int8, one = (next(name for name in work if name.startswith(start)) for start in ("int8", "rabitq"))
    out.figures["docs_per_s"] = round(n / statistics.median(taken[int8]))
    out.figures["float32_docs_per_s"] = round(n / statistics.median(taken["float32"]))
    out.figures["onebit_docs_per_s"] = round(n / statistics.median(taken[one]))
    out.figures["top10_agreement"], out.figures["onebit_top10"] = round(agreed[int8], 4), round(agreed[one], 4)
    torch = [taken[name] for name in others if name.startswith("torch")]
    if torch:
        out.figures["vs_torch"] = round(ratio(min(torch, key=statistics.median), taken[int8]), 2)
    else:
        out.missing["vs_torch"] = "torch is not installed"
    out.notes.append(f"{n:,} items of {TOKENS} tokens, queries of {QUERY}, {DIM} dimensions; medians, one thread.")
    out.notes.append(
        f"docs_per_s and top10_agreement are of int8; the largest were found by {' and '.join(sorted(way))}."
    )
    return out


def questions(rng: np.random.Generator, tokens: Array, offsets: Array, many: int) -> list[Array]:
    """Noisy parts of documents."""
    found = []
    for i in rng.integers(0, len(offsets) - 1, many):
        rows = offsets[i] + rng.choice(TOKENS, QUERY, replace=False)
        x = tokens[rows] + 0.1 * rng.standard_normal((QUERY, DIM))
        found.append((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32))
    return found


def best(scores: Array) -> Array:
    found: Array = np.argsort(-scores, kind="stable")[:10]
    return found


def agreement(score: Callable[[Array], Array], queries: list[Array], truth: list[Array]) -> float:
    """Mean part of the ten best by float32 that is among the ten best."""
    return float(np.mean([np.isin(a, best(score(q))).mean() for q, a in zip(queries, truth, strict=True)]))


def peers(out: Outcome, tokens: Array, offsets: Array) -> dict[str, Callable[[Array], object]]:
    """Other ways for items of equal length, checked against ours."""
    n = len(offsets) - 1
    found: dict[str, Callable[[Array], object]] = {}
    stacked = tokens.reshape(n, TOKENS, DIM)
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        x, flat = torch.from_numpy(stacked), torch.from_numpy(tokens)
        found["torch einsum"] = lambda q: torch.einsum("qd,ntd->nqt", torch.from_numpy(q), x).amax(2).sum(1)
        found["torch mm"] = lambda q: (flat @ torch.from_numpy(q).T).view(n, TOKENS, -1).amax(1).sum(1)
    if importlib.util.find_spec("maxsim_cpu"):
        import maxsim_cpu

        found["maxsim-cpu"] = lambda q: maxsim_cpu.maxsim_scores(q, stacked)
    else:
        out.notes.append("maxsim-cpu is not installed: not measured.")
    some = tokens[:QUERY]
    mine = maxsim(some, tokens, offsets)
    for name, call in found.items():
        assert np.allclose(np.asarray(call(some)), mine, atol=1e-3), name
    return found
