"""What every kind of task has: data, a way to measure a system on it, and what anybody could do without one."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.system import System


@runtime_checkable
class Kind(Protocol):
    """What every member of :data:`nestvec.evaluation.kinds.KINDS` has: the data of one task, and how it is measured."""

    id: ClassVar[str]
    needs: ClassVar[type[object]]
    mteb_type: ClassVar[str]
    trivial_name: ClassVar[str]

    @property
    def metric(self) -> str:
        """The main metric, for people."""
        ...

    @property
    def spread(self) -> float | None:
        """Usual standard deviation of differences between two systems, item by item; None if the figure is no mean."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for two tasks exactly when their data and settings are."""
        ...

    def __len__(self) -> int:
        """How many items a figure rests on."""
        ...

    def measure(self, system: System) -> Outcome:
        """Measure a system that has what ``needs`` says."""
        ...

    def trivial(self) -> Outcome:
        """Measure what anybody could do without understanding anything."""
        ...
