"""Around each vector: hubs, local dimension, and items that are there more than once."""

from __future__ import annotations

import numpy as np
import xxhash

from nestvec.core.types import Array, Matrix
from nestvec.evaluation.diagnostics.finding import Figure, Finding
from nestvec.evaluation.diagnostics.sampling import wilson
from nestvec.evaluation.diagnostics.subject import Subject, basis
from nestvec.kernels.neighbours import nearest, unit
from nestvec.kernels.topk import merge
from nestvec.metrics.hubness import antihubs, hubness_skewness, occurrences, robin_hood
from nestvec.metrics.lid import intrinsic_dimension, local_dimension

K = 10
_NEAR = 50  # neighbours that the local dimension is estimated from
_ROWS = 10_000  # compared with one another: a few seconds
_ASKED = 1_000  # compared with everything when near-duplicates are looked for
_CLOSE = 0.95  # cosine from which two texts of one model mostly say the same
_HUBBY = 4.0  # skewness; the sets measured lie between 1 and 2
_LOST = 0.10  # share of anti-hubs; the sets measured lie between .01 and .02
_WIDE = 40.0  # local dimension; the sets measured lie near 15


def hubness(subject: Subject, *, seed: int = 0) -> tuple[Finding, Finding]:
    """Hubs and anti-hubs, and the local intrinsic dimension, from one search of a sample in itself."""
    rows = subject.sample(_ROWS, seed=seed)
    x = unit(subject.take(rows))
    k = min(K, max(len(x) - 1, 1))
    ids, cosines = nearest(x, x, min(_NEAR, max(len(x) - 1, 1)), own=np.arange(len(x)))
    counts = occurrences(ids[:, :k], n=len(x))
    told = basis(len(x), len(subject), seed)
    return _hubs(subject, rows, counts, k, told), _dimension(cosines, told)


def _hubs(subject: Subject, rows: Array, counts: Array, k: int, told: str) -> Finding:
    top = np.argsort(-counts, kind="stable")[:3]
    names = ", ".join(f"{name} ({counts[i]:,})" for name, i in zip(subject.label(rows[top].tolist()), top, strict=True))
    skew, lost = hubness_skewness(counts), antihubs(counts)
    hubs = skew > _HUBBY or lost > _LOST
    return Finding(
        "hubness",
        f"Whether a few items turn up everywhere, among the {k} nearest",
        (
            Figure("skewness", skew),
            Figure(
                "anti-hubs", lost, note=f"share of items that are nobody's neighbour; {round(lost * len(counts)):,}"
            ),
            Figure("Robin Hood", robin_hood(counts), note="share of places that would have to change hands"),
            Figure("largest hub", float(counts[top[0]]), note=f"lists it is in; most: {names}"),
        ),
        told,
        "all-MiniLM-L6-v2: skewness 1.2 and anti-hubs .008 on 5,183 abstracts, 1.8 and .023 on 1,400. Compare "
        "sets of one size.",
        "A few items crowd into answers where they do not belong, and others are hardly ever found."
        if hubs
        else "No item dominates the answers of others.",
        "Read the largest hubs: boilerplate, empty and very short texts are the usual ones; take them out or index "
        "them with their context. Centring the vectors lowers hubness too; measure before and after."
        if hubs
        else "",
    )


def _dimension(cosines: Matrix, told: str) -> Finding:
    local = local_dimension(np.sqrt(np.maximum(2 - 2 * cosines.astype(np.float64), 0)))
    real = local[~np.isnan(local)]
    value = intrinsic_dimension(local)
    low, high = np.quantile(real, [0.05, 0.95]) if len(real) else (np.nan, np.nan)
    return Finding(
        "dimension",
        "In how many directions the data goes on around an item (LID)",
        (
            Figure("intrinsic dimension", value, note=f"maximum likelihood, {cosines.shape[1]} neighbours"),
            Figure("lowest twentieth", float(low)),
            Figure("highest twentieth", float(high)),
        ),
        told,
        "all-MiniLM-L6-v2: 17 on 5,183 abstracts, 15 on 1,400.",
        "There were too few different neighbours to measure it."
        if np.isnan(value)
        else "Neighbours stand out clearly; graphs and codes have an easy time."
        if value < _WIDE
        else "Neighbours hardly stand out from the rest; graphs need wider walks and codes more candidates.",
        ""
        if not value >= _WIDE
        else "Measure the recall of any index on this data before you rely on it (see: index).",
    )


def duplicates(subject: Subject, *, seed: int = 0) -> Finding:
    """Items whose vectors are there more than once, and items with a very close neighbour."""
    exact = _repeated(subject)
    rows = subject.sample(_ASKED, seed=seed)
    queries = unit(subject.take(rows))
    ids, scores = np.full((len(rows), 1), -1, np.int64), np.full((len(rows), 1), -np.inf, np.float32)
    for start, block in subject.blocks():
        found, cosines = nearest(queries, unit(block), 1, own=rows - start)
        both = np.hstack([ids, np.where(found < 0, -1, found + start)]), np.hstack([scores, cosines])
        ids, scores = merge(both[0], both[1], 1)
    close = (scores[:, 0] >= _CLOSE).astype(np.float64)
    ends = wilson(float(close.mean()), len(rows)) if len(rows) < len(subject) else None
    first = int(np.argmax(scores[:, 0]))
    pair = subject.label([int(rows[first]), int(ids[first, 0])]) if len(subject) > 1 else []
    much = exact > 0.01 * len(subject) or close.mean() > 0.05
    return Finding(
        "duplicates",
        "Items that are there more than once",
        (
            Figure("same vector", float(exact), note="items besides the first of each"),
            Figure(
                "near-duplicates",
                float(close.mean()),
                ends,
                f"share with another item at cosine {_CLOSE} or more"
                + (f"; closest: {pair[0]} and {pair[1]}, {scores[first, 0]:.3f}" if pair else ""),
            ),
        ),
        f"same vector: all {len(subject):,}; near-duplicates: {basis(len(rows), len(subject), seed)}, against all",
        "none in edited collections (0 of 5,183 abstracts), a few in a thousand reports (.006 of 1,400), far more in "
        "crawled pages, logs and listings",
        "Answers will repeat themselves: several of the first ten may be the same text." if much else "Few or none.",
        "Keep one of each before indexing, or show the best passage of each document only. Remove them from any test "
        "set as well: they flatter it."
        if much
        else "",
    )


def _repeated(subject: Subject) -> int:
    seen: list[Array] = []
    for _, block in subject.blocks():
        seen.append(
            np.fromiter((xxhash.xxh3_64_intdigest((row + 0.0).tobytes()) for row in block), np.uint64, len(block))
        )
    every = np.concatenate(seen) if seen else np.zeros(0, np.uint64)
    return len(every) - len(np.unique(every))
