"""Every depth of a model on every task: which layer, or which mean of layers, gives the best vectors.

Among a dozen sizes one is best by luck alone. So a size is chosen on one half of the items, and what is said of it
comes from the other half.

Source: Ma et al. 2019 (arXiv:1910.07973), for probing layers and their combinations beside BM25.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core import Hits, Record, Space
from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Float64, Matrix
from nestvec.evaluation.comparison import Warned, figures, sentences, told, warnings
from nestvec.evaluation.differences import Difference, difference
from nestvec.evaluation.kind import Kind
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.results import Result
from nestvec.evaluation.rows import digest
from nestvec.evaluation.suite import Progress, Suite
from nestvec.evaluation.system import Candidates, best, cosine_pairs, unit
from nestvec.metrics import holm

_CALLS = 2  # documents and queries of one task; everything of an earlier task may go
_ITEMS = 20  # in each half: fewer choose and confirm nothing


@runtime_checkable
class Layered(Protocol):
    """An encoder that gives the vectors of all its depths from one pass. ``TextEncoder.layered()`` is one."""

    @property
    def space(self) -> Space:
        """The space of the full model."""
        ...

    @property
    def full(self) -> str:
        """The name of the full model among the sizes."""
        ...

    @property
    def spaces(self) -> Mapping[str, Space]:
        """``{name: space}`` of everything it gives."""
        ...

    @property
    def made(self) -> Mapping[str, str]:
        """``{name: how it was made}``."""
        ...

    def encode_each(self, records: Iterable[Record | str]) -> Mapping[str, Matrix]:
        """Documents to ``{name: [n, d]}``."""
        ...

    def encode_query_each(self, queries: Iterable[str]) -> Mapping[str, Matrix]:
        """Queries to ``{name: [q, d]}``."""
        ...


@dataclass(frozen=True)
class Row:
    """One size on one task.

    Args:
        size: its name.
        made: how; see the encoder.
        result: what was measured.
        gap: size minus full model, on the same items; None for the full model.
        adjusted: p of that by Holm, over all sizes and tasks of the report.
        separable: ``adjusted`` is at most ``1 - confidence``.
    """

    size: str
    made: str
    result: Result
    gap: Difference | None
    adjusted: float
    separable: bool


@dataclass(frozen=True)
class Confirmed:
    """What the other half says of a size that was chosen.

    Args:
        task: its name.
        score: of the size, on the half that did not choose it.
        full: of the full model there.
        gap: size minus full model.
        adjusted: p of that by Holm, over the tasks of the suggestion.
        separable: ``adjusted`` is at most ``1 - confidence``.
    """

    task: str
    score: float
    full: float
    gap: Difference
    adjusted: float
    separable: bool


@dataclass(frozen=True)
class Suggestion:
    """The best size for some tasks, chosen on one half of their items and measured on the other.

    Args:
        tasks: their names; the mean of their main scores decided.
        size: the one chosen.
        chosen_by: its mean score on the half that chose, which flatters it.
        full: the name of the full model.
        confirmed: by the other half, task by task; empty if the full model was chosen.
    """

    tasks: tuple[str, ...]
    size: str
    chosen_by: float
    full: str
    confirmed: tuple[Confirmed, ...]

    @property
    def verdict(self) -> str:
        """``full``: the model as it is; ``better``, ``worse`` or ``open``: what the other half showed of the size."""
        if not self.confirmed:
            return "full"
        shown = [one.gap.interval.mean for one in self.confirmed if one.separable]
        return "open" if not shown else "worse" if min(shown) < 0 else "better"

    def __str__(self) -> str:
        if self.verdict == "full":
            return f"{self.size}, the full model: nothing was better on the half of the items that chose."
        beside = "; ".join(
            (f"{one.task} " if len(self.tasks) > 1 else "")
            + f"{one.gap.interval.mean:+.4f} [{one.gap.interval.low:+.4f}, {one.gap.interval.high:+.4f}]"
            for one in self.confirmed
        )
        says = {
            "better": f"{self.size}, and the other half confirms it",
            "worse": f"{self.full}, the full model: {self.size} was chosen on one half, and is worse on the other",
            "open": f"{self.size} was best on one half, but the other half cannot tell it from the full model",
        }
        return f"{says[self.verdict]}: {beside}."

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        return {
            "tasks": list(self.tasks), "size": self.size, "verdict": self.verdict, "chosen_by": self.chosen_by,
            "confirmed": [
                {
                    "task": one.task, "score": one.score, "full": one.full, **told(one.gap), "p_holm": one.adjusted,
                    "separable": one.separable,
                }
                for one in self.confirmed
            ],
        }  # fmt: skip


@dataclass(frozen=True)
class LayerReport:
    """What :func:`layer_report` found.

    Args:
        full: the name of the full model.
        rows: of each task by name, in the order of the encoder.
        baselines: of each task: BM25 and the like, and the task's trivial one.
        suggestions: for all tasks together, where there are several, then for each. Empty for tasks of few items.
        skipped: tasks that have no say in suggestions, and why.
        warned: baselines that the full model does not separate from.
        confidence: of every statement.
    """

    full: str
    rows: Mapping[str, tuple[Row, ...]]
    baselines: Mapping[str, tuple[Result, ...]]
    suggestions: tuple[Suggestion, ...]
    skipped: Mapping[str, str]
    warned: tuple[Warned, ...]
    confidence: float

    def to_json(self) -> dict[str, JSON]:
        """Everything, as plain data."""
        return {
            "full": self.full,
            "confidence": self.confidence,
            "tasks": {
                task: {
                    "sizes": [
                        {"size": row.size, "made": row.made, **figures(row.result)}
                        | ({**told(row.gap), "p_holm": row.adjusted, "separable": row.separable} if row.gap else {})
                        for row in rows
                    ],
                    "baselines": [{"system": r.system, **figures(r)} for r in self.baselines[task]],
                }
                for task, rows in self.rows.items()
            },
            "suggestions": [one.to_json() for one in self.suggestions],
            "skipped": dict(self.skipped),
            "warnings": list(sentences(self.warned)),
        }


def layer_report(
    encoder: Layered, suite: Suite, *, label: str = "", loaded: dict[str, Kind] | None = None,
    confidence: float = 0.95, seed: int = 0, progress: Progress | None = None,
) -> LayerReport:  # fmt: skip
    """Measure every size of an encoder on the tasks of a suite, and suggest the best.

    The texts of a task go through the model once, and all its sizes are measured on what came out.

    Args:
        encoder: gives all sizes.
        suite: tasks, baselines, and where results are kept.
        label: the model's name in results; that of its space by default.
        loaded: what ``suite.load()`` gave.
        confidence: of intervals and of "separable".
        seed: of halves and of all draws.
        progress: called before each measurement that has to be made.

    Raises:
        InputError: as for :meth:`Suite.run`, or ``confidence`` is out of range.

    Cost: one pass of the texts through the model, and one measurement a size and task; vectors of all sizes of one
    task are held at a time.
    """
    if not 0 < confidence < 1:
        raise InputError(f"confidence must lie between 0 and 1, got {confidence}.")
    once, plain = _Once(encoder), label or encoder.space.encoder
    names = {plain if size == encoder.full else f"{plain}@{size}": size for size in encoder.spaces}
    systems = [_Depth(name, size, once) for name, size in names.items()]
    results = list(suite.run(systems, loaded=loaded, progress=progress))
    found = {
        task.name: {names[r.system]: r for r in results if r.task is task and not r.baseline} for task in suite.tasks
    }
    beside = {task.name: tuple(r for r in results if r.task is task and r.baseline) for task in suite.tasks}
    halves, skipped = _halves(found, seed)
    groups = [tuple(halves), *((task,) for task in halves)] if len(halves) > 1 else [(task,) for task in halves]
    return LayerReport(
        encoder.full,
        _rows(encoder, found, confidence=confidence, seed=seed),
        beside,
        tuple(_suggest(encoder.full, group, halves, confidence=confidence, seed=seed) for group in groups),
        skipped,
        warnings([r for r in results if r.baseline or r.system == plain], confidence=confidence, seed=seed),
        confidence,
    )


_Halves = Mapping[str, tuple[Mapping[str, Outcome], Mapping[str, Outcome]]]
"""Of each task, outcomes by size on the half that chooses and on the half that confirms."""


def _rows(
    encoder: Layered, found: Mapping[str, Mapping[str, Result]], *, confidence: float, seed: int
) -> dict[str, tuple[Row, ...]]:
    asked = [(task, size) for task, sizes in found.items() for size in sizes if size != encoder.full]
    gaps = [
        difference(found[task][size].outcome, found[task][encoder.full].outcome, confidence=confidence, seed=seed)
        for task, size in asked
    ]
    adjusted = holm([gap.p for gap in gaps]).tolist() if gaps else []
    known = dict(zip(asked, zip(gaps, adjusted, strict=True), strict=True))
    rows: dict[str, tuple[Row, ...]] = {}
    for task, sizes in found.items():
        row = []
        for size, result in sizes.items():
            gap, p = known.get((task, size), (None, 1.0))
            row.append(Row(size, encoder.made[size], result, gap, p, p <= 1 - confidence))
        rows[task] = tuple(row)
    return rows


def _halves(found: Mapping[str, Mapping[str, Result]], seed: int) -> tuple[_Halves, dict[str, str]]:
    halves, skipped = {}, {}
    for task, sizes in found.items():
        n = len(next(iter(sizes.values())).outcome.items)
        if n < 2 * _ITEMS:
            skipped[task] = f"{n} items are too few to choose on one half and confirm on the other"
            continue
        order = np.random.default_rng(seed).permutation(n)
        first, second = np.sort(order[: n // 2]), np.sort(order[n // 2 :])
        chooses, confirms = (
            {size: result.outcome.part(rows) for size, result in sizes.items()} for rows in (first, second)
        )
        halves[task] = (chooses, confirms)
    return halves, skipped


def _suggest(full: str, tasks: Sequence[str], halves: _Halves, *, confidence: float, seed: int) -> Suggestion:
    means = {size: float(np.mean([halves[task][0][size].score for task in tasks])) for size in halves[tasks[0]][0]}
    # the full model first among equals, for it is what people have
    size = max(means, key=lambda name: (means[name], name == full))
    if size == full:
        return Suggestion(tuple(tasks), size, means[size], full, ())
    there = [halves[task][1] for task in tasks]
    gaps = [difference(half[size], half[full], confidence=confidence, seed=seed) for half in there]
    adjusted = holm([gap.p for gap in gaps]).tolist()
    confirmed = tuple(
        Confirmed(task, half[size].score, half[full].score, gap, p, p <= 1 - confidence)
        for task, half, gap, p in zip(tasks, there, gaps, adjusted, strict=True)
    )
    return Suggestion(tuple(tasks), size, means[size], full, confirmed)


@dataclass(eq=False)
class _Once:
    """Remembers the vectors of the last calls, so that the sizes of a task share one pass."""

    encoder: Layered
    _known: OrderedDict[str, Mapping[str, Matrix]] = field(default_factory=OrderedDict)

    def documents(self, records: Sequence[Record | str]) -> Mapping[str, Matrix]:
        texts = [record if isinstance(record, str) else record.full_text for record in records]
        return self._get(digest("document", texts), lambda: self.encoder.encode_each(texts))

    def queries(self, texts: Sequence[str]) -> Mapping[str, Matrix]:
        return self._get(digest("query", list(texts)), lambda: self.encoder.encode_query_each(texts))

    def _get(self, key: str, make: Callable[[], Mapping[str, Matrix]]) -> Mapping[str, Matrix]:
        if key not in self._known:
            while len(self._known) >= _CALLS:
                self._known.popitem(last=False)
            self._known[key] = make()
        self._known.move_to_end(key)
        return self._known[key]


@dataclass(frozen=True, eq=False)
class _Depth:
    """One size of a layered encoder, ready to be measured."""

    name: str
    size: str
    once: _Once

    @property
    def space(self) -> Space:
        """Of this size."""
        return self.once.encoder.spaces[self.size]

    @property
    def fingerprint(self) -> str:
        """Of its space: what the model gives at that size by any other way is the same."""
        return self.space.fingerprint

    def rank(
        self, queries: Sequence[str], documents: Sequence[Record], k: int, *, among: Candidates | None = None
    ) -> Hits:
        """Exact search by the metric of the space."""
        sides = [found[self.size] for found in (self.once.queries(queries), self.once.documents(documents))]
        asked, there = (unit(x) if self.space.metric == "cosine" else x for x in sides)
        return best(asked, there, k, among=among)

    def compare(self, a: Sequence[str], b: Sequence[str]) -> Float64[np.ndarray, " n"]:
        """Cosine."""
        return cosine_pairs(self, a, b)

    def represent(self, texts: Sequence[str]) -> Matrix:
        """The vectors of documents."""
        return self.once.documents(texts)[self.size]
