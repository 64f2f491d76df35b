"""A growing table under a cap of memory: ten million string keys, streamed, found, and found after a restart."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from benchmarks.harness import Outcome
from nestvec.tables.growing import GrowingSpec, GrowingTable

KEYS = ("keys", "cap_mb", "peak_over_cap", "lost", "restart_equal")
_FULL, _QUICK = (10_000_000, 200), (1_200_000, 25)  # keys, and a cap in MB that holds little more than them
_BATCH, _DIM = 1 << 13, 16


def run(*, quick: bool) -> Outcome:
    """Stream, look up and save in one process; open and look up in a second one."""
    count, cap = _QUICK if quick else _FULL
    out = Outcome(dict.fromkeys(KEYS), ("", "seconds", "keys/s", "memory over its base, MB", "base, MB"))
    with tempfile.TemporaryDirectory() as folder:
        streamed = child("stream", folder, count, cap)
        again = child("restart", folder, count, cap)
        for name in ("stream", "save", "look up"):
            seconds, peak = streamed[name]
            out.rows.append(
                (name, round(seconds, 1), round(count / seconds), round(peak / 1e6, 1), streamed["base_mb"])
            )
        for name in ("open", "look up"):
            seconds, peak = again[name]
            out.rows.append(
                (
                    f"{name}, restarted",
                    round(seconds, 1),
                    round(count / seconds),
                    round(peak / 1e6, 1),
                    again["base_mb"],
                )
            )
    peak = max(peak for part in (streamed, again) for _, peak in (v for v in part.values() if isinstance(v, list)))
    out.figures |= {
        "keys": count,
        "cap_mb": cap,
        "peak_over_cap": round(peak / (cap * 1e6) - 1, 4),
        "lost": streamed["lost"] + again["lost"],
        "restart_equal": int(streamed["digest"] == again["digest"]),
        "peak_mb_with_process": round((peak / 1e6) + max(streamed["base_mb"], again["base_mb"]), 1),
        "keys_per_s": round(count / streamed["stream"][0]),
        "disk_mb": streamed["disk_mb"],
    }
    out.notes += [
        (
            "Memory is the peak of the process's resident set (VmHWM, reset before each stage) less its base: the "
            "resident set after everything was imported and used once, before there is a table. Mapped files count."
        ),
        (
            f"Rows of {_DIM} int8 numbers with a scale and the state of training. Keys are new strings, in batches of "
            f"{_BATCH:,}. Lost: a key whose row is not the one it was given."
        ),
        (
            "restart_equal: one checksum over the rows' numbers and values of all keys, from a process that saved and "
            "ended and from one that opened the folder."
        ),
    ]
    return out


def child(stage: str, folder: str, count: int, cap: int) -> dict[str, Any]:
    """Run one stage in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tables_grow", stage, folder, str(count), str(cap)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def batches(count: int) -> Iterator[tuple[int, list[str]]]:
    """Distinct strings of some twenty characters, in no order that a hash could profit from."""
    for start in range(0, count, _BATCH):
        end = min(start + _BATCH, count)
        yield start, [f"user-{i * 2654435761 % 2**32:08x}-{i}" for i in range(start, end)]


def look_up(table: GrowingTable, count: int) -> tuple[int, str]:
    """``(keys without the row they were given, checksum of all rows)``."""
    digest, lost = xxhash.xxh3_128(), 0
    for start, keys in batches(count):
        rows = table.lookup(keys)
        lost += int((rows != 2 + np.arange(start, start + len(keys))).sum())
        digest.update(rows.tobytes())
        digest.update(np.ascontiguousarray(table.values(rows)).tobytes())
    return lost, digest.hexdigest()


class Meter:
    """Seconds and bytes of memory over the base, a stage at a time."""

    def __init__(self) -> None:
        self.base = status("VmRSS")
        self.found: dict[str, Any] = {"base_mb": round(self.base / 1e6, 1)}

    def begin(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # forget the highest resident set so far
        self.start = time.perf_counter()

    def end(self, name: str) -> None:
        self.found[name] = [time.perf_counter() - self.start, status("VmHWM") - self.base]


def status(name: str) -> int:
    """A line of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) * 1024


def warm() -> None:
    """Everything is imported and used once, so that it is in the base."""
    with tempfile.TemporaryDirectory() as folder:
        with GrowingTable.create(Path(folder) / "t", GrowingSpec(dim=2, cap=1 << 20)) as table:
            table.learn(table.admit([str(i) for i in range(1000)]), np.ones((1000, 2)))
            table.save()
        GrowingTable.open(Path(folder) / "t").close()


def stream(folder: Path, count: int, cap: int) -> dict[str, Any]:
    """The first process."""
    warm()
    meter = Meter()
    meter.begin()
    with GrowingTable.create(folder / "table", GrowingSpec(dim=_DIM, cap=cap * 10**6, dtype="int8")) as table:
        for _, keys in batches(count):
            table.admit(keys)
        meter.end("stream")
        meter.begin()
        table.save()
        meter.end("save")
        meter.begin()
        lost, digest = look_up(table, count)
        meter.end("look up")
        disk = sum(path.stat().st_size for path in table.path.iterdir())
    return {**meter.found, "lost": lost, "digest": digest, "disk_mb": round(disk / 1e6, 1)}


def restart(folder: Path, count: int) -> dict[str, Any]:
    """The second one."""
    warm()
    meter = Meter()
    meter.begin()
    with GrowingTable.open(folder / "table") as table:
        meter.end("open")
        meter.begin()
        lost, digest = look_up(table, count)
        meter.end("look up")
    return {**meter.found, "lost": lost, "digest": digest}


if __name__ == "__main__":
    stage, where, total, megabytes = sys.argv[1:]
    done = stream(Path(where), int(total), int(megabytes)) if stage == "stream" else restart(Path(where), int(total))
    print(json.dumps(done))
