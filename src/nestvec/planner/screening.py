"""Few queries for all candidates, more for those that may still be the answer: successive halving."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Bool, Float64, Int64

_LEAST = 8  # queries in a first round
_LENIENT = 2.0  # standard errors a candidate may still be better than it looks


@runtime_checkable
class Measure(Protocol):
    """Scores candidates; position 0 is the full size."""

    def __call__(self, position: int, queries: Int64[np.ndarray, " a"], *, judging: bool) -> Float64[np.ndarray, " a"]:
        """Of one candidate, by position, on queries, by position.

        Args:
            position: of the candidate.
            queries: which.
            judging: False for a first look, where a cheap stand-in will do.
        """
        ...


@dataclass(frozen=True, eq=False)
class Costs:
    """What each of ``c`` candidates costs.

    Args:
        ram: ``[c]`` bytes in memory.
        disk: ``[c]`` bytes in files.
        p50: ``[c]`` seconds of half of the queries.
        p95: ``[c]`` seconds of 19 in 20.
        measured: ``[c]`` whether the two times were taken, and not computed.
        offered: ``[c]`` whether it may be chosen, if the budget has room; None where all may.
    """

    ram: Int64[np.ndarray, " c"]
    disk: Int64[np.ndarray, " c"]
    p50: Float64[np.ndarray, " c"]
    p95: Float64[np.ndarray, " c"]
    measured: Bool[np.ndarray, " c"]
    offered: Bool[np.ndarray, " c"] | None = None

    def cheapest_first(self, some: Int64[np.ndarray, " s"]) -> Int64[np.ndarray, " s"]:
        """Positions in the order of memory, then disk, then time."""
        return some[np.lexsort((some, self.p95[some], self.disk[some], self.ram[some]))]


@dataclass(frozen=True, eq=False)
class Screened:
    """What the first look gave.

    Args:
        share: ``[c]`` of the full size's mean on the same queries.
        error: ``[c]`` its standard error.
        queries: ``[c]`` how many each was measured on.
        finalists: positions; the full size is not among them.
    """

    share: Float64[np.ndarray, " c"]
    error: Float64[np.ndarray, " c"]
    queries: Int64[np.ndarray, " c"]
    finalists: Int64[np.ndarray, " f"]


def screen(
    measure: Measure,
    costs: Costs,
    queries: Int64[np.ndarray, " a"],
    *,
    keep: float,
    allowed: Bool[np.ndarray, " c"],
    finalists: int = 12,
) -> Screened:
    """Measure all candidates on a few queries, the better half on twice as many, and so on; name those to judge.

    A candidate goes on while its share may still be ``keep`` within two standard errors. Those are grouped by memory,
    as many groups as there are finalists, and of each group the better half goes on; in the end the best one.
    So there is a finalist wherever between the smallest and the full size the answer turns out to lie, and a lucky one
    among the cheap pushes no dearer one out.

    Args:
        measure: position 0 is the full size.
        costs: of all candidates.
        queries: those to look with; they must have no part in the judgement after.
        keep: the share asked for.
        allowed: ``[c]`` those that can be chosen; the others are measured in the first round only.
        finalists: how many to name at most.

    Raises:
        InputError: there are no queries, or the full size scores 0 on all of them.

    Source: Jamieson and Talwalkar 2016, sec. 3 (arXiv:1502.07943), with a rule of our own for who goes on.
    """
    sizes = [len(queries)]
    while sizes[0] // 2 >= _LEAST and len(sizes) < 3:
        sizes.insert(0, sizes[0] // 2)
    if not len(queries):
        raise InputError("there must be queries to look with, got none.")
    full = measure(0, queries, judging=False)
    if not full.any():
        raise InputError("the full size must find something to keep a share of, got a score of 0 for every query.")
    count = len(costs.ram)
    share, error = np.full(count, np.nan), np.full(count, np.inf)
    seen: Int64[np.ndarray, " c"] = np.zeros(count, np.int64)
    scores: Float64[np.ndarray, "c a"] = np.zeros((count, len(queries)))
    alive, done = np.arange(count), 0
    for size in sizes:
        for i in alive.tolist():
            scores[i, done:size] = measure(i, queries[done:size], judging=False)
        share[alive], error[alive] = _shares(scores[alive, :size], full[:size])
        seen[alive], done = size, size
        alive = _may_keep(alive[allowed[alive] & (alive != 0)], share, error, keep=keep, least=finalists)
        levels = np.array_split(np.unique(costs.ram[alive]), finalists)
        part = 0.0 if size == len(queries) else 0.5  # of each group; at least one
        groups = [alive[np.isin(costs.ram[alive], level)] for level in levels if len(level)]
        alive = np.concatenate([alive[:0], *(_best(group, share, costs.p95, part) for group in groups)])
    return Screened(share, error, seen, alive)


def _shares(scores: Array, full: Array) -> tuple[Array, Array]:
    """Kept share of each row, and its standard error by the delta method."""
    base = max(float(full.mean()), 1e-12)
    share = scores.mean(axis=1) / base
    rest = scores - share[:, None] * full
    return share, rest.std(axis=1, ddof=1) / (base * np.sqrt(len(full))) if len(full) > 1 else np.full(len(share), 1.0)


def _may_keep(alive: Array, share: Array, error: Array, *, keep: float, least: int) -> Int64[np.ndarray, " s"]:
    """Those that may keep enough; the best ones if none may."""
    may = alive[share[alive] + _LENIENT * error[alive] >= keep]
    return np.asarray(may if len(may) else alive[np.argsort(-share[alive], kind="stable")[:least]], np.int64)


def _best(group: Array, share: Array, seconds: Array, part: float) -> Int64[np.ndarray, " s"]:
    """The better part of a group, at least one of it.

    Of equal shares the slower one is taken: among settings of equal memory it is the one that rescores more, and what
    it is safe from may show with more queries. Those that are too slow for the budget are not among them.
    """
    order = np.lexsort((group, -seconds[group], -share[group]))
    return np.asarray(group[order[: max(1, int(np.ceil(len(group) * part)))]], np.int64)
