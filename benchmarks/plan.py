"""A plan for a budget: how long it takes, how honest its intervals are, and what it loses without judgements."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import _plan_sets
from benchmarks.harness import Outcome
from nestvec.core.types import Array
from nestvec.metrics import spearman
from nestvec.planner.budget import Budget
from nestvec.planner.candidates import QUICK, Candidate, space
from nestvec.planner.choosing import Rules, choose
from nestvec.planner.offering import Dials
from nestvec.planner.planning import Task, plan
from nestvec.planner.result import Plan
from nestvec.planner.screening import Costs
from nestvec.planner.targets import Agreement, Target
from nestvec.planner.views import View
from nestvec.planner.workbench import Workbench

KEYS = ("settings", "minutes", "coverage", "proxy_regret_max")
SPLITS = 100
KEEP = 0.98
_FLOORS = (0.99, 0.98, 0.95, 0.9, 0.8)  # of agreement, at which judged quality is looked at
_RECORD = Path(__file__).parent / "out" / "tracking.json"


def run(*, quick: bool) -> Outcome:
    """Plan scifact, split its queries 100 times, and plan three sets with and without judgements."""
    out = Outcome(dict.fromkeys(KEYS), ("set", "judged by", "plan", "kB", "kept", "at least", "nDCG@10", "seconds"))
    tracked: dict[str, object] = {}
    for name in _plan_sets.SETS[: 2 if quick else None]:
        found = _plan_sets.load(name, quick=quick)
        if found is None:
            out.missing |= dict.fromkeys(KEYS, f"the data set {name} is not there")
            continue
        print(f"{name}: {len(found.views)} depths", file=sys.stderr, flush=True)
        _one(name, found, out, tracked)
        if name == "scifact":
            _coverage(found, out, splits=SPLITS)
    regrets = [value for key, value in out.figures.items() if key.startswith("proxy_regret_") and value is not None]
    out.figures["proxy_regret_max"] = max((float(value) for value in regrets), default=None)
    if not quick and len(tracked) == len(_plan_sets.SETS):
        _RECORD.write_text(json.dumps({"format": 1, "sets": tracked}, indent=2) + "\n", encoding="utf-8")
        out.notes.append(f"{_RECORD.name} in benchmarks/out is what nestvec ships as planner/tracking.json.")
    out.notes += [
        (
            f"Plans keep {KEEP:.0%} with 95 % confidence. log: the judged queries without judgements. made: titles and "
            "first sentences."
        ),
        (
            "proxy_regret: judged nDCG@10, on all queries, of the plan picked with judgements, or of the full size if "
            "that is better, minus that of the plan picked without."
        ),
    ]
    return out


def _one(name: str, found: _plan_sets.Set, out: Outcome, tracked: dict[str, object]) -> None:
    """Three plans of one set, and how agreement tracks judged quality over all settings."""
    plans = {
        "judgements": _planned(found.views, found.target),
        "log": _planned(found.views, _agreement(found.views, np.full(len(found.target), -1))),
        "made": _planned(found.made, _agreement(found.made, found.own)),
    }
    if name == "scifact":
        first = plans["judgements"]
        out.figures |= {"settings": len(first.rows), "minutes": round(float(first.facts["seconds"]) / 60, 3)}  # type: ignore[arg-type]
    bench, asked = Workbench(found.views), np.arange(len(found.target))

    def judged(candidate: Candidate) -> float:
        return float(bench.scores(candidate, asked, found.target).mean())

    full = judged(plans["log"].full.candidate)
    best = max(full, judged(plans["judgements"].choice.candidate))
    for how, made in plans.items():
        row, score = made.choice, judged(made.choice.candidate)
        out.rows.append((name, how, row.label, row.ram / 1000, row.share, row.low or 0.0, score, made.facts["seconds"]))
        if how != "judgements":
            out.figures[f"proxy_regret_{name}_{how}"] = round(best - score, 4)
    tracked[name] = _track(found, bench) | {"regret": out.figures[f"proxy_regret_{name}_made"]}


def _planned(views: list[View], target: Target) -> Plan:
    return plan(
        Task(views, target, len(views[0].documents), views[0].dim), Budget(keep=KEEP), dials=Dials(), rules=Rules()
    )


def _agreement(views: list[View], own: Array) -> Agreement:
    bench, queries = Workbench(views), np.arange(len(views[0].queries))
    return Agreement.of(bench.found(Candidate(views[0].depth, views[0].dim, "full"), queries, 11), own)


def _track(found: _plan_sets.Set, bench: Workbench) -> dict[str, object]:
    """Agreement on queries made of the records, beside judged quality, for every setting."""
    candidates = list(space(found.views, coded=QUICK, ms=Dials().ms, graph=False))
    made, target = Workbench(found.made), _agreement(found.made, found.own)
    every, asked = np.arange(len(target)), np.arange(len(found.target))
    agreed = np.array([made.scores(c, every, target).mean() for c in candidates])
    judged = np.array([bench.scores(c, asked, found.target).mean() for c in candidates])
    kept = judged / judged[0]
    floors = {
        str(floor): {"settings": int((agreed >= floor).sum()), "least": round(float(kept[agreed >= floor].min()), 4)}
        for floor in _FLOORS
    }
    return {
        "spearman": round(spearman(agreed, judged), 4),
        "settings": len(candidates),
        "queries": len(every),
        "judged_queries": len(asked),
        "kept_at_least_where_agreement_is": floors,
    }


def _coverage(found: _plan_sets.Set, out: Outcome, *, splits: int) -> None:
    """Plan with one half of the judged queries; is its score on the other half inside the interval it stated?"""
    candidates = list(space(found.views, coded=QUICK, ms=Dials().ms, graph=False))
    bench, n = Workbench(found.views), len(found.target)
    start = time.perf_counter()
    scores = np.stack([bench.scores(candidate, np.arange(n), found.target) for candidate in candidates])
    ram = np.array([bench.bytes_of(candidate, bench.rows) for candidate in candidates], np.int64)
    zero = np.zeros(len(candidates))
    costs = Costs(ram[:, 0], ram[:, 1], zero, np.array([float(c.m) for c in candidates]), zero.astype(bool))
    inside, kept, smaller = 0, 0, 0
    for split in range(splits):
        order = np.random.default_rng(1000 + split).permutation(n)
        mine, other = order[: n // 2], order[n // 2 :]
        choice = choose(
            lambda i, some, judging, mine=mine: scores[i, mine[some]],  # noqa: ARG005  # type: ignore[misc]
            costs, len(mine), budget=Budget(), rules=Rules(keep=KEEP, seed=split),
        )  # fmt: skip
        at = int(np.flatnonzero(choice.judged == choice.position)[0])
        fresh = scores[choice.position, other].mean()
        inside += bool(choice.kept.mean_low[at] <= fresh <= choice.kept.mean_high[at])
        kept += bool(scores[choice.position].mean() >= KEEP * scores[0].mean())
        smaller += choice.position != 0
    out.figures |= {
        "coverage": inside / splits,
        "promise_kept": kept / splits,
        "smaller_than_full": smaller / splits,
    }
    out.notes.append(
        f"coverage: of {splits} random halves of scifact's queries, how often the score of the chosen plan on the "
        "other half lay inside the interval that the plan stated. promise_kept: how often the plan keeps what it "
        "promised "
        f"on all queries together. Scoring {len(candidates)} settings took {time.perf_counter() - start:.0f} s."
    )
