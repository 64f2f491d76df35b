"""Short prefixes of all vectors first, longer ones of the best, whole vectors of the last few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.hits import Hits
from nestvec.core.types import Array, ArrayLike, Float32, Int64
from nestvec.search.flat import Flat
from nestvec.search.probe import Probe

_LADDER = (50, 100, 200, 400, 800, 1600, 3200, 6400)  # rows kept of the first scan, tried by tune_funnel
_ALONE = 2000  # floats that a scan reads in the time in which one piece is found that lies alone


@dataclass(frozen=True, eq=False)
class Funnel:
    """Search short prefixes of all vectors, then longer ones of fewer and fewer, then whole vectors of the last few.

    For vectors whose leading dimensions say most, as those of Matryoshka models or after ``pca@1``. A prefix scores
    ``<q[:w], x[:w]>``, so that a longer one only adds the dimensions between: of rows whose bands end at ``widths``
    nothing is read that is not needed, nothing twice, and nothing is held in memory. Scores of what it gives are
    those of whole vectors; what it may lose is a row whose prefix ranks too low. New, deleted and replaced rows need
    no upkeep.

    Args:
        flat: the float vectors, and which rows live.
        widths: dimensions looked at, rising, below ``d``.
        keep: how many rows are left after each width, falling; raised to ``k`` where it is less.
        k: the ``k`` that ``keep`` was tuned for; more is asked for in proportion. 0 if it was not.
        recall: what was measured, 0 if nothing was.

    Raises:
        InputError: widths do not rise, or what is kept rises.

    Cost: ``n widths[0]`` floats a query in one run, then ``keep`` scattered reads of each band.

    Source: Kusupati et al. 2022, sec. 4.3 and appendix H (arXiv:2205.13147).
    """

    flat: Flat
    widths: tuple[int, ...]
    keep: tuple[int, ...]
    k: int = 0
    recall: float = 0.0
    _steps: tuple[Flat, ...] = field(
        init=False, repr=False
    )  # the dimensions up to each width that the one before lacks

    def __post_init__(self) -> None:
        rises = all(a < b for a, b in pairwise((0, *self.widths, self.flat.dim)))
        falls = all(a >= b for a, b in pairwise(self.keep))
        if not self.widths or len(self.widths) != len(self.keep) or not rises or not falls or min(self.keep) < 1:
            raise InputError(
                f"widths must rise and stay below d={self.flat.dim}, and keep fall to 1 or more, one for each width, "
                f"got {self.widths} and {self.keep}."
            )
        spans = pairwise((0, *self.widths, self.flat.dim))
        object.__setattr__(self, "_steps", tuple(self.flat.dimensions(lo, hi) for lo, hi in spans))

    def __len__(self) -> int:
        return len(self.flat)

    def cost(self, n: int) -> int:
        """Floats that a scan reads in the time that a query over ``n`` rows takes."""
        pieces = zip(self.keep, self._steps[1:], strict=True)
        return n * self.widths[0] + sum(count * (step.dim + _ALONE) for count, step in pieces)

    def exact(self, q: int, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> bool:
        """Whether :meth:`search` goes by whole vectors at once: where so few rows are allowed that this is cheaper."""
        n = len(self) if allow is None else len(allow)
        return k < 1 or not q or n * self.flat.dim <= self.cost(n)

    def search(self, queries: ArrayLike, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Hits:
        """The ``k`` best rows that every width left. Arguments, order and errors are those of :meth:`Flat.search`."""
        queries = as_matrix(queries, name="queries", dim=self.flat.dim)
        if self.exact(len(queries), k, allow=allow):
            return self.flat.search(queries, k, allow=allow)
        keep = [max(count * k // self.k if 0 < self.k < k else count, k) for count in self.keep]
        first = self._steps[0].search(queries[:, : self.widths[0]], keep[0], allow=allow)
        found = Hits.empty(len(queries), k)
        for i, query in enumerate(queries):
            here = first.ids[i] >= 0
            ids, scores = self._narrow(query, first.ids[i][here], first.scores[i][here], [*keep[1:], k])
            best = np.lexsort((ids, -scores))
            found.ids[i, : len(ids)], found.scores[i, : len(ids)] = ids[best], scores[best]
        return found

    def _narrow(
        self, query: Float32[np.ndarray, " d"], ids: Array, scores: Array, keep: Sequence[int]
    ) -> tuple[Array, Array]:
        """Add one step of dimensions after the other, and leave so many rows after each."""
        start = self.widths[0]
        order = np.argsort(ids)  # vectors are asked for in the order of their rows
        ids, scores = ids[order], scores[order]
        for step, count in zip(self._steps[1:], keep, strict=True):
            scores = scores + step.vectors(ids) @ query[start : start + step.dim]
            best = np.sort(np.lexsort((ids, -scores))[:count])
            ids, scores = ids[best], scores[best]
            start += step.dim
        return ids, scores


def tune_funnel(
    flat: Flat, borders: Sequence[int], *, target: float = 0.99, k: int = 10, queries: int = 200, seed: int = 0
) -> Funnel:
    """The cheapest funnel that reaches ``target`` recall at ``k``, or the best that is tried.

    From each border on, all further ones are looked at, and half as many rows are kept after each as after the one
    before. ``recall`` says what was reached.

    Args:
        flat: what to search.
        borders: widths to choose from, rising, below ``d``.
        target: recall, above 0, at most 1.
        k: how many nearest rows.
        queries: how many stored rows to take as queries; each is left out of its own answer.
        seed: of the sample.

    Raises:
        InputError: ``target`` is out of range, there are no live rows or no borders.
    """
    if not 0 < target <= 1 or not borders:
        raise InputError(f"target must be above 0 and at most 1, and borders given, got {target} and {borders}.")
    probe = Probe.of(flat, k=k, queries=queries, seed=seed)
    reached: list[Funnel] = []
    short: list[Funnel] = []
    for first in range(len(borders)):
        widths = tuple(borders[first:])
        for most in _LADDER:
            tried = Funnel(flat, widths, tuple(max(most >> step, k + 1) for step in range(len(widths))), k)
            if reached and tried.cost(len(flat)) >= reached[-1].cost(len(flat)):
                break
            measured = Funnel(flat, widths, tried.keep, k, probe.recall(tried))
            if measured.recall >= target:
                reached.append(measured)  # cheaper than all before it
                break
            short.append(measured)
    return reached[-1] if reached else max(short, key=lambda funnel: funnel.recall)
