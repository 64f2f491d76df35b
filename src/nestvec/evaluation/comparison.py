"""Several systems over several tasks: who is better than whom, how sure that is, and what beats a model for free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Array, Bool
from nestvec.evaluation.cost import per_point
from nestvec.evaluation.differences import Difference, difference
from nestvec.evaluation.results import Result
from nestvec.metrics import Friedman, Nemenyi, friedman, holm, nemenyi, wilcoxon


@dataclass(frozen=True)
class Pair:
    """Two systems on one task, with a p-value corrected for all pairs on all tasks.

    Args:
        task: its name.
        a: the first of the two, as they were given.
        b: the second.
        found: ``a - b``.
        adjusted: p by Holm, over every pair on every task.
        separable: ``adjusted`` is at most ``1 - confidence``.
    """

    task: str
    a: str
    b: str
    found: Difference
    adjusted: float
    separable: bool


@dataclass(frozen=True)
class Standing:
    """One system on one task.

    Args:
        result: what was measured.
        low_rank: the best rank that it may in truth have among the systems compared.
        high_rank: the worst.
        groups: letters; two systems that share one cannot be told apart.
    """

    result: Result
    low_rank: int
    high_rank: int
    groups: str


@dataclass(frozen=True)
class Across:
    """All tasks together, by the main score of each.

    Args:
        means: ``(system, mean score)``; tasks of different metrics are averaged as they are.
        wilcoxon: p of each pair of systems by the signed-rank test over tasks, raised by Holm.
        least: the smallest p that this test can give with so many tasks.
        friedman: of three systems or more; None for two.
        nemenyi: critical difference of mean ranks; None for two systems.
    """

    means: tuple[tuple[str, float], ...]
    wilcoxon: tuple[tuple[str, str, float], ...]
    least: float
    friedman: Friedman | None
    nemenyi: Nemenyi | None


@dataclass(frozen=True)
class Warned:
    """A model on a task that something without understanding does as well.

    Args:
        task: its name.
        model: the system.
        baseline: what stands beside it.
        trivial: the baseline is the task's trivial one.
        found: model minus baseline.
        wins: the baseline is separably better.
    """

    task: str
    model: str
    baseline: str
    trivial: bool
    found: Difference
    wins: bool

    def __str__(self) -> str:
        what = ", which is trivial" if self.trivial else ""
        gap = self.found.interval
        return f"{self.baseline}{what} ({gap.mean:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}])"


@dataclass(frozen=True)
class Spent:
    """What one system took, over all tasks.

    Args:
        system: its name.
        cpu_seconds: sum over the tasks; None if one of them does not say.
        per_point: processor seconds for each hundredth of the main scores, all tasks together; None likewise.
        joules: sum over the tasks; None likewise.
        machines: names of the processors; of several, the figures of two systems are not comparable.
    """

    system: str
    cpu_seconds: float | None
    per_point: float | None
    joules: float | None
    machines: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """What :func:`compare` found.

    Args:
        standings: of each task by name, the best score first; systems only, without baselines.
        pairs: of systems, task by task.
        across: over tasks; None for one system or one task.
        spent: of each system, in the order given.
        confidence: of every statement.
    """

    standings: dict[str, tuple[Standing, ...]]
    pairs: tuple[Pair, ...]
    across: Across | None
    spent: tuple[Spent, ...]
    confidence: float

    def to_json(self) -> dict[str, JSON]:
        """Everything, as plain data."""
        across = self.across
        return {
            "confidence": self.confidence,
            "tasks": {
                task: [
                    {
                        "system": s.result.system,
                        "rank": [s.low_rank, s.high_rank],
                        "groups": s.groups,
                        **figures(s.result),
                    }
                    for s in standings
                ]
                for task, standings in self.standings.items()
            },
            "differences": [
                {
                    "task": pair.task,
                    "a": pair.a,
                    "b": pair.b,
                    **told(pair.found),
                    "p_holm": pair.adjusted,
                    "separable": pair.separable,
                }
                for pair in self.pairs
            ],
            "spent": [asdict(one) for one in self.spent],
            "across_tasks": None
            if across is None
            else {
                "means": dict(across.means),
                "wilcoxon_holm": [{"a": a, "b": b, "p": p} for a, b, p in across.wilcoxon],
                "smallest_p": across.least,
                "friedman_p": across.friedman.p if across.friedman else None,
                "mean_ranks": across.friedman.mean_ranks.tolist() if across.friedman else None,
                "critical_difference": across.nemenyi.critical_difference if across.nemenyi else None,
            },
        }


def compare(results: Sequence[Result], *, confidence: float = 0.95, seed: int = 0) -> Comparison:
    """Compare systems that were measured on the same tasks. Baselines among the results are left aside.

    Args:
        results: of every system on every task.
        confidence: of intervals and of "separable".
        seed: of all draws.

    Raises:
        InputError: no systems, a system lacks a task, or two results are not of the same items.

    Cost: two bootstraps a pair and task; pairs grow as the square of systems.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}.")
    table = _table([r for r in results if not r.baseline])
    systems = list(next(iter(table.values())))
    pairs = [(task, a, b) for task in table for a, b in combinations(systems, 2)]
    found = [
        difference(table[t][a].outcome, table[t][b].outcome, confidence=confidence, seed=seed) for t, a, b in pairs
    ]
    adjusted = holm([d.p for d in found]).tolist()
    made = tuple(
        Pair(*names, one, p, p <= 1 - confidence) for names, one, p in zip(pairs, found, adjusted, strict=True)
    )
    standings = {task: _standings(row, [p for p in made if p.task == task]) for task, row in table.items()}
    across = _across(table, systems, confidence) if min(len(table), len(systems)) > 1 else None
    return Comparison(standings, made, across, tuple(_spent(name, table) for name in systems), confidence)


def warnings(results: Sequence[Result], *, confidence: float = 0.95, seed: int = 0) -> tuple[Warned, ...]:
    """Models that do not separate from a baseline, or lose to it, task by task; not corrected for their number.

    Args:
        results: of systems and baselines.
        confidence: a model is separate if p is at most ``1 - confidence`` and its score is higher.
        seed: of all draws.
    """
    found = []
    for model in (r for r in results if not r.baseline):
        for other in (r for r in results if r.baseline and r.task == model.task):
            gap = difference(model.outcome, other.outcome, confidence=confidence, seed=seed)
            apart = gap.p <= 1 - confidence
            if not apart or gap.interval.mean < 0:
                wins = apart and gap.interval.mean < 0
                found.append(Warned(model.task.name, model.system, other.system, other.trivial, gap, wins))
    return tuple(found)


def sentences(found: Sequence[Warned]) -> list[str]:
    """Warnings for people: one of each model and task for what beats it, and one for what it ties with."""
    grouped: dict[tuple[str, str, bool], list[str]] = {}
    for one in found:
        grouped.setdefault((one.task, one.model, one.wins), []).append(str(one))
    return [
        f"{task}: {model} {'is beaten by' if wins else 'cannot be told apart from'} {'; '.join(what)}."
        for (task, model, wins), what in grouped.items()
    ]


def figures(result: Result) -> dict[str, JSON]:
    """The main score of a result with its interval, and what it took, as plain data; None for what is not known."""
    interval = result.outcome.interval()
    low, high = (float(end) if np.isfinite(end) else None for end in (interval.low, interval.high))
    return {
        "metric": result.metric,
        "score": result.outcome.score,
        "low": low,
        "high": high,
        "n": len(result.outcome.items),
        "unit": result.outcome.unit,
        "seconds": result.cost.seconds,
        "cpu_seconds": result.cost.cpu_seconds,
        "cpu_seconds_per_point": result.cpu_per_point,
        "joules": result.cost.joules,
    }


def told(found: Difference) -> dict[str, JSON]:
    """A difference as plain data."""
    ends = [float(end) if np.isfinite(end) else None for end in (found.interval.low, found.interval.high)]
    shows = float(found.detectable) if np.isfinite(found.detectable) else None
    return {"difference": found.interval.mean, "low": ends[0], "high": ends[1], "p": found.p, "detectable": shows}


def _spent(system: str, table: dict[str, dict[str, Result]]) -> Spent:
    rows = [row[system] for row in table.values()]
    cpu, joules = (_sum([getattr(row.cost, name) for row in rows]) for name in ("cpu_seconds", "joules"))
    points = per_point(cpu, sum(row.outcome.score for row in rows))
    machines = tuple(sorted({row.cost.machine for row in rows if row.cost.machine}))
    return Spent(system, cpu, points, joules, machines)


def _sum(amounts: Sequence[float | None]) -> float | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _table(results: Sequence[Result]) -> dict[str, dict[str, Result]]:
    table: dict[str, dict[str, Result]] = {}
    for result in results:
        table.setdefault(result.task.name, {})[result.system] = result
    systems = {result.system for result in results}
    if not systems:
        raise InputError("there must be a system to compare, got none.")
    for task, row in table.items():
        missing = systems - set(row)
        if missing:
            raise InputError(f"every system must be measured on every task, {min(missing)!r} lacks {task!r}.")
    return table


def _standings(row: dict[str, Result], pairs: Sequence[Pair]) -> tuple[Standing, ...]:
    order = sorted(row.values(), key=lambda r: -r.outcome.score)
    place = {result.system: i for i, result in enumerate(order)}
    apart = np.zeros((len(order), len(order)), bool)
    for pair in pairs:
        i, j = place[pair.a], place[pair.b]
        apart[i, j] = apart[j, i] = pair.separable
    letters = _letters(apart)
    return tuple(
        Standing(result, 1 + int(apart[i, :i].sum()), len(order) - int(apart[i, i + 1 :].sum()), letters[i])
        for i, result in enumerate(order)
    )


def _letters(apart: Bool[np.ndarray, "s s"]) -> list[str]:
    """For systems from best to worst, the stretches in which no two are separable, as letters."""
    letters, end, name = [""] * len(apart), 0, ord("a")
    for start in range(len(apart)):
        stop = start + 1
        while stop < len(apart) and not apart[stop, start:stop].any():
            stop += 1
        if stop > end:
            for i in range(start, stop):
                letters[i] += chr(name)
            name, end = name + 1, stop
    return letters


def _across(table: dict[str, dict[str, Result]], systems: Sequence[str], confidence: float) -> Across:
    scores: Array = np.array([[row[s].outcome.score for s in systems] for row in table.values()])
    pairs = list(combinations(range(len(systems)), 2))
    adjusted = holm([wilcoxon(scores[:, i], scores[:, j]) for i, j in pairs])
    several = len(systems) > 2
    return Across(
        means=tuple(zip(systems, scores.mean(axis=0).tolist(), strict=True)),
        wilcoxon=tuple((systems[i], systems[j], float(p)) for (i, j), p in zip(pairs, adjusted, strict=True)),
        least=float(2 / 2 ** len(table)),
        friedman=friedman(scores) if several else None,
        nemenyi=nemenyi(scores, confidence=confidence) if several else None,
    )
