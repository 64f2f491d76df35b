"""Measures by the names that the field knows them by: ``nDCG@10``, ``R@100``, ``RR(rel=2)@10``.

The grammar is that of ir-measures: ``Name(parameter=value, …)@depth``.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, UnknownNameError
from nestvec.core.types import Array, Float64
from nestvec.metrics.ranking.gains import (
    average_precision,
    ndcg,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
    success,
)
from nestvec.metrics.ranking.runs import Graded, Named, Qrels, Run, grade

_METRICS: dict[str, Callable[..., Array]] = {
    "nDCG": ndcg,
    "R": recall,
    "P": precision,
    "RR": reciprocal_rank,
    "AP": average_precision,
    "Success": success,
    "Rprec": r_precision,
}
_ALIASES = {
    "ndcg": "nDCG", "recall": "R", "precision": "P", "mrr": "RR", "map": "AP", "hit": "Success", "hits": "Success",
    "r_precision": "Rprec", "rprecision": "Rprec",
} | {name.lower(): name for name in _METRICS}  # fmt: skip
_NEED_DEPTH = ("P", "R", "Success")
_PARAMETERS = dict.fromkeys(_METRICS, ("rel", "judged_only")) | {"nDCG": ("dcg", "judged_only")}
_SHAPE = re.compile(r"(?P<name>[A-Za-z_]\w*)(?:\((?P<parameters>[^()]*)\))?(?:@(?P<k>[^@]*))?")


@dataclass(frozen=True)
class Measure:
    """One measure of rankings, ready to be called. :func:`parse` makes it from its name.

    Args:
        kind: the field's word for it, such as ``nDCG``.
        k: depth; None for all that was found.
        rel: the smallest gain that counts as relevant; None for every gain above 0. Not for nDCG.
        dcg: how nDCG reads a gain: as it is (``log2``), or as ``2**gain - 1`` (``exp-log2``).
        judged_only: leave out items nobody judged before ranks are counted; a negative gain counts as no judgement
            there, as in trec_eval.

    Raises:
        UnknownNameError: there is no such kind.
        InputError: ``k < 1`` or missing where needed, or a parameter that this kind does not have.
    """

    kind: str
    k: int | None = None
    rel: float | None = None
    dcg: str = "log2"
    judged_only: bool = False

    def __post_init__(self) -> None:
        if self.kind not in _METRICS:
            raise UnknownNameError(f"unknown measure {self.kind!r}; there are {', '.join(_METRICS)}.")
        if self.k is not None and self.k < 1:
            raise InputError(f"the depth of {self.kind} must be at least 1, got {self.k}.")
        if self.k is None and self.kind in _NEED_DEPTH:
            raise InputError(f"{self.kind} needs a depth, got none; write {self.kind}@10.")
        if self.k is not None and self.kind == "Rprec":
            raise InputError(f"Rprec has a depth of its own for every query, got {self.k}; leave it out.")
        if self.rel is not None and not (self.rel > 0 and self.kind != "nDCG"):
            raise InputError(f"rel must be above 0, and nDCG has none, got rel={self.rel:g} for {self.kind}.")
        if self.dcg not in ("log2", "exp-log2") or (self.dcg != "log2" and self.kind != "nDCG"):
            raise InputError(f"dcg must be log2 or exp-log2, and only nDCG has it, got {self.dcg!r} for {self.kind}.")

    @property
    def name(self) -> str:
        """As :func:`parse` reads it; equal measures have equal names."""
        given = [f"rel={self.rel:g}"] if self.rel is not None else []
        given += [f"dcg='{self.dcg}'"] if self.dcg != "log2" else []
        given += ["judged_only=True"] if self.judged_only else []
        return self.kind + (f"({', '.join(given)})" if given else "") + (f"@{self.k}" if self.k is not None else "")

    def __str__(self) -> str:
        return self.name

    def __call__(self, run: Run | Named, qrels: Qrels | Named) -> Float64[np.ndarray, " q"]:
        """One value a judged query, in the order of the judgements: see :func:`measure`.

        Raises:
            InputError, NotFiniteError: as for :func:`~nestvec.metrics.ranking.runs.grade`.
        """
        return self.of(grade(run, qrels))

    def of(self, graded: Graded) -> Float64[np.ndarray, " q"]:
        """The same of a run that is graded already."""
        judged = graded.gain >= 0
        query, rank, gain = graded.query[judged], graded.rank[judged], self._value(graded.gain[judged])
        if self.judged_only:
            rank = np.arange(1, len(query) + 1) - np.searchsorted(query, query)  # less where the query starts
        kept = (gain > 0) & (rank <= (self.k or np.inf))
        ideal = self._value(graded.ideal)
        ranked, ranks = _side_by_side(len(ideal), query[kept], rank[kept], gain[kept])
        depth = {"depth": self.k} if self.kind in ("nDCG", "P") else {}
        values: Array = _METRICS[self.kind](ranked, ideal, ranks=ranks, **depth)
        return values

    def _value(self, gain: Array) -> Array:
        """What judged gains count."""
        value: Array = np.maximum(gain, 0.0)
        if self.dcg == "exp-log2":
            value = np.exp2(value) - 1
        elif self.rel is not None:
            value = (gain >= self.rel).astype(np.float64)
        return value


def parse(name: str) -> Measure:
    """The measure called ``name``.

    ``nDCG@10``, ``R@100``, ``P@5``, ``RR@10`` (whose mean is MRR@10), ``AP`` (MAP), ``AP@100``, ``Success@5`` (hit
    rate), ``Rprec``; with ``rel``, the smallest gain that is relevant: ``RR(rel=2)@10``; with exponential gains:
    ``nDCG(dcg='exp-log2')@10``; counting judged items only: ``P(judged_only=True)@10``. Capital letters do not
    matter, and MRR, MAP, recall, precision, hit are known too.

    Raises:
        UnknownNameError: no such measure or parameter; the nearest name is offered.
        InputError: not of that form, a depth that is no whole number from 1, or a value that makes no sense.
    """
    match = _SHAPE.fullmatch(name.strip())
    if match is None:
        raise InputError(f"a measure must look like nDCG@10 or RR(rel=2)@10, got {name!r}.")
    kind = _ALIASES.get(match["name"].lower())
    if kind is None:
        near = difflib.get_close_matches(match["name"].lower(), _ALIASES, n=1, cutoff=0.5)
        hint = f"did you mean {_ALIASES[near[0]]!r}?" if near else f"there are {', '.join(_METRICS)}."
        raise UnknownNameError(f"unknown measure {match['name']!r} in {name!r}; {hint}")
    k = match["k"]
    if k is not None and not (k.isascii() and k.isdigit() and int(k) > 0):
        raise InputError(f"the depth after @ must be a whole number from 1, got {k!r} in {name!r}.")
    given = _parameters(name, kind, match["parameters"] or "")
    return Measure(
        kind,
        None if k is None else int(k),
        rel=given.get("rel"),
        dcg=given.get("dcg", "log2"),
        judged_only=given.get("judged_only", False),
    )


def measure(
    run: Run | Named, qrels: Qrels | Named, measures: Iterable[str | Measure]
) -> dict[str, Float64[np.ndarray, " q"]]:
    """Several measures of one run; the run is read once.

    Args:
        run: ``{query: {item: score}}`` or arrays; see :func:`~nestvec.metrics.ranking.runs.grade` for how ties are
            ranked.
        qrels: ``{query: {item: gain}}``.
        measures: names or measures.

    Returns:
        For each measure, by its full name, ``[q]``: one value a judged query in the order of the judgements. 0 where
        the run has nothing for a query; NaN where nothing is relevant, so that a mean has to decide about it.
        Queries of the run without judgements have no value.

    Raises:
        UnknownNameError, InputError: as for :func:`parse`.
        NotFiniteError: a score or gain is NaN.
    """
    asked = [parse(m) if isinstance(m, str) else m for m in measures]
    graded = grade(run, qrels)
    return {m.name: m.of(graded) for m in asked}


def _parameters(name: str, kind: str, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if key not in _PARAMETERS[kind]:
            raise UnknownNameError(f"{kind} has no parameter {key!r}; there are {', '.join(_PARAMETERS[kind])}.")
        if not equals or key in found:
            raise InputError(f"a parameter must be given once and as name=value, got {part!r} in {name!r}.")
        found[key] = _READ[key](value)
    return found


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"rel must be a number, got {value!r}.") from None


def _truth(value: str) -> bool:
    if value not in ("True", "False"):
        raise InputError(f"judged_only must be True or False, got {value!r}.")
    return value == "True"


def _text(value: str) -> str:
    return value.strip("'\"")


_READ: dict[str, Callable[[str], Any]] = {"rel": _number, "judged_only": _truth, "dcg": _text}


def _side_by_side(q: int, query: Array, rank: Array, gain: Array) -> tuple[Array, Array]:
    """Entries in the order of query and rank -> gains and ranks ``[q, h]``, a row a query, gain 0 after its last."""
    counts = np.bincount(query, minlength=q)
    column = np.arange(len(query)) - np.repeat(np.cumsum(counts) - counts, counts)
    width = int(counts.max(initial=0))
    gains = np.zeros((q, width))
    ranks = (
        np.arange(1.0, width + 1) + np.zeros((q, 1)) + int(rank.max(initial=0))
    )  # of the gains of 0: past all others
    gains[query, column], ranks[query, column] = gain, rank
    return gains, ranks
