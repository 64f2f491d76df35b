"""From views of a collection to a measured plan."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Float64, Int64
from nestvec.planner.budget import Budget
from nestvec.planner.candidates import Candidate, Family
from nestvec.planner.choosing import Choice, Rules, affordable, choose, require_enough
from nestvec.planner.offering import Dials, Offer, offer
from nestvec.planner.result import Plan, Row, surroundings
from nestvec.planner.screening import Costs
from nestvec.planner.speed import Line, calibrate, predict, together
from nestvec.planner.targets import Target
from nestvec.planner.views import View
from nestvec.planner.workbench import Workbench

LEAST_ROWS = 100
"""Fewer rows say nothing: ten of them would be found by chance."""

_GRAPH_FROM = 5_000  # rows below which a collection leaves its graph alone
_TIMED = 50  # searches that a finalist is timed with
_TIMED_ALL = 10  # where all vectors of all records are compared, which takes long and varies little
_K = 10

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Task:
    """A collection, and what good answers are.

    Args:
        views: one a depth, the full size first, all of the same documents and queries.
        target: what answers are judged by.
        total: rows of the whole collection; more than the views hold if those are a sample.
        full_dim: dimensions of the model in all, None where the collection keeps fewer.
        facts: what else makes the plan reproducible, such as the collection's fingerprint.
    """

    views: Sequence[View]
    target: Target
    total: int
    full_dim: int | None
    facts: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rows = len(self.views[0].documents)
        if rows < LEAST_ROWS:
            raise InputError(f"a plan must be measured on at least {LEAST_ROWS} records, got {rows}. Add some first.")
        require_enough(len(self.target))
        for view in self.views:
            if len(view.documents) != rows or len(view.queries) != len(self.target):
                raise InputError(
                    f"every view must have the same {rows} documents and {len(self.target)} queries, got "
                    f"{len(view.documents)} and {len(view.queries)}."
                )


def plan(
    task: Task, budget: Budget, *, rules: Rules | None = None, dials: Dials | None = None, say: Say | None = None
) -> Plan:
    """Try every setting, cheap looks first, and name the cheapest that keeps enough.

    Bytes are told by the parts, times are computed from a few timings and taken for the finalists, and quality is
    measured through the searchers that a collection would use, on a few queries for all candidates and on more for
    those that may be chosen.

    Args:
        task: what is planned for.
        budget: what it may cost; its ``keep`` goes before that of the rules.
        rules: how to choose.
        dials: what is tried.
        say: is told what is going on.

    Raises:
        InputError: too few records or queries, or the full size finds nothing.

    Cost: a minute or two for 250 candidates, 5,000 documents and 300 queries.
    """
    say, dials, rules = say or _silent, dials or Dials(), rules or Rules()
    rules = replace(rules, keep=budget.keep) if budget.keep is not None else rules
    start = time.monotonic()
    bench = Workbench(task.views)
    graph = dials.graph and bench.rows >= _GRAPH_FROM and importlib.util.find_spec("faiss") is not None
    if dials.many:
        say("comparing every query with all vectors")
    offered = offer(bench, task.target, dials, rules, total=task.total, graph=graph)
    candidates = offered.candidates
    say(f"{len(candidates)} settings; timing searches on this machine")
    queries: Int64[np.ndarray, " q"] = np.arange(len(task.target))
    lines = calibrate(bench, candidates, k=_K, queries=queries)
    costs = _costs(bench, offered, lines, total=task.total)
    say(f"measuring {task.target.name} on {len(task.target)} queries")
    found = choose(
        _Scores(bench, candidates, task.target), costs, len(task.target), budget=budget, rules=rules,
        refine=lambda known, judged: _timed(bench, candidates, known, judged, total=task.total),
    )  # fmt: skip
    return Plan(
        verdict=found.verdict,
        chosen=found.position,
        needed=found.needed,
        cheapest=found.cheapest,
        within=found.within,
        rows=_rows(task, candidates, found, budget),
        budget=budget,
        rules=rules,
        target=task.target.name,
        proxy=task.target.proxy,
        queries=len(task.target),
        judging=found.kept.queries,
        facts={
            **task.facts,
            **offered.facts,
            "records": task.total,
            "measured_on": bench.rows,
            "graphs_tried": graph,
            "time_error": {_name(family): round(line.error, 3) for family, line in lines.items()},
            "seconds": round(time.monotonic() - start, 1),
            **surroundings(),
        },
    )


@dataclass(frozen=True, eq=False)
class _Scores:
    """Scores of candidates; a graph is looked at through the scan that it stands for, and judged as itself."""

    bench: Workbench
    candidates: Sequence[Candidate]
    target: Target

    def __call__(self, position: int, queries: Int64[np.ndarray, " a"], *, judging: bool) -> Float64[np.ndarray, " a"]:
        """See :class:`nestvec.planner.screening.Measure`."""
        candidate = self.candidates[position]
        shown = candidate if judging else replace(candidate, index="flat")
        return self.bench.scores(shown, queries, self.target)


def _costs(bench: Workbench, offered: Offer, lines: Mapping[Family, Line], *, total: int) -> Costs:
    candidates = offered.candidates
    sizes = np.array([bench.bytes_of(candidate, total) for candidate in candidates], np.int64)
    times = np.array(
        [
            predict(lines, c, n=total, encode=bench.encode_seconds(c), compared=bench.compared(c, total))
            for c in candidates
        ],
        np.float64,
    )
    none = np.zeros(len(candidates), bool)
    return Costs(sizes[:, 0], sizes[:, 1], times[:, 0], times[:, 1], none, offered.offered)


def _timed(
    bench: Workbench, candidates: Sequence[Candidate], known: Costs, judged: Int64[np.ndarray, " f"], *, total: int
) -> Costs:
    """The same with what was taken for those judged: bytes of graphs that were built, and times.

    Of a sample of the collection nothing can be timed that holds for all of it; times stay computed then.
    """
    ram, disk, p50, p95, measured = (x.copy() for x in (known.ram, known.disk, known.p50, known.p95, known.measured))
    for i in judged.tolist():
        candidate = candidates[i]
        ram[i], disk[i] = bench.bytes_of(candidate, total)
        if total == bench.rows and not measured[i]:
            every = candidate.vectors is not None and not candidate.m
            asked = np.arange(len(bench.views[0].queries))[: _TIMED_ALL if every else _TIMED]
            p50[i], p95[i] = together(bench.encode_seconds(candidate), bench.seconds(candidate, asked, _K))
            measured[i] = True
    return Costs(ram, disk, p50, p95, measured, known.offered)


def _rows(task: Task, candidates: Sequence[Candidate], found: Choice, budget: Budget) -> tuple[Row, ...]:
    """One row a candidate, in the order in which they were made."""
    place = {int(i): at for at, i in enumerate(found.judged)}
    fits, kept, screened, costs = affordable(found.costs, budget), found.kept, found.screened, found.costs
    rows = []
    for i, candidate in enumerate(candidates):
        at = place.get(i)
        rows.append(
            Row(
                candidate=candidate,
                size=candidate.size(task.full_dim),
                ram=int(costs.ram[i]),
                encoder=next(view.encoder_bytes for view in task.views if view.depth == candidate.depth),
                disk=int(costs.disk[i]),
                p50=float(costs.p50[i]),
                p95=float(costs.p95[i]),
                timed=bool(costs.measured[i]),
                fits=bool(fits[i]),
                share=float(screened.share[i] if at is None else kept.share[at]),
                queries=int(screened.queries[i] if at is None else kept.queries),
                error=float(screened.error[i]),
                low=None if at is None else float(kept.low[at]),
                mean=None if at is None else float(kept.mean[at]),
                interval=None if at is None else (float(kept.mean_low[at]), float(kept.mean_high[at])),
            )
        )
    return tuple(rows)


def _name(family: Family) -> str:
    if isinstance(family, tuple):
        return f"several vectors, {_name(family[1])}"
    return "exact" if family is None else f"{family.codec} {family.bits} bit"


def _silent(line: str) -> None:
    """Nobody wants to know."""
