"""Vectors with labels: are classes gathered and kept apart?"""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.evaluation.diagnostics.finding import Figure, Finding
from nestvec.evaluation.diagnostics.subject import Subject, basis
from nestvec.metrics.collapse import collapse
from nestvec.metrics.icnn import icnn

_ROWS = 5_000
_NEIGHBOURS = 7


def classes(subject: Subject, labels: Array, *, seed: int = 0) -> Finding:
    """Neural collapse and ICNN of labelled vectors.

    Raises:
        InputError: not one label a vector, or fewer than two classes.
    """
    if len(labels) != len(subject):
        raise InputError(f"there must be one label a vector, got {len(labels)} and {len(subject)}.")
    rows = subject.sample(_ROWS, seed=seed)
    x, names = subject.take(rows), labels[rows]
    found = collapse(x, names)
    count = len(np.unique(names))
    figures = [
        Figure("NC1", found.nc1, note="scatter inside classes over scatter between; 0 is full collapse"),
        Figure("CDNV", found.cdnv, note="the same pair by pair, without an inverse"),
        Figure("NC2 lengths", found.nc2_norm, note="variation of the distances of class means from the middle"),
        Figure("NC2 angles", found.nc2_angle, note="distance of their angles from a simplex"),
        Figure("nearest mean", found.nc4, note="share of items that are nearest to the mean of their own class"),
    ]
    if len(x) > _NEIGHBOURS:
        figures.append(Figure("ICNN", icnn(x, names, k=_NEIGHBOURS), note="1: neighbours are of one's own class"))
    chance = float((np.unique(names, return_counts=True)[1] / len(names)).max())
    good = found.nc4 > (1 + chance) / 2  # halfway from guessing to certainty
    return Finding(
        "classes",
        f"Whether {count} classes are gathered and kept apart",
        tuple(figures),
        basis(len(rows), len(subject), seed),
        f"The largest class alone would give a nearest mean of {chance:.2f}. Vectors that were not trained on these "
        "classes are far from collapse, and need not be near it.",
        "Classes can be told apart by their means." if good else "Classes overlap: their means do not tell them apart.",
        ""
        if good
        else "Try a linear probe or k nearest neighbours before blaming the model: classes may have several parts.",
    )
