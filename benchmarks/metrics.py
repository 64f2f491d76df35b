"""Scoring a run of a million query-document pairs, beside pytrec_eval, from dicts and from arrays."""

from __future__ import annotations

import gc
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.harness import Outcome, ratio, times
from nestvec.core.types import Array
from nestvec.metrics import Run, measure

MEASURES = {
    "nDCG@10": ("ndcg_cut.10", "ndcg_cut_10"),
    "R@100": ("recall.100", "recall_100"),
    "P@10": ("P.10", "P_10"),
    "AP": ("map", "map"),
    "RR": ("recip_rank", "recip_rank"),
}
"""Our name; how pytrec_eval is asked for it; how it answers."""

KEYS = (
    "vs_pytrec",
    "max_difference",
    "one_measure_vs_pytrec",
    "arrays_vs_pytrec",
    "arrays_alone_vs_pytrec",
    "pairs_per_s",
)
_DEPTH = 1000
_ITEMS = 100_000
_JUDGED = 30  # a query: twenty of them found, ten missed


@dataclass(frozen=True)
class Case:
    """One run and its judgements, in the forms that both sides take."""

    run: dict[str, dict[str, float]]
    qrels: dict[str, dict[str, int]]
    ids: Array
    scores: Array
    names: list[str]

    @classmethod
    def make(cls, queries: int) -> Case:
        """Scores fall and never tie in 32 bits, which is what trec_eval knows of them; gains are 0 to 3."""
        rng = np.random.default_rng(0)
        names = [f"doc{i}" for i in range(_ITEMS)]
        ids = np.stack([rng.choice(_ITEMS, _DEPTH, replace=False) for _ in range(queries)]).astype(np.int64)
        steps = rng.integers(1, 9, (queries, _DEPTH))
        scores = (1 - np.cumsum(steps, axis=1) / 2**14).astype(np.float32)
        run, qrels = {}, {}
        for i in range(queries):
            run[f"q{i}"] = {names[j]: float(s) for j, s in zip(ids[i], scores[i], strict=True)}
            judged = [*rng.choice(ids[i], 2 * _JUDGED // 3, replace=False), *rng.integers(0, _ITEMS, _JUDGED // 3)]
            qrels[f"q{i}"] = {names[j]: int(g) for j, g in zip(judged, rng.integers(0, 4, _JUDGED), strict=True)}
        return cls(run, qrels, ids, scores, names)

    def as_run(self) -> Run:
        return Run(list(self.run), self.ids, self.scores, items=self.names)

    def as_dicts(self) -> dict[str, dict[str, float]]:
        """What a searcher's arrays must become before pytrec_eval can score them."""
        return {
            query: dict(zip([self.names[j] for j in ids], scores, strict=True))
            for query, ids, scores in zip(self.run, self.ids.tolist(), self.scores.tolist(), strict=True)
        }


def run(*, quick: bool) -> Outcome:
    """Same judgements, same measures, one core; the answers are compared query by query."""
    out = Outcome(dict.fromkeys(KEYS), ("what", "from", "ours ms", "pytrec_eval ms", "times faster"))
    case = Case.make(100 if quick else 1000)
    repeats = 5 if quick else 9
    pairs = case.ids.size

    def ours(source: Any, names: list[str]) -> dict[str, Array]:
        return measure(source, case.qrels, names)

    everything, first = list(MEASURES), list(MEASURES)[:1]
    if importlib.util.find_spec("pytrec_eval") is None:
        (mine,) = times(lambda: ours(case.run, everything), repeats=repeats)
        out.figures["pairs_per_s"] = round(pairs / float(np.median(mine)))
        out.missing = dict.fromkeys(KEYS[:-1], "pytrec_eval is not installed")
        return out
    import pytrec_eval

    def theirs(source: dict[str, dict[str, float]], names: list[str]) -> dict[str, dict[str, float]]:
        asked = {MEASURES[name][0] for name in names}
        found: dict[str, dict[str, float]] = pytrec_eval.RelevanceEvaluator(case.qrels, asked).evaluate(source)
        return found

    gc.freeze()  # a million floats are not looked through again each time something is made
    rows: dict[str, tuple[str, str, Callable[[], object], Callable[[], object]]] = {
        "vs_pytrec": (
            "five measures", "dicts",
            lambda: ours(case.run, everything), lambda: theirs(case.run, everything),
        ),
        "one_measure_vs_pytrec": (
            "nDCG@10", "dicts",
            lambda: ours(case.run, first), lambda: theirs(case.run, first),
        ),
        "arrays_vs_pytrec": (
            "five measures", "arrays",
            lambda: ours(case.as_run(), everything), lambda: theirs(case.as_dicts(), everything),
        ),
        "arrays_alone_vs_pytrec": (
            "five measures", "arrays; dicts",
            lambda: ours(case.as_run(), everything), lambda: theirs(case.run, everything),
        ),
    }  # fmt: skip
    for key, (what, form, mine_call, their_call) in rows.items():
        mine, peer = times(mine_call, their_call, repeats=repeats)
        faster = round(ratio(peer, mine), 2)
        out.figures[key] = faster
        out.rows.append((what, form, *(1e3 * float(np.median(x)) for x in (mine, peer)), faster))
        if key == "vs_pytrec":
            out.figures["pairs_per_s"] = round(pairs / float(np.median(mine)))
    out.figures["max_difference"] = difference(case, theirs(case.run, everything))
    out.notes.append(
        f"{len(case.run):,} queries, {pairs:,} pairs, {_JUDGED} judgements a query; {', '.join(MEASURES)}."
    )
    out.notes.append("vs_pytrec: both get the same dicts, and all that is done with them is counted.")
    out.notes.append("arrays: ids and scores as searchers give them; pytrec_eval needs dicts made of them: counted.")
    out.notes.append("arrays; dicts: the same, but its dicts are there already and ours have to be looked up by name.")
    return out


def difference(case: Case, peer: dict[str, dict[str, float]]) -> float:
    """The largest over all queries, measures and forms; a query without a relevant document is 0 to pytrec_eval."""
    worst = 0.0
    for source in (case.run, case.as_run()):
        for name, values in measure(source, case.qrels, MEASURES).items():
            answered = np.array([peer[query][MEASURES[name][1]] for query in case.qrels])
            worst = max(worst, float(np.abs(np.nan_to_num(values) - answered).max()))
    return worst
