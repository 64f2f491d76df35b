"""A plan: what was found out, in words, as a table, and as data from which it can be made again."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from nestvec.core.size import Size
from nestvec.core.types import JSON
from nestvec.planner.budget import Budget
from nestvec.planner.candidates import Candidate
from nestvec.planner.choosing import Rules, Verdict

FORMAT = 1


@dataclass(frozen=True)
class Row:
    """One setting, and what is known of it.

    Args:
        candidate: the setting.
        size: of it.
        ram: bytes in memory, the encoder with them.
        encoder: bytes of those that are the encoder's.
        disk: bytes in files.
        p50: seconds from text to answer, of half of the queries.
        p95: of 19 in 20.
        timed: whether the times were taken; else they were computed.
        fits: whether the budget has room for it.
        share: of the full size's quality that it kept on the queries it was measured on.
        queries: how many those were.
        error: standard error of the share at the first look.
        low: lower bound of the share, true for all finalists at once; None where it was not judged.
        mean: its own score; None where it was not judged.
        interval: where its score on as many new queries as the plan had lies, for all finalists at once.
    """

    candidate: Candidate
    size: Size
    ram: int
    encoder: int
    disk: int
    p50: float
    p95: float
    timed: bool
    fits: bool
    share: float
    queries: int
    error: float
    low: float | None
    mean: float | None
    interval: tuple[float, float] | None

    @property
    def label(self) -> str:
        """For people, such as ``L3-d128-b1 rabitq@1 m=100``."""
        return f"{self.size} {self.candidate.how}"

    def to_json(self) -> dict[str, JSON]:
        """Plain data; times in milliseconds."""
        found: dict[str, JSON] = {"size": str(self.size), **self.candidate.to_json()}
        found |= {"ram_bytes": self.ram, "encoder_bytes": self.encoder, "disk_bytes": self.disk}
        found |= {"p50_ms": 1e3 * self.p50, "p95_ms": 1e3 * self.p95}
        found |= {"timed": self.timed, "fits": self.fits, "kept": self.share, "kept_error": self.error}
        found |= {"kept_at_least": self.low, "queries": self.queries, "score": self.mean}
        return found | {"score_on_new_queries": list(self.interval) if self.interval else None}


@dataclass(frozen=True)
class Plan:
    """What to ship, what it costs, what it keeps, and how sure that is.

    Args:
        verdict: ``chosen``; ``unproven``: a smaller plan seems good enough, and there are too few queries to show it;
            ``unaffordable``: nothing within the budget is shown to keep enough.
        chosen: position in ``rows`` of what was chosen; of the full size where nothing smaller can be promised; of the
            cheapest that keeps enough where the budget has no room for it.
        needed: queries that would show ``cheapest`` to keep enough, if it goes on as it began; None if none would.
        cheapest: position of a cheaper plan that seems good enough and is not shown to be.
        within: of what the budget has room for, the position of what keeps most, its share and lower bound; None where
            something was chosen, or there is room for nothing.
        rows: all settings, the full size first.
        budget: what was asked for.
        rules: how it was chosen.
        target: name of the score.
        proxy: whether that stands in for judgements.
        queries: how many there were.
        judging: how many of them judged the finalists.
        facts: versions, machine, and whatever else it takes to make the plan again.
    """

    verdict: Verdict
    chosen: int
    needed: int | None
    cheapest: int | None
    within: tuple[int, float, float] | None
    rows: tuple[Row, ...]
    budget: Budget
    rules: Rules
    target: str
    proxy: bool
    queries: int
    judging: int
    facts: Mapping[str, JSON]

    @property
    def choice(self) -> Row:
        """What was chosen, or comes nearest."""
        return self.rows[self.chosen]

    @property
    def full(self) -> Row:
        """The full size."""
        return self.rows[0]

    @property
    def several(self) -> bool:
        """Whether settings are there that keep several vectors a record."""
        return any(row.candidate.vectors is not None for row in self.rows)

    @property
    def finalists(self) -> tuple[Row, ...]:
        """What was judged, cheapest first."""
        return tuple(sorted((r for r in self.rows if r.low is not None), key=lambda r: (r.ram, r.disk, r.p95)))

    def front(self) -> tuple[Row, ...]:
        """Settings that no other beats in memory, time to answer (p95) and kept quality, cheapest first."""
        found = []
        for row in self.rows:
            mine = row.ram, row.p95, -row.share
            others = ((r.ram, r.p95, -r.share) for r in self.rows if r is not row)
            if not any(all(a <= b for a, b in zip(other, mine, strict=True)) and other != mine for other in others):
                found.append(row)
        return tuple(sorted(found, key=lambda row: row.ram))

    def to_json(self) -> dict[str, JSON]:
        """All of it as plain data."""
        return {
            "format": FORMAT,
            "verdict": self.verdict,
            "choice": self.choice.to_json(),
            "needed_queries": self.needed,
            "not_yet_shown": None if self.cheapest is None else self.rows[self.cheapest].to_json(),
            "within_budget": None
            if self.within is None
            else {**self.rows[self.within[0]].to_json(), **_seen(self.within)},
            "budget": self.budget.to_json(),
            "rules": dict(asdict(self.rules)),
            "target": self.target,
            "proxy": self.proxy,
            "queries": self.queries,
            "judging_queries": self.judging,
            "facts": dict(self.facts),
            "settings": [row.to_json() for row in self.rows],
        }


def _seen(within: tuple[int, float, float]) -> dict[str, JSON]:
    return {"kept": within[1], "kept_at_least": within[2]}


def surroundings() -> dict[str, JSON]:
    """The machine and the versions that a plan was made with."""
    return {
        "machine": _machine(),
        "versions": {name: _version(name) for name in ("nestvec", "numpy", "faiss-cpu", "numba")},
    }


def _machine() -> dict[str, JSON]:
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return {"cpu": model, "cores": os.cpu_count(), "system": f"{platform.system()} {platform.machine()}"}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
