"""How long a search takes on this machine: a few timings, a line through them, and an answer for every plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float64, Int64
from nestvec.planner.candidates import Candidate, Family
from nestvec.planner.workbench import Workbench
from nestvec.search.route import GraphCost, choose

_QUERIES = 15  # searches a point
_FEW = 5  # where all vectors of all records are compared, which takes long and varies little
_TERMS = 4

_EF = 64  # width of a graph's search before it is known: what recall .99 takes on most sets


@dataclass(frozen=True)
class Line:
    """Seconds of one search: ``w0 + w1 n d + w2 m + w3 m d``, no weight below 0.

    Where several vectors are compared ``n`` is 0, for the search of their candidates is another line, and ``m`` counts
    vectors instead of candidates.

    Args:
        weights: ``w0 … w3``.
        tail: the 95th percentile as a multiple of the median.
        error: median of ``|predicted - taken| / taken`` over the points it was drawn through.
    """

    weights: tuple[float, ...]
    tail: float
    error: float

    def seconds(self, n: int, d: int, m: int) -> tuple[float, float]:
        """Median and 95th percentile."""
        middle = float(np.dot(self.weights, _terms(n, d, m)))
        return middle, middle * self.tail


def calibrate(
    bench: Workbench, candidates: Sequence[Candidate], *, k: int, queries: Int64[np.ndarray, " a"]
) -> dict[Family, Line]:
    """Time each family at two numbers of rows, two dims and two ``m`` each, at the full depth, and draw its line.

    Of several vectors the comparison alone is timed, at two dims, two ``m``, and the fewest and the most vectors.
    Graphs are timed as finalists only; see :func:`predict`.

    Args:
        bench: with all documents.
        candidates: all of them.
        k: results a search.
        queries: to search with, by position; the first few are taken.

    Cost: about a second for each codec and 5,000 documents.
    """
    first = bench.views[0].depth
    here = [candidate for candidate in candidates if candidate.depth == first and candidate.index == "flat"]
    halves = {bench.rows: bench, max(bench.rows // 2, 1): bench.part(max(bench.rows // 2, 1))}
    lines: dict[Family, Line] = {}
    for kind in dict.fromkeys(candidate.family for candidate in here):
        members = [candidate for candidate in here if candidate.family == kind]
        if isinstance(kind, tuple):
            taken = [
                (
                    _terms(0, point.dim, bench.compared(point, bench.rows)),
                    bench.seconds(point, queries[: _QUERIES if point.m else _FEW], k, ranking=True),
                )
                for point in _corners_of_many(members, bench)
            ]
        else:
            taken = [
                (_terms(n, point.dim, point.m), part.seconds(point, queries[:_QUERIES], k))
                for (n, part), point in product(halves.items(), _corners(members))
            ]
        lines[kind] = _line(taken)
    return lines


def predict(
    lines: Mapping[Family, Line], candidate: Candidate, *, n: int, encode: Array, compared: int = 0
) -> tuple[float, float]:
    """Seconds from text to answer, of half of the queries and of 19 in 20.

    Tails are added as independent spreads are, not end to end. To build a graph in order to time it takes
    longer than all else, so until it is a finalist a graph takes the time of the scan, divided as its own estimate of
    costs divides the two.

    Args:
        lines: of :func:`calibrate`.
        candidate: any of its families.
        n: rows.
        encode: ``[s]`` seconds that queries took to encode; empty if they come as vectors.
        compared: vectors that a query is compared with, where a record keeps several.
    """
    if candidate.vectors is not None:
        middle, tail = _several(lines, candidate, n=n, compared=compared)
    else:
        part = _graph_share(n, candidate.dim) if candidate.index == "graph" else 1.0
        middle, tail = (part * x for x in lines[candidate.family].seconds(n, candidate.dim, candidate.m))
    if not len(encode):
        return middle, tail
    half, most = np.quantile(encode, [0.5, 0.95])
    return middle + float(half), middle + float(half) + float(np.hypot(tail - middle, most - half))


def together(encode: Float64[np.ndarray, " a"], search: Float64[np.ndarray, " b"]) -> tuple[float, float]:
    """Median and 95th percentile of the sum of the two, every one with every other."""
    if not len(search):
        raise InputError("there must be timed searches, got none.")
    both = search if not len(encode) else (encode[:, None] + search[None, :]).ravel()
    half, most = np.quantile(both, [0.5, 0.95])
    return float(half), float(most)


def _several(lines: Mapping[Family, Line], candidate: Candidate, *, n: int, compared: int) -> tuple[float, float]:
    """The search of candidates by their single vectors, where not all are compared, and the comparison."""
    middle, tail = lines[candidate.family].seconds(0, candidate.dim, compared)
    if not candidate.m:
        return middle, tail
    scan, late = lines[None].seconds(n, candidate.dim, 0)
    return scan + middle, scan + middle + float(np.hypot(late - scan, tail - middle))


def _graph_share(n: int, dim: int) -> float:
    """Time of a graph as a part of that of a scan, as the route between them estimates it; at most 1."""
    costs = choose(n, n, q=1, k=10, dim=dim, graph=GraphCost(n, 0, 0, _EF)).costs
    return min(costs.get("graph", costs["exact"]) / costs["exact"], 1.0)


def _terms(n: int, d: int, m: int) -> tuple[float, ...]:
    return 1.0, float(n) * d, float(m), float(m) * d


def _corners(members: Iterable[Candidate]) -> list[Candidate]:
    """Those of the smallest and largest dim with the smallest and largest ``m``."""
    members = list(members)
    dims, ms = {c.dim for c in members}, {c.m for c in members}
    wanted = set(product({min(dims), max(dims)}, {min(ms), max(ms)}))
    return [c for c in members if (c.dim, c.m) in wanted]


def _corners_of_many(members: Iterable[Candidate], bench: Workbench) -> list[Candidate]:
    """The same of each of the fewest and the most vectors a record."""
    members = sorted(members, key=lambda c: bench.compared(replace(c, m=0), bench.rows))
    ends = dict.fromkeys([members[0].vectors, members[-1].vectors])
    return [c for many in ends for c in _corners(each for each in members if each.vectors == many)]


def _line(taken: Sequence[tuple[tuple[float, ...], Float64[np.ndarray, " q"]]]) -> Line:
    """Least squares of the relative errors, over all ways to leave weights out, those with a weight below 0 refused."""
    terms = np.array([row for row, _ in taken])
    middle = np.array([float(np.median(seconds)) for _, seconds in taken])
    tail = float(np.median([np.quantile(seconds, 0.95) / np.median(seconds) for _, seconds in taken]))
    scaled, best, least = terms / middle[:, None], np.zeros(_TERMS), np.inf
    for count in range(1, _TERMS + 1):
        for chosen in combinations(range(_TERMS), count):
            part = scaled[:, chosen]
            size = np.abs(part).max(axis=0)
            if not size.all():
                continue
            weights = np.linalg.lstsq(part / size, np.ones(len(part)), rcond=None)[0] / size
            left = float(np.square(part @ weights - 1).sum())
            if (weights >= 0).all() and left < least:
                least, best = left, np.zeros(_TERMS)
                best[list(chosen)] = weights
    error = float(np.median(np.abs(scaled @ best - 1)))
    return Line(tuple(best.tolist()), max(tail, 1.0), error)
