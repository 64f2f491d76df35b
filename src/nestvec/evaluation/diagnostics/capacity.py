"""Can vectors of this width hold these judgements at all? Free vectors are fitted to find out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Array, Bool, Float32
from nestvec.kernels.adam import Adam

_TEMPERATURE = 0.1
_RATE = 0.01
_LOOK = 50  # steps between two looks at the margin
_PATIENCE = (20, 4)  # looks without a better margin before a fit is done: while it falls short, and with room to spare
_STARTS, _SMALL = 3, 16  # other starts help where there are few dimensions to go around in
_ROOM = 0.05  # margin that survives int8 codes and the errors of a good encoder
_CELLS = 40_000_000  # queries times vectors: 160 MB of scores


@dataclass(frozen=True)
class Fit:
    """Free vectors of one shape, and how well they hold the judgements.

    Args:
        dim: ``d``.
        vectors: of an item; its score is the best of them.
        solved: share of queries whose relevant items all score above all others.
        margin: over all queries, the smallest of (worst relevant - best other); above 0 exactly if all are solved.
        typical: the median over queries.
        steps: how many were taken.
    """

    dim: int
    vectors: int
    solved: float
    margin: float
    typical: float
    steps: int


@dataclass(frozen=True)
class Capacity:
    """Fits of several shapes to one set of judgements.

    Args:
        queries: how many.
        items: how many different ones are relevant to any.
        fits: smallest first.
        advice: what the fits say together.
    """

    queries: int
    items: int
    fits: tuple[Fit, ...]
    advice: str

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        fits: list[JSON] = [dict(vars(fit)) for fit in self.fits]
        return {"queries": self.queries, "items": self.items, "fits": fits, "advice": self.advice}


def capacity(
    judgements: Mapping[str, Collection[str]],
    *,
    dim: int,
    shapes: tuple[tuple[int, int], ...] | None = None,
    others: bool = False,
    steps: int = 3000,
    seed: int = 0,
) -> Capacity:
    """Fit free unit vectors to judgements at ``dim``, at twice that, and with 2 and 4 vectors an item.

    No text is looked at: every query and item has a vector of its own, moved until relevant items score above all
    others. What free vectors cannot do, no encoder of that width can; what they do by a small margin, codes and
    encoders will hardly do. A fit that fails is not a proof: more steps may succeed.

    Args:
        judgements: relevant items of each query.
        dim: ``d`` of the vectors in question.
        shapes: ``(dim, vectors an item)`` to fit instead.
        others: add one item that is relevant to nothing. It stands for all items that nobody judged, which may share
            a vector.
        steps: the most that a fit takes; one that fails with 16 dimensions or fewer is tried from
            three starts.
        seed: of the start.

    Raises:
        InputError: no judgements, every item is relevant to every query, a number is out of range, or there are too
            many judgements to fit at once.

    Cost: ``6 q n d`` multiplications a step for ``q`` queries and ``n`` vectors.

    Source: Weller et al. 2025, sec. 4 (arXiv:2508.21038).
    """
    relevant = relevance(judgements, others=others)
    asked = shapes or ((dim, 1), (2 * dim, 1), (dim, 2), (dim, 4))
    if any(d < 1 or m < 1 for d, m in asked) or steps < 1:
        raise InputError(f"dim, vectors and steps must be at least 1, got {asked} and {steps}.")
    most = relevant.size * max(m for _, m in asked)
    if most > _CELLS:
        raise InputError(
            f"queries times vectors must be at most {_CELLS:,}, got {most:,}. Take a sample of the queries."
        )
    fits = tuple(_best_fit(relevant, d, m, steps, seed) for d, m in asked)
    return Capacity(len(relevant), relevant.shape[1] - others, fits, _advice(fits))


def _best_fit(relevant: Array, dim: int, vectors: int, steps: int, seed: int) -> Fit:
    """The first fit that satisfies every query, or the best of a few: at small d a start may be unlucky."""
    found: list[Fit] = []
    for start in range(_STARTS if dim <= _SMALL else 1):
        found.append(fit(relevant, dim=dim, vectors=vectors, steps=steps, seed=seed + start))
        if found[-1].margin > 0:
            break
    return max(found, key=lambda f: (f.solved, f.margin))


def relevance(judgements: Mapping[str, Collection[str]], *, others: bool) -> Bool[np.ndarray, "q n"]:
    """Judgements as a matrix; queries to which every item is relevant say nothing and are left out.

    Raises:
        InputError: nothing is left.
    """
    items = sorted({item for names in judgements.values() for item in names})
    at = {item: i for i, item in enumerate(items)}
    found = np.zeros((len(judgements), len(items) + others), bool)
    for row, names in zip(found, judgements.values(), strict=True):
        row[[at[item] for item in names]] = True
    found = found[found.any(axis=1) & ~found.all(axis=1)]
    if not len(found):
        raise InputError("there must be a query with items that are relevant and items that are not, got none.")
    return found


def fit(
    relevant: Bool[np.ndarray, "q n"],
    *,
    dim: int,
    vectors: int = 1,
    steps: int = 3000,
    seed: int = 0,
    stop: float = 1.0,
) -> Fit:
    """Free unit vectors, moved by Adam down the InfoNCE loss over all items, at a temperature of 0.1.

    Args:
        relevant: ``[q, n]``, each row with True and False.
        dim: ``d``.
        vectors: of an item.
        steps: the most to take; fewer if the margin stops growing.
        seed: of the start.
        stop: a margin at which to stop.
    """
    rng = np.random.default_rng(seed)
    q, n = relevant.shape
    asked = _unit(rng.standard_normal((q, dim), dtype=np.float32))
    held = _unit(rng.standard_normal((n * vectors, dim), dtype=np.float32))
    adam = Adam({"asked": asked, "held": held}, {"asked": _RATE, "held": _RATE})
    best, waited, step = Fit(dim, vectors, 0.0, -2.0, -2.0, 0), 0, 0
    for step in range(1, steps + 1):
        _, by_asked, by_held = loss_and_gradients(asked, held, relevant)
        adam.step({"asked": by_asked, "held": by_held})
        asked[:], held[:] = _unit(asked), _unit(held)
        if step % _LOOK and step < steps:
            continue
        margins = _margins(_scores(asked, held, n)[0], relevant)
        now = Fit(dim, vectors, float((margins > 0).mean()), float(margins.min()), float(np.median(margins)), step)
        grown = now.margin > best.margin + 1e-3 or now.solved > best.solved
        waited = 0 if grown else waited + 1
        if (now.solved, now.margin) > (best.solved, best.margin):
            best = now
        if best.margin > stop or waited >= _PATIENCE[best.margin >= _ROOM]:
            break
    return best


def loss_and_gradients(
    asked: Float32[np.ndarray, "q d"], held: Float32[np.ndarray, "v d"], relevant: Bool[np.ndarray, "q n"]
) -> tuple[float, Float32[np.ndarray, "q d"], Float32[np.ndarray, "v d"]]:
    """InfoNCE over all items, its mean over relevant pairs, and the gradients by both sets of vectors.

    ``mean_q mean_{p in R_q} ln(1 + sum_{j not in R_q} exp((s_qj - s_qp) / t))``: relevant items of one query do not
    compete. An item's score is the largest of its vectors', and only that one gets a gradient.
    """
    q, n = relevant.shape
    scores, which = _scores(asked, held, n)
    z = scores / np.float32(_TEMPERATURE)
    z -= z.max(axis=1, keepdims=True)
    e = np.exp(z)
    against = np.where(relevant, 0, e).sum(axis=1, keepdims=True)
    share = against / (e + against)  # how much each relevant item is beaten
    weight = relevant / relevant.sum(axis=1, keepdims=True, dtype=np.float32)
    loss = float((weight * np.log((e + against) / np.maximum(e, 1e-37))).sum(dtype=np.float64) / q)
    pushed = (weight / (e + against)).sum(axis=1, keepdims=True)
    by_score = np.where(relevant, -weight * share, e * pushed).astype(np.float32) / np.float32(_TEMPERATURE * q)
    if which is None:
        return loss, by_score @ held, by_score.T @ asked
    wide = np.zeros((q, len(held)), np.float32)
    np.put_along_axis(wide, which, by_score, axis=1)
    return loss, wide @ held, wide.T @ asked


def _scores(asked: Array, held: Array, n: int) -> tuple[Float32[np.ndarray, "q n"], Array | None]:
    """The score of each item, and which vector it comes from; None where an item has one."""
    scores: Array = asked @ held.T
    m = len(held) // n
    if m == 1:
        return scores, None
    which = scores.reshape(len(asked), n, m).argmax(axis=2) + np.arange(n) * m
    return np.take_along_axis(scores, which, axis=1), which


def _margins(scores: Array, relevant: Array) -> Array:
    worst: Array = np.where(relevant, scores, np.inf).min(axis=1)
    margins: Array = worst - np.where(relevant, -np.inf, scores).max(axis=1)
    return margins


def _unit(x: Array) -> Array:
    scaled: Array = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-12))
    return scaled


def _advice(fits: tuple[Fit, ...]) -> str:
    first = fits[0]
    good = next((f for f in fits if f.margin >= _ROOM), None)
    if good is first:
        return (
            f"One vector of {first.dim} dimensions can hold these judgements with room to spare. Where search misses "
            "them, the encoder or its training is at fault, not the width."
            if first.vectors == 1
            else f"{first.vectors} vectors of {first.dim} dimensions hold them with room to spare."
        )
    tight = (
        f"{first.dim} dimensions hold them by a margin of {first.margin:.3f} only, which codes and encoders use up."
        if first.margin > 0
        else f"{first.dim} dimensions were not enough here: {1 - first.solved:.1%} of the queries are left unsatisfied."
    )
    if good is not None:
        what = (
            f"{good.dim} dimensions"
            if good.vectors == 1
            else f"{good.vectors} vectors an item at {good.dim} dimensions"
        )
        return f"{tight} {what[0].upper() + what[1:]} hold them with a margin of {good.margin:.2f}: try that."
    return (
        f"{tight} No shape that was tried holds them with a margin of {_ROOM}. Search by words (BM25) or sparse "
        "vectors beside the dense ones, or fit more steps before giving up."
    )
