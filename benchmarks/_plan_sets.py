"""Judged collections as the planner sees them: vectors at every depth, and queries made of the records themselves."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks import retrieval
from benchmarks._vectors import unit
from benchmarks.harness import data
from nestvec.core.types import Array
from nestvec.planner.queries import from_records
from nestvec.planner.targets import Judged
from nestvec.planner.views import View

SETS = ("scifact", "cranfield", "medline")
MADE = 400
_OUT = Path(__file__).parent / "out"


@dataclass(frozen=True, eq=False)
class Set:
    """One collection.

    Args:
        views: with the judged queries.
        target: nDCG@10 of those.
        made: the same views, with queries made of titles and first sentences.
        own: the record that each of those was made of.
    """

    views: list[View]
    target: Judged
    made: list[View]
    own: Array


def load(name: str, *, quick: bool) -> Set | None:
    """Encode what is not kept from an earlier run; None if the data set is not there.

    Args:
        name: of the set.
        quick: the full depth alone.
    """
    folder = data(name)
    if folder is None:
        return None
    from nestvec.encoders import load as open_encoder

    judged = retrieval.load(folder, quick=False)
    encoder = open_encoder()
    texts, own = from_records(judged.documents, MADE)
    place = {record.id: i for i, record in enumerate(judged.documents)}
    gains = tuple({place[d]: float(g) for d, g in found.items() if d in place and g > 0} for found in judged.judgements)
    useful = [i for i, found in enumerate(gains) if found]
    rungs = [rung.depth for rung in encoder.ladder.rungs] if encoder.ladder and not quick else []
    views, made = [], []
    for depth in [None, *sorted(rungs, reverse=True)]:
        at = encoder if depth is None else encoder.at(f"L{depth}")
        key = f"{name}-{at.space.fingerprint}"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # whole documents, cut off at the window as in published scores
            documents = _kept(f"{key}-documents", lambda at=at: at.encode(judged.documents).values)
            asked = _kept(f"{key}-queries", lambda at=at: at.encode_query(judged.queries).values)
            others = _kept(f"{key}-made", lambda at=at: at.encode_query(texts).values)
        fitted = depth is not None
        views.append(View(depth, documents, asked[useful], fitted=fitted))
        made.append(View(depth, documents, others, fitted=fitted))
    target = Judged(tuple(gains[i] for i in useful), np.arange(len(judged.documents)))
    return Set(views, target, made, own)


def _kept(name: str, make: object) -> Array:
    """An array from an earlier run, or made now and kept."""
    path = _OUT / "plan" / f"{name}.npy"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, make().astype(np.float16))  # type: ignore[operator]
    return unit(np.load(path).astype(np.float32))
