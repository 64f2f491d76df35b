"""Several systems on several tasks, baselines beside them, each result kept so that nothing is measured twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nestvec.core.errors import InputError
from nestvec.evaluation.baselines import BASELINES
from nestvec.evaluation.cost import Meter
from nestvec.evaluation.kind import Kind
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.results import Result, Shelf
from nestvec.evaluation.rows import digest, once
from nestvec.evaluation.system import Held, System
from nestvec.evaluation.task import Task

Progress = Callable[[str, str], None]
"""Is told the name of a task and of a system before they meet."""

_VERSION = 1  # of everything that decides a figure and is in no fingerprint; raise it when a figure moves


@dataclass(frozen=True)
class Trivial:
    """The trivial baseline of a task, as a system: it has a name and a fingerprint, and can do nothing else.

    Args:
        name: what it does.
    """

    name: str

    @property
    def fingerprint(self) -> str:
        """Of its name: what it does is decided by the task."""
        return "trivial@1"


@dataclass(frozen=True)
class Suite:
    """Tasks, and what stands beside every model.

    Args:
        tasks: measured in this order; names are unique.
        data: the folder of data sets; by default the one in ``NESTVEC_DATA``.
        shelf: where results are kept and looked for; None to keep none.
        baselines: systems that run on every task that can use them.
        trivial: also run the trivial baseline of each task.

    Raises:
        InputError: no tasks, or two of one name.
    """

    tasks: Sequence[Task]
    data: Path | None = None
    shelf: Shelf | None = None
    baselines: Sequence[System] = BASELINES
    trivial: bool = True

    def __post_init__(self) -> None:
        if not self.tasks:
            raise InputError("a suite must have a task or more, got none.")
        once([task.name for task in self.tasks], "names of tasks")

    def load(self) -> dict[str, Kind]:
        """The data of every task by name: all of it is read, and every mistake found, before anything is measured."""
        return {task.name: task.load(self.data) for task in self.tasks}

    def run(
        self, systems: Sequence[System], *, loaded: dict[str, Kind] | None = None, progress: Progress | None = None
    ) -> Iterator[Result]:
        """Measure task by task, and give each result when it is there. What is on the shelf is not measured again.

        An interrupted run loses the result it was at; the same call goes on there.

        Args:
            systems: what is measured; names are unique.
            loaded: what :meth:`load` gave.
            progress: called before each measurement that has to be made.

        Raises:
            InputError: two systems of one name; a system cannot do what a task needs; a collection meets a task that is
                down-sampled; or as for the data.
        """
        once([system.name for system in (*systems, *self.baselines)], "names of systems")
        self._check(systems)
        loaded = self.load() if loaded is None else loaded
        for task in self.tasks:
            kind = loaded[task.name]
            able = [system for system in systems if isinstance(system, kind.needs)]
            if len(able) < len(systems):
                unable = next(system.name for system in systems if system not in able)
                raise InputError(
                    f"{task.name} needs a system that {kind.needs.__name__.lower()}, which {unable!r} does not. "
                    "A collection can only be measured on retrieval; measure its model on the rest."
                )
            yield from (self._one(task, kind, system, progress) for system in able)
            for baseline in self.baselines:
                if isinstance(baseline, kind.needs):
                    yield replace(self._one(task, kind, baseline, progress), baseline=True)
            if self.trivial:
                plain = Trivial(kind.trivial_name)
                yield replace(self._one(task, kind, plain, progress), baseline=True, trivial=True)

    def _check(self, systems: Sequence[System]) -> None:
        """A collection searches all that it holds, so that nothing is smaller for it."""
        held = next((system.name for system in systems if isinstance(system, Held)), None)
        small = next((task.name for task in self.tasks if task.downsampling is not None), None)
        if held is not None and small is not None:
            raise InputError(
                f"a down-sampled task takes models, got the collection {held!r} for {small}: it searches everything it "
                "holds. Measure it on the whole task, or its model on this one."
            )

    def _one(self, task: Task, kind: Kind, system: System, progress: Progress | None) -> Result:
        key = digest(_VERSION, kind.id, kind.fingerprint, system.fingerprint)
        found = self.shelf.find(system.name, system.fingerprint, task, key) if self.shelf else None
        if found is not None:
            return Result(system.name, system.fingerprint, task, kind.metric, *found, kept=True)
        if progress is not None:
            progress(task.name, system.name)
        meter = Meter.start()
        outcome: Outcome = kind.trivial() if isinstance(system, Trivial) else kind.measure(system)
        cost = meter.stop()
        if task.downsampling is not None:
            outcome = replace(outcome, notes=(*outcome.notes, *task.downsampling.notes(kind)))
        result = Result(system.name, system.fingerprint, task, kind.metric, outcome, cost)
        if self.shelf is not None:
            self.shelf.describe(system)
            self.shelf.keep(result, key, fingerprint=kind.fingerprint)
        return result
