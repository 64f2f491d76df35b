"""Would another model find the same? Two sets of vectors of the same items, side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON
from nestvec.evaluation.diagnostics.finding import Figure
from nestvec.evaluation.diagnostics.sampling import wilson
from nestvec.evaluation.diagnostics.subject import Subject, basis
from nestvec.kernels.neighbours import nearest, unit
from nestvec.metrics.bootstrap import bootstrap_mean
from nestvec.metrics.similarity import jaccard, linear_cka, rank_similarity

_ROWS = 20_000
_ASKED = 1_000
_ALIKE = 0.7  # CKA from which people are tempted to call two models the same


@dataclass(frozen=True)
class Likeness:
    """How alike two models are.

    Args:
        first: name of one.
        second: name of the other.
        figures: CKA, Jaccard@k and rank similarity.
        basis: on how many items.
        meaning: what the figures say together.
        warning: empty, or that CKA hides what changes at the top.
    """

    first: str
    second: str
    figures: tuple[Figure, ...]
    basis: str
    meaning: str
    warning: str

    def __getitem__(self, name: str) -> float:
        """The value of a figure by its name."""
        return next(figure.value for figure in self.figures if figure.name == name)

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return {
            "first": self.first,
            "second": self.second,
            "figures": [figure.to_json() for figure in self.figures],
            "basis": self.basis,
            "meaning": self.meaning,
            "warning": self.warning,
        }


def compare(first: Subject, second: Subject, *, k: int = 10, seed: int = 0) -> Likeness:
    """Compare two sets of vectors of the same items in the same order; their widths may differ.

    Neighbours are by cosine among at most 20,000 items, for at most 1,000 of them.

    Args:
        first: vectors ``[n, d]``.
        second: vectors ``[n, e]``.
        k: how many neighbours.
        seed: of the samples.

    Raises:
        InputError: the two differ in number, there are not more than ``k`` items, or ``k < 1``.
    """
    if k < 1:
        raise InputError(f"k must be at least 1, got {k}.")
    if len(first) != len(second):
        raise InputError(
            f"both must hold vectors of the same items in the same order, got {len(first):,} and {len(second):,}."
        )
    if len(first) <= k:
        raise InputError(f"there must be more than k={k} items, got {len(first)}. Ask for fewer neighbours with -k.")
    rows = first.sample(_ROWS, seed=seed)
    a, b = first.take(rows), second.take(rows)
    asked = np.sort(np.random.default_rng(seed).choice(len(rows), min(_ASKED, len(rows)), replace=False))
    near_a, near_b = (nearest(unit(v[asked]), unit(v), k, own=asked)[0] for v in (a, b))
    shared = bootstrap_mean(jaccard(near_a, near_b), seed=seed)
    ranks = bootstrap_mean(rank_similarity(near_a, near_b), seed=seed)
    top = float((near_a[:, 0] == near_b[:, 0]).mean())
    cka = linear_cka(a, b)
    figures = (
        Figure("CKA", cka, note="the geometry as a whole"),
        Figure(f"Jaccard@{k}", shared.mean, (shared.low, shared.high), "neighbours in common"),
        Figure("rank similarity", ranks.mean, (ranks.low, ranks.high), "order of those in common"),
        Figure("same first", top, wilson(top, len(asked)), "share of items with the same nearest neighbour"),
    )
    # of two lists of k with Jaccard J in common, 2J / (1 + J) of each is shared
    kept = 2 * shared.mean / (1 + shared.mean) * k
    return Likeness(
        first.name,
        second.name,
        figures,
        f"{len(asked):,} items asked with, among {basis(len(rows), len(first), seed, 'items')}",
        f"Of {k} neighbours that one finds, the other finds about {kept:.1f} as well.",
        "CKA sees strong directions only and hides this: in the first ranks the two models differ."
        if cka >= _ALIKE and shared.mean < cka - 0.2
        else "",
    )
