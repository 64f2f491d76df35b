"""What a measurement took: seconds by the clock, processor seconds of all threads, and joules if they are counted.

Processor seconds are those of this process, user and system, over all its threads; a child process or an accelerator is
not in them. Energy is read from the counters of the processor packages (RAPL), where the kernel shows them and this
user may read them. Nothing is estimated from seconds: where there is no counter, there is no figure.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nestvec.core.types import JSON
from nestvec.kernels.cpu import cpu_name

POWERCAP = Path("/sys/class/powercap")
"""Where Linux shows the counters."""

_WATTS = 500  # more than a processor package draws today; says how soon a counter may have gone round unseen


@dataclass(frozen=True)
class Cost:
    """What was used.

    Args:
        seconds: by the clock.
        cpu_seconds: processor seconds of all threads of this process; None if nobody counted.
        joules: of the processor packages, by everything that ran on them meanwhile; None where it is not known.
        machine: name of the processor; figures of two machines are not comparable.
    """

    seconds: float
    cpu_seconds: float | None = None
    joules: float | None = None
    machine: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Plain data, without the seconds by the clock, which have a place of their own in MTEB's layout."""
        return {"cpu_seconds": self.cpu_seconds, "joules": self.joules, "machine": self.machine}

    @classmethod
    def from_json(cls, seconds: float, told: Mapping[str, JSON]) -> Cost:
        """What :meth:`to_json` gave; unknown where a result of an earlier version says nothing.

        Raises:
            TypeError, ValueError: a figure is no number.
        """
        cpu, joules = (None if told.get(name) is None else float(str(told[name])) for name in ("cpu_seconds", "joules"))
        return cls(seconds, cpu, joules, str(told.get("machine", "")))


@dataclass(frozen=True)
class Meter:
    """Counters as they stood when it was started.

    Args:
        clock: seconds.
        cpu: processor seconds.
        energy: microjoules of each package by its folder, and where its counter begins anew.
    """

    clock: float
    cpu: float
    energy: Mapping[Path, tuple[int, int]]

    @classmethod
    def start(cls, powercap: Path = POWERCAP) -> Meter:
        """Read the counters.

        Args:
            powercap: the folder of the energy counters.
        """
        return cls(time.monotonic(), time.process_time(), _packages(powercap))

    def stop(self) -> Cost:
        """What was used since the start."""
        cpu, seconds = time.process_time() - self.cpu, time.monotonic() - self.clock
        return Cost(seconds, cpu, self._joules(seconds), cpu_name())

    def _joules(self, seconds: float) -> float | None:
        """None without a counter, and where one may have gone round more than once."""
        total = 0
        for folder, (before, span) in self.energy.items():
            after = _number(folder / "energy_uj")
            if after is None or seconds * _WATTS * 1e6 >= span:
                return None
            total += after - before if after >= before else after - before + span
        return total / 1e6 if self.energy else None


def per_point(amount: float | None, score: float) -> float | None:
    """An amount for each hundredth of a score; None where either says nothing (a score of 0 or less has no price)."""
    return None if amount is None or not score > 0 else amount / (100 * score)


def _packages(powercap: Path) -> dict[Path, tuple[int, int]]:
    """Packages only (``intel-rapl:0``): what lies in them (``intel-rapl:0:1``) is counted in them."""
    found = {}
    for folder in sorted(powercap.glob("intel-rapl:*")):
        now, span = _number(folder / "energy_uj"), _number(folder / "max_energy_range_uj")
        if folder.name.count(":") == 1 and now is not None and span is not None:
            found[folder] = (now, span)
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
