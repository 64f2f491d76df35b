"""Frozen, few-shot and fine-tuned figures side by side: what labels buy at each step, and whether it shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Matrix
from nestvec.evaluation.differences import Difference, difference
from nestvec.evaluation.kinds.classification import Classification
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.system import Represents

SHOTS = (2, 4, 8, 16)
"""Labelled texts a class, as tried where nothing else is said."""


@dataclass(frozen=True, eq=False)
class Stage:
    """One row of the table.

    Args:
        system: whose vectors.
        protocol: ``frozen``, ``8-shot`` (or another number), or ``fine-tuned``.
        outcome: accuracy, text by text.
        change: to the frozen row, on the same texts; None for that row itself.
    """

    system: str
    protocol: str
    outcome: Outcome
    change: Difference | None

    @property
    def relative(self) -> float | None:
        """The change as a part of the frozen score; None where there is none to be a part of."""
        if self.change is None:
            return None
        frozen = self.outcome.score - self.change.interval.mean
        return self.change.interval.mean / frozen if frozen else None

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        got = self.outcome.interval()
        told: dict[str, JSON] = {"system": self.system, "protocol": self.protocol, "accuracy": got.mean}
        told |= {"low": got.low, "high": got.high, "f1": self.outcome.scores["f1"]}
        if self.change is not None:
            ends = self.change.interval
            told |= {"change": ends.mean, "change_low": ends.low, "change_high": ends.high, "p": self.change.p}
            told["relative_change"] = self.relative
        return told


def feet(
    task: Classification, system: Represents, *, tuned: Represents | None = None, shots: Sequence[int] = SHOTS,
    seed: int = 42,
) -> tuple[Stage, ...]:  # fmt: skip
    """Measure one model in the ways in which an embedding is put to use, few labels to many.

    *Frozen*: the vectors as they are, and a logistic regression on all labelled texts. *n-shot*: the same vectors, and
    ``n`` labelled texts a class, the mean of ten draws. *Fine-tuned*: the vectors of a model that was trained on the
    task, and the regression on all texts. Only the vectors differ between the first and the last, and only the labels
    between the first and the second; the weights of a model are never changed here.

    Args:
        task: a classification; its own way and shots are not read.
        system: the model as it came.
        tuned: the same model after fine-tuning; None to leave that row out.
        shots: texts a class, rising.
        seed: of draws and learners.

    Returns:
        The rows: few-shot ones by rising shots, frozen, fine-tuned.

    Raises:
        InputError: a number of shots is below 1 or comes twice.
        MissingExtraError: scikit-learn is not installed.

    Source: Lee, Lee and Chiang 2024 (arXiv:2411.01322), whose few-shot rows train the model too.
    """
    if min(shots, default=1) < 1 or len(set(shots)) != len(shots):
        raise InputError(f"shots must be different numbers from 1 up, got {tuple(shots)}.")
    probe = replace(task, way="probe")
    held = _Held(system, task)
    frozen = probe.measure(held, seed=seed)
    rows = [
        _stage(system.name, f"{n}-shot", replace(task, way="few-shot", shots=n).measure(held, seed=seed), frozen)
        for n in sorted(shots)
    ]
    rows.append(Stage(system.name, "frozen", frozen, None))
    if tuned is not None:
        rows.append(_stage(tuned.name, "fine-tuned", probe.measure(_Held(tuned, task), seed=seed), frozen))
    return tuple(rows)


def _stage(system: str, protocol: str, outcome: Outcome, frozen: Outcome) -> Stage:
    return Stage(system, protocol, outcome, difference(outcome, frozen))


@dataclass(eq=False)
class _Held:
    """A system whose vectors of a task's texts are made once."""

    system: Represents
    task: Classification
    _rows: Mapping[str, int] = field(init=False)
    _vectors: Matrix = field(init=False)

    def __post_init__(self) -> None:
        texts = list(dict.fromkeys([*self.task.train, *self.task.test]))
        self._rows = {text: i for i, text in enumerate(texts)}
        self._vectors = self.system.represent(texts)

    @property
    def name(self) -> str:
        """Of the system."""
        return self.system.name

    @property
    def fingerprint(self) -> str:
        """Of the system."""
        return self.system.fingerprint

    def represent(self, texts: Sequence[str]) -> Matrix:
        """Vectors of some of the task's texts."""
        return self._vectors[[self._rows[text] for text in texts]]
