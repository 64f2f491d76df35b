"""The cheapest plan that is shown to keep enough; or what stands in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Bool, Int64
from nestvec.planner.bounds import Kept, queries_needed, simultaneous
from nestvec.planner.budget import Budget
from nestvec.planner.screening import Costs, Measure, Screened, screen

LEAST_QUERIES = 24
"""Fewer say nothing: a third of them to look with leaves 16 to judge by."""

_LOOK = 8  # queries to look with at least

Refine = Callable[[Costs, Int64[np.ndarray, " f"]], Costs]
Verdict = Literal["chosen", "unproven", "unaffordable"]


@dataclass(frozen=True)
class Rules:
    """How to choose.

    Args:
        keep: share of the full size's quality that must be kept.
        confidence: that the promise holds.
        look: part of the queries that finalists are found with; the rest judges them.
        finalists: how many are judged at most.
        seed: of which queries do which, and of the bootstrap.

    Raises:
        InputError: a value is out of range.
    """

    keep: float = 0.98
    confidence: float = 0.95
    look: float = 1 / 3
    finalists: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("keep", "confidence", "look"):
            value = getattr(self, name)
            if not 0 < value < 1 and not (name == "keep" and value == 1):
                raise InputError(f"{name} must be above 0 and below 1, got {value}.")
        if self.finalists < 1:
            raise InputError(f"finalists must be at least 1, got {self.finalists}.")


@dataclass(frozen=True, eq=False)
class Choice:
    """What was found out.

    Args:
        verdict: ``chosen``; ``unproven`` where a cheaper plan seems good enough and the queries are too few to show it,
            so that the full size is kept; ``unaffordable`` where nothing within the budget keeps enough.
        position: of the plan: what was chosen, or the full size; what would come nearest where nothing can be afforded.
        screened: of all candidates.
        judged: positions that were judged, the full size first.
        kept: of those, in that order.
        costs: of all candidates, as they were known in the end.
        needed: queries that would show the cheapest plan that seems good enough; None where that is not the matter.
        cheapest: position of that plan.
        within: where nothing within the budget keeps enough, the position of what keeps most there, with its share and
            lower bound; None if the budget has room for nothing.
    """

    verdict: Verdict
    position: int
    screened: Screened
    judged: Int64[np.ndarray, " f"]
    kept: Kept
    costs: Costs
    needed: int | None = None
    cheapest: int | None = None
    within: tuple[int, float, float] | None = None


def require_enough(queries: int) -> None:
    """Return if there are as many queries as it takes.

    Raises:
        InputError: fewer than :data:`LEAST_QUERIES`.
    """
    if queries < LEAST_QUERIES:
        raise InputError(
            f"a plan must be measured on at least {LEAST_QUERIES} queries, got {queries}. Add judged queries, or a "
            "file of real ones with --queries."
        )


def affordable(costs: Costs, budget: Budget) -> Bool[np.ndarray, " c"]:
    """Which candidates are offered and a budget has room for."""
    fits = np.ones(len(costs.ram), bool) if costs.offered is None else costs.offered.copy()
    for name in ("ram", "disk", "p50", "p95"):
        most = getattr(budget, name)
        if most is not None:
            fits &= getattr(costs, name) <= most
    return fits


def halves(queries: int, rules: Rules) -> tuple[Int64[np.ndarray, " a"], Int64[np.ndarray, " b"]]:
    """Positions of the queries to look with, and of those that judge."""
    order = np.random.default_rng(rules.seed).permutation(queries)
    cut = max(round(queries * rules.look), _LOOK)
    return order[:cut], order[cut:]


def choose(
    measure: Measure, costs: Costs, queries: int, *, budget: Budget, rules: Rules, refine: Refine | None = None
) -> Choice:
    """Look with some queries, judge with the others, and take the cheapest that keeps enough with confidence.

    The bounds hold for all that were judged at once, and the queries that judge had no part in naming them. So the
    promise for the plan that is picked is as good as the promise for a plan that was fixed beforehand.

    Args:
        measure: scores candidates.
        costs: of all candidates; those not offered are not chosen.
        queries: how many there are.
        budget: candidates over it are not chosen. Its ``keep`` is not read.
        rules: the share asked for, the confidence, and the split.
        refine: gives better costs for the candidates that are to be judged, such as times that were taken.

    Raises:
        InputError: fewer than :data:`LEAST_QUERIES` queries.
    """
    require_enough(queries)
    fits = affordable(costs, budget)
    found = _judge(measure, costs, queries, allowed=fits, rules=rules, refine=refine)
    fits = affordable(found.costs, budget)
    kept, judged = found.kept, found.judged
    needed, cheapest = _missing(found, queries, fits, rules)
    ok = [i for i in _by_cost(found) if kept.low[i] >= rules.keep]
    inside = [int(judged[i]) for i in ok if fits[judged[i]]]
    if inside:
        verdict: Verdict = "unproven" if inside[0] == 0 and cheapest is not None else "chosen"
        return replace(found, verdict=verdict, position=inside[0], needed=needed, cheapest=cheapest)
    wider = _judge(measure, found.costs, queries, allowed=np.ones_like(fits), rules=rules, refine=refine)
    ok = [int(wider.judged[i]) for i in _by_cost(wider) if wider.kept.low[i] >= rules.keep]
    return replace(
        wider, verdict="unaffordable", position=ok[0], needed=needed, cheapest=cheapest, within=_most(found, fits)
    )


def _judge(
    measure: Measure,
    costs: Costs,
    queries: int,
    *,
    allowed: Bool[np.ndarray, " c"],
    rules: Rules,
    refine: Refine | None,
) -> Choice:
    """Finalists by some of the queries, and what the others say of them; nothing is decided yet."""
    look, rest = halves(queries, rules)
    screened = screen(measure, costs, look, keep=rules.keep, allowed=allowed, finalists=rules.finalists)
    judged = np.concatenate([[0], screened.finalists]).astype(np.int64)
    scores = np.stack([measure(int(i), rest, judging=True) for i in judged])
    kept = simultaneous(scores, scores[0], confidence=rules.confidence, fresh=queries, seed=rules.seed)
    kept.low[0] = kept.share[0]  # the full size keeps itself, whatever the queries
    return Choice("chosen", 0, screened, judged, kept, refine(costs, judged) if refine else costs)


def _by_cost(found: Choice) -> list[int]:
    """Positions within ``judged``, cheapest first."""
    place = {int(i): at for at, i in enumerate(found.judged)}
    return [place[int(i)] for i in found.costs.cheapest_first(found.judged)]


def _most(found: Choice, fits: Bool[np.ndarray, " c"]) -> tuple[int, float, float] | None:
    """Of those judged that fit, the one that keeps most."""
    kept = found.kept
    inside = [i for i in _by_cost(found) if fits[found.judged[i]]]
    best = max(inside, key=lambda i: kept.share[i], default=None)
    return None if best is None else (int(found.judged[best]), float(kept.share[best]), float(kept.low[best]))


def _missing(found: Choice, queries: int, fits: Bool[np.ndarray, " c"], rules: Rules) -> tuple[int | None, int | None]:
    """How many queries in all would show the cheapest plan that fits and seems good enough, and which that is."""
    kept, judged = found.kept, found.judged
    for i in _by_cost(found):
        if not fits[judged[i]]:
            continue
        if kept.low[i] >= rules.keep:
            break  # what is chosen; the others are dearer
        needed = queries_needed(kept, i, keep=rules.keep)
        if needed is not None:
            return int(np.ceil(needed * queries / kept.queries)), int(judged[i])
    return None, None
