"""What is tried, what of it may be chosen, and the full size that all of it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Bool
from nestvec.planner.candidates import MANY, QUICK, Candidate, full_of_many, space, space_of_many
from nestvec.planner.choosing import Rules, halves
from nestvec.planner.targets import Target
from nestvec.planner.workbench import Workbench
from nestvec.search.coding import Coding


@dataclass(frozen=True)
class Dials:
    """What is tried.

    Args:
        codings: the codecs, each with its bits.
        ms: how many candidates are scored by their floats, for each codec.
        graph: whether graphs are tried, where there are rows enough and their library is installed.
        vectors: how many a record keeps, as :attr:`nestvec.core.Size.vectors` says it; 1 for the single one. More of
            them need a view with tokens.
        codings_of_many: the codecs that keep several vectors, each with its bits.
        compared: how many candidates are compared by their several vectors.
    """

    codings: tuple[Coding, ...] = QUICK
    ms: tuple[int, ...] = (10, 20, 50, 100, 200)
    graph: bool = True
    vectors: tuple[int | str, ...] = (1,)
    codings_of_many: tuple[Coding, ...] = MANY
    compared: tuple[int, ...] = (50, 100, 200, 400)

    @property
    def many(self) -> tuple[int | str, ...]:
        """Those of ``vectors`` that are several."""
        return tuple(each for each in self.vectors if each != 1)


@dataclass(frozen=True, eq=False)
class Offer:
    """The settings of a plan.

    Args:
        candidates: all that are measured; the first is the full size, of which others keep a share.
        offered: ``[c]`` whether each may be chosen: the full size is measured whether it may or not.
        facts: what there is to know of how the full size was settled.
    """

    candidates: tuple[Candidate, ...]
    offered: Bool[np.ndarray, " c"]
    facts: Mapping[str, JSON] = field(default_factory=dict)


def offer(bench: Workbench, target: Target, dials: Dials, rules: Rules, *, total: int, graph: bool) -> Offer:
    """All settings, the full size first.

    With single vectors alone the full size is the vector itself. Where several are tried there are two full sizes: that
    one, and MaxSim over all tokens. Judgements tell which of the two answers better, on the queries of the first look,
    which have no part in judging later; and what is chosen must keep its share of that one, so that nobody who has a
    good single vector is promised a part of something worse. Without judgements the two rankings are all there is, and
    MaxSim, which whoever asks for several vectors takes for the better one, is what others agree with.

    Args:
        bench: with all documents and queries.
        target: what answers are judged by; a proxy must be of the ranking by MaxSim where several vectors are tried.
        dials: what is tried.
        rules: which queries look.
        total: rows of the whole collection.
        graph: whether graphs are tried.

    Raises:
        InputError: several vectors are to be tried, and there are no tokens.
    """
    view = bench.views[0]
    singles = list(space(bench.views, coded=dials.codings, ms=dials.ms, graph=graph))
    if not dials.many:
        return Offer(tuple(singles), np.ones(len(singles), bool))
    if view.tokens is None:
        raise InputError(
            f"several vectors must be planned with a view that has tokens, got none to try {dials.many[0]!r} with."
        )
    one, many = singles[0], full_of_many(view)
    others = [
        candidate
        for candidate in space_of_many(
            bench.views, vectors=dials.many, coded=dials.codings_of_many, ms=dials.compared, total=total
        )
        if candidate != many
    ]
    look, _ = halves(len(target), rules)
    means = {each: float(bench.scores(each, look, target).mean()) for each in (one, many)}
    if 1 not in dials.vectors:
        singles = [one]
    first = [many, *singles] if target.proxy or means[many] > means[one] else [*singles, many]
    candidates = (*first, *others)
    return Offer(
        candidates,
        np.array([(candidate.vectors or 1) in dials.vectors for candidate in candidates], bool),
        {
            "vectors": list(dials.vectors),
            "full_sizes": {"one_vector": means[one], "all_vectors": means[many], "queries": len(look)},
        },
    )
