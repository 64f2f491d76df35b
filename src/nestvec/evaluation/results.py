"""Results on disk: MTEB's layout for the figures, and a file beside it with the value of every item.

``{folder}/results/{model}/{revision}/{task}.json`` is what MTEB writes and reads, with one more field, ``nestvec``: the
key of the run, checksums, and what it took. ``{task}.items.json`` has the columns of the outcome. A result counts as
there only if its key is the one asked for and both checksums hold; else it is measured again.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xxhash

from nestvec.core.types import JSON
from nestvec.evaluation.cost import Cost, per_point
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.system import System
from nestvec.evaluation.task import Task

_MTEB = "2.26.24"  # the version whose layout this is


@dataclass(frozen=True)
class Result:
    """One system on one task.

    Args:
        system: its name.
        revision: its fingerprint.
        task: the task.
        metric: the main one, for people.
        outcome: figures and items.
        cost: what measuring took; the first time, if it came from disk.
        trivial: it is the task's own trivial baseline.
        baseline: it is one of the baselines, trivial or not.
        kept: it came from disk.
    """

    system: str
    revision: str
    task: Task
    metric: str
    outcome: Outcome
    cost: Cost
    trivial: bool = False
    baseline: bool = False
    kept: bool = False

    @property
    def cpu_per_point(self) -> float | None:
        """Processor seconds for each hundredth of the main score; None if they are not known, or the score is not."""
        return per_point(self.cost.cpu_seconds, self.outcome.score)


@dataclass(frozen=True)
class Shelf:
    """A folder of results.

    Args:
        folder: made when the first result is written.
        reads: what is there counts; False to measure everything again.
    """

    folder: Path
    reads: bool = True

    def place(self, system: str, revision: str, task: str) -> Path:
        """Where the figures of one result are."""
        return self.folder / "results" / _safe(system.replace("/", "__")) / _safe(revision) / f"{task}.json"

    def find(self, system: str, revision: str, task: Task, key: str) -> tuple[Outcome, Cost] | None:
        """The outcome and what it took, or None: not there, of another key, or not as it was written."""
        path = self.place(system, revision, task.name)
        if not self.reads:
            return None
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            raw = items_path(path).read_bytes()
            mine = told["nestvec"]
            good = mine["key"] == key and mine["items"] == _sum(raw) and mine["figures"] == _sum(_plain(told["scores"]))
            cost = Cost.from_json(float(told["evaluation_time"]), mine.get("cost", {}))
            return (_outcome(told, json.loads(raw), task), cost) if good else None
        except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None  # whatever is wrong with it, it is measured again

    def keep(self, result: Result, key: str, *, fingerprint: str) -> Path:
        """Write both files, each at once or not at all: the items first, the figures that vouch for them last.

        Args:
            result: what is kept.
            key: of the run.
            fingerprint: of the task's data.
        """
        path = self.place(result.system, result.revision, result.task.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        items = _plain(_items(result))
        scores = _scores(result)
        body: dict[str, JSON] = {
            "dataset_revision": fingerprint,
            "task_name": result.task.name,
            "mteb_version": _MTEB,
            "scores": scores,
            "evaluation_time": result.cost.seconds,
            "kg_co2_emissions": None,
            "date": dt.datetime.now(dt.UTC).isoformat(),
            "nestvec": {
                "key": key,
                "items": _sum(items),
                "figures": _sum(_plain(scores)),
                "cost": result.cost.to_json(),
            },
        }
        _write(items_path(path), items)
        _write(path, json.dumps(body, indent=2).encode())
        return path

    def describe(self, system: System) -> None:
        """Write ``model_meta.json`` beside the results of a system, as MTEB does."""
        path = self.place(system.name, system.fingerprint, "model_meta")
        path.parent.mkdir(parents=True, exist_ok=True)
        body = {"name": system.name, "revision": system.fingerprint, "framework": ["nestvec"]}
        _write(path, json.dumps(body, indent=2).encode())


def items_path(path: Path) -> Path:
    """Where the items of the result at ``path`` are."""
    return path.with_name(path.name.removesuffix(".json") + ".items.json")


def _scores(result: Result) -> dict[str, JSON]:
    outcome = result.outcome
    entry: dict[str, JSON] = {name: float(value) for name, value in outcome.scores.items()}
    interval = outcome.interval()
    ends = [end if np.isfinite(end) else None for end in (interval.low, interval.high)]
    entry |= {"main_score": outcome.score, "hf_subset": "default", "languages": list(result.task.languages)}
    entry |= {"ci95_low": ends[0], "ci95_high": ends[1], "mteb_version": _MTEB}
    return {result.task.split: [entry]}


def _items(result: Result) -> dict[str, JSON]:
    outcome = result.outcome
    return {
        "task": result.task.name,
        "system": result.system,
        "main": outcome.main,
        "scores": dict(outcome.scores),
        "statistic": outcome.statistic,
        "unit": outcome.unit,
        "notes": list(outcome.notes),
        "items": list(outcome.items),
        "columns": {name: column.tolist() for name, column in outcome.columns.items()},
    }


def _outcome(told: dict[str, Any], items: dict[str, Any], task: Task) -> Outcome:
    entry = told["scores"][task.split][0]
    return Outcome(
        main=items["main"],
        scores={name: float(entry[name]) for name in items["scores"]},
        items=tuple(items["items"]),
        columns={name: np.array(column, np.float64) for name, column in items["columns"].items()},
        statistic=items["statistic"],
        unit=items["unit"],
        notes=tuple(items["notes"]),
    )


def _plain(value: JSON) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _sum(raw: bytes) -> str:
    return xxhash.xxh3_128_hexdigest(raw)


def _safe(name: str) -> str:
    found = "".join(c if c.isalnum() or c in "_-.@" else "-" for c in name)
    return found if found.strip(".") else f"-{found}"


def _write(path: Path, raw: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(raw)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
