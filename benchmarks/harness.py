"""What every benchmark gives back, how it is timed, and how it is printed."""

from __future__ import annotations

import datetime as dt
import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Figure = float | int | None


@dataclass
class Outcome:
    """One benchmark's result.

    Args:
        figures: the agreed keys of the benchmark; None where something could not be measured.
        columns: heads of the table for people.
        rows: the table: ours, peer, baseline, one a row.
        missing: why a figure is None, by its key.
        notes: sentences printed under the table.
    """

    figures: dict[str, Figure]
    columns: Sequence[str]
    rows: list[Sequence[object]] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def data(name: str) -> Path | None:
    """The folder of one data set, or None if it is not there (``NESTVEC_DATA``, else ``../shared/data``)."""
    here = Path(os.environ.get("NESTVEC_DATA") or Path(__file__).parents[2] / "shared" / "data") / name
    return here if here.is_dir() else None


def times(*work: Callable[[], object], repeats: int = 5, warmup: int = 1) -> list[list[float]]:
    """Wall seconds of each piece of ``work``, taken in turn (A B A B …) so that drift hits all alike."""
    taken: list[list[float]] = [[] for _ in work]
    for round_ in range(-warmup, repeats):
        for mine, call in zip(taken, work, strict=True):
            start = time.perf_counter()
            call()
            if round_ >= 0:
                mine.append(time.perf_counter() - start)
    return taken


def ratio(a: Sequence[float], b: Sequence[float]) -> float:
    """Median of ``a_i / b_i``, pair by pair."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def machine() -> dict[str, object]:
    """What the figures were taken on."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    flags: set[str] = set()
    if info.exists():
        for line in info.read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                model = value.strip()
            if key.strip() == "flags":
                flags = set(value.split())
    wanted = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "features": [name for name in wanted if name in flags],
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def report(name: str, outcome: Outcome) -> str:
    """The last line of a benchmark's output: one JSON object."""
    line: dict[str, object] = {"name": name, "figures": outcome.figures}
    if outcome.missing:
        line["missing"] = outcome.missing
    line |= {"machine": machine(), "date": dt.datetime.now(dt.UTC).date().isoformat()}
    return json.dumps(line)
