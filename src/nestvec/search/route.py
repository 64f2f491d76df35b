"""Which way a search goes: every row, the allowed rows, or the graph. Decided by cost, and told."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

from nestvec.kernels import gather

Kind = Literal["exact", "exact-over-allowed", "graph", "codes", "funnel"]

# Nanoseconds, measured on 2 cores with AVX-512 and d = 384 (docs/guide/search.md says how). A machine twice as fast
# is so in all of them, more or less, and only their ratios decide.
_CALL = 60_000.0  # what any exact search costs before the first row
_READ = 50.0  # to bring one row of 384 floats from memory
_MULTIPLY = 2.6  # to multiply one such row with one query, in a product of matrices
_COPY = 150.0  # more, for a row that lies alone
_CANDIDATE = 5_200.0  # one place of ef in a graph of 50,000 rows, one thread (2,983 queries/s at ef = 64)
_MARGIN = 2.0  # fetch so many times more than k / fraction, so that a typical query has k allowed rows among them


@dataclass(frozen=True)
class GraphCost:
    """What the planner has to know of a graph.

    Args:
        covered: rows in it.
        tail: rows not in it, which are searched exactly beside it.
        gone: rows in it that are dead by now.
        ef: the search width that reached the target recall when measured.
        k: the ``k`` it was measured at.
    """

    covered: int
    tail: int
    gone: int
    ef: int
    k: int = 10


@dataclass(frozen=True)
class Route:
    """A decision with its reasons.

    Args:
        kind: which way.
        costs: estimated nanoseconds of each way that was possible.
        reason: a sentence.
        fetch: how many the graph gives before filtering; 0 if it is not used.
        ef: width of the graph search; 0 if it is not used.
    """

    kind: Kind
    costs: dict[Kind, float]
    reason: str
    fetch: int = 0
    ef: int = 0


def choose(n: int, allowed: int, *, q: int, k: int, dim: int, graph: GraphCost | None = None) -> Route:
    """Decide how to find the ``k`` best of ``allowed`` rows out of ``n``, for ``q`` queries at once.

    The estimates are ``rows (read + q multiply)`` for a scan, ``+ copy`` for a row that lies alone, and
    ``q ef candidate log(covered)`` for a graph. A graph is asked for ``fetch = 2 k / fraction`` rows, with ``ef``
    widened in the same proportion, and what is not allowed is dropped afterwards; the fewer rows are allowed,
    the dearer that gets, until the scan of the allowed rows is cheaper. So no threshold on the fraction is
    needed, and no walk is ever confined to the allowed rows, which is where recall collapses in other systems.

    Args:
        n: live rows.
        allowed: how many of them may be found; ``n`` without a filter.
        q: queries in the batch.
        k: how many are wanted.
        dim: ``d``.
        graph: None if there is none that can be used.

    Cost: constant.
    """
    width = dim / 384
    row = width * (_READ + q * _MULTIPLY)
    costs: dict[Kind, float] = {}
    if allowed == n:
        costs["exact"] = _CALL + n * row
    else:
        in_place = min(n, allowed * gather.worth(q)) * row
        costs["exact-over-allowed"] = _CALL + min(in_place, allowed * (row + width * _COPY))
    best_exact: Kind = min(costs, key=lambda kind: costs[kind])
    fetch = ef = 0
    if graph is not None and graph.covered and allowed:
        fraction = allowed / max(n + graph.gone, 1)  # of all rows a walk may meet, which of them count
        fetch = k if fraction == 1 else math.ceil(_MARGIN * k / fraction)
        ef = max(math.ceil(graph.ef * max(fetch / graph.k, 1)), fetch)
        if fetch < graph.covered:
            threads = max(min(q, os.cpu_count() or 1), 1)
            deep = math.log2(graph.covered + 2) / math.log2(50_000)
            costs["graph"] = q / threads * ef * width * _CANDIDATE * deep
            costs["graph"] += (_CALL + graph.tail * row) if graph.tail else 0
    if costs.get("graph", math.inf) < costs[best_exact]:
        reason = (
            f"the graph at ef={ef} is estimated at {costs['graph'] / 1e6:.3g} ms, "
            f"a scan of {allowed} rows at {costs[best_exact] / 1e6:.3g} ms"
        )
        return Route("graph", costs, reason, fetch, ef)
    reason = f"a scan of {allowed} of {n} rows is estimated at {costs[best_exact] / 1e6:.3g} ms, " + (
        f"the graph at ef={ef} at {costs['graph'] / 1e6:.3g} ms" if "graph" in costs else "and there is no usable graph"
    )
    return Route(best_exact, costs, reason)
