"""Whether a smaller suite puts systems in the same order as the whole one, and what it saves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON
from nestvec.evaluation.comparison import compare
from nestvec.evaluation.results import Result
from nestvec.metrics import spearman


@dataclass(frozen=True)
class Preserved:
    """What :func:`preserved` found, of one task.

    Args:
        task: name of the whole one.
        systems: how many were put in order.
        spearman: rank correlation of the scores.
        separable: pairs of systems that the whole task tells apart.
        turned: those of them, as names, that stand the other way round in the smaller task.
        cpu: processor seconds of the smaller task for each of the whole one; None if they are not known.
    """

    task: str
    systems: int
    spearman: float
    separable: int
    turned: tuple[tuple[str, str], ...]
    cpu: float | None

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return {
            "task": self.task,
            "systems": self.systems,
            "spearman": self.spearman,
            "separable": self.separable,
            "turned": [list(pair) for pair in self.turned],
            "cpu": self.cpu,
        }


def preserved(whole: Sequence[Result], smaller: Sequence[Result], *, confidence: float = 0.95) -> Preserved:
    """Compare the order of systems on a task with that on a smaller version of it.

    Args:
        whole: results of three systems or more on one task; baselines count as systems here.
        smaller: results of the same systems on the smaller task.
        confidence: of telling two systems apart, after Holm.

    Raises:
        InputError: fewer than three systems, not the same ones, results of several tasks, or all scores equal.

    Source: Enevoldsen et al. 2025 (arXiv:2502.13595), who look at the rank correlation.
    """
    a, b = ({r.system: replace(r, baseline=False, trivial=False) for r in some} for some in (whole, smaller))
    tasks = [{result.task.name for result in some} for some in (whole, smaller)]
    if set(a) != set(b) or len(a) < 3 or max(map(len, tasks)) > 1:
        raise InputError(
            f"there must be results of the same three systems or more on one task each, got {sorted(a)} on "
            f"{sorted(tasks[0])} and {sorted(b)} on {sorted(tasks[1])}."
        )
    scores = np.array([[some[name].outcome.score for name in a] for some in (a, b)])
    if np.ptp(scores, axis=1).min() == 0:
        raise InputError(f"scores must differ to have an order, got {len(a)} equal ones.")
    return Preserved(
        tasks[0].pop(), len(a), spearman(scores[0], scores[1]), *_turned(list(a.values()), b, confidence), _cpu(a, b)
    )


def _turned(
    whole: Sequence[Result], smaller: dict[str, Result], confidence: float
) -> tuple[int, tuple[tuple[str, str], ...]]:
    pairs = [pair for pair in compare(whole, confidence=confidence).pairs if pair.separable]
    after = [smaller[pair.a].outcome.score - smaller[pair.b].outcome.score for pair in pairs]
    turned = tuple(
        (pair.a, pair.b) for pair, gap in zip(pairs, after, strict=True) if gap * pair.found.interval.mean < 0
    )
    return len(pairs), turned


def _cpu(whole: dict[str, Result], smaller: dict[str, Result]) -> float | None:
    sums = []
    for some in (whole, smaller):
        known = [result.cost.cpu_seconds for result in some.values() if result.cost.cpu_seconds is not None]
        if len(known) < len(some):
            return None
        sums.append(sum(known))
    return sums[1] / sums[0] if sums[0] else None
