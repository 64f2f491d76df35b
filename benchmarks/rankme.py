"""Whether RankMe, which sees no judgements, picks a reducer that judgements would pick too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._vectors import Judged, minilm, unit
from benchmarks.harness import Outcome
from nestvec.core.types import Array
from nestvec.metrics import bootstrap_mean, judge, ndcg
from nestvec.metrics.spectrum import rankme
from nestvec.reducers import REDUCERS

K = 10
SETS = ("scifact", "cranfield")
WIDTHS = (32, 64, 128, 256, 384)
# Parts of an orthogonal map: what they keep, they keep as it was.
_PLAIN: tuple[tuple[str, dict[str, Any]], ...] = (
    ("truncate@1", {}),
    ("pca@1", {}),
    ("rotate@1", {"seed": 0}),
    ("rotate@1", {"seed": 1}),
)
# These even the spectrum out, and so raise its rank by construction.
_WHITENING: tuple[tuple[str, dict[str, Any]], ...] = (
    ("whiten@1", {"power": 0.25}),
    ("whiten@1", {"power": 0.5}),
    ("whiten@1", {"power": 1.0}),
)
KEYS = ("rankme_regret", "rankme_regret_same_width", "rankme_regret_whitened", "widest_regret", "candidates")


@dataclass
class Candidate:
    """A fitted reducer: its rank without judgements, and nDCG@10 of every query with them."""

    label: str
    width: int
    rank: float
    values: Array

    @property
    def quality(self) -> float:
        return float(self.values.mean())


def run(*, quick: bool) -> Outcome:
    """Fit reducers on the documents, pick one by RankMe, and compare with the best by nDCG@10."""
    out = Outcome(dict.fromkeys(KEYS), ("set", "choice among", "RankMe picks", "nDCG@10", "best", "nDCG@10", "regret"))
    found: dict[str, list[float]] = {key: [] for key in KEYS[:-1]}
    for name in SETS[:1] if quick else SETS:
        case = minilm(name)
        if case is None:
            out.notes.append(f"the data set {name} is not there")
            continue
        plain = [candidate(case, part, asked, width) for width in WIDTHS for part, asked in _PLAIN]
        whitened = [candidate(case, part, asked, width) for width in WIDTHS for part, asked in _WHITENING]
        found["rankme_regret"].append(regret(out, name, "all widths", plain))
        for width in WIDTHS[:-1]:  # at full width all of them are the same vectors, turned
            same = [c for c in plain if c.width == width]
            found["rankme_regret_same_width"].append(regret(out, name, f"width {width}", same))
        found["rankme_regret_whitened"].append(regret(out, name, "whitening too", plain + whitened))
        best = max(plain, key=lambda c: c.quality)
        found["widest_regret"].append(100 * (best.quality - plain[-len(_PLAIN)].quality))
        out.figures["candidates"] = len(plain)
    out.figures |= {key: round(max(values), 3) for key, values in found.items() if values}
    out.missing = dict.fromkeys([key for key in KEYS if out.figures[key] is None], "no data folder; set NESTVEC_DATA")
    out.notes += [
        "Regret: points of nDCG@10 (0 to 100) below the best candidate, the largest over sets (and widths).",
        "widest_regret is that of taking the widest vector without any measure: over all widths RankMe does no better.",
        "Whitening raises the rank by construction; RankMe must not choose between whitened and plain vectors.",
    ]
    return out


def candidate(case: Judged, part: str, asked: dict[str, Any], width: int) -> Candidate:
    """One reducer, fitted on the documents of a case and measured there."""
    reducer = REDUCERS[part].fit(case.documents, dim=width, **asked)
    documents, queries = (reducer.transform(x) for x in (case.documents, case.queries))
    label = " ".join([part, *(f"{key}={value}" for key, value in asked.items()), f"d={width}"])
    return Candidate(label, width, rankme(documents), quality(case, documents, queries))


def quality(case: Judged, documents: Array, queries: Array) -> Array:
    """nDCG@10 of every query, by cosine."""
    order = np.argsort(-(unit(queries) @ unit(documents).T), axis=1, kind="stable")[:, :K]
    names = [[str(i) for i in row] for row in order]
    return ndcg(*judge(names, [{str(i): gain for i, gain in gains.items()} for gains in case.judgements], k=K))


def regret(out: Outcome, name: str, among: str, candidates: list[Candidate]) -> float:
    """Points lost by taking the candidate of highest rank; a row of the table."""
    best = max(candidates, key=lambda c: c.quality)
    # ranks that differ in the sixth digit are the same spectrum; the first one stands for all
    picked = max(candidates, key=lambda c: (round(c.rank, 3), -candidates.index(c)))
    lost = bootstrap_mean(100 * (best.values - picked.values))
    interval = f"{lost.mean:.2f} [{lost.low:.2f}, {lost.high:.2f}]"
    out.rows.append((name, among, picked.label, picked.quality, best.label, best.quality, interval))
    return lost.mean
