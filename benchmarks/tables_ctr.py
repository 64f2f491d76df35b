"""Compressed tables: what they keep of a full one, on clicks with a known truth or of a file, and on Gowalla."""

from __future__ import annotations

import itertools
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from benchmarks import _gowalla
from benchmarks.harness import Outcome
from nestvec.core.errors import BudgetError
from nestvec.tables import TableSpec, fit_spec, make_spec, stored_bytes
from nestvec.training.ctr import CTRSettings, train_ctr
from nestvec.training.ctr_data import Examples
from nestvec.training.ctr_teacher import Teacher
from nestvec.training.table_advisor import advise

_DIM = 16
_SHARES = (0.5, 0.2, 0.05)
_ORDER = ("hash", "unified, one lookup", "full")
_ALSO = ("unified", "unified+int4", "quotient_remainder", "quotient_remainder+int4", "low_dim", "adapt_hot_cold")
_ADVISED = ("hash", "unified", "unified+int4", "quotient_remainder+int4", "int4", "low_dim")
_PEOPLE, _QUICK_PEOPLE = 5000, 2000  # of Gowalla's 29,858
_PLACES_DIM = 32
_PLACES_SHARES = (1.0, 0.5, 0.1)  # where the published order is (specs 1.5)
_PLACES_ALSO = (
    "unified", "unified+int4", "quotient_remainder", "quotient_remainder+int4", "low_dim", "low_dim+int8", "int4",
    "mixed_dim", "adapt_hot_cold", "subspace", "bloom", "hash_embedding", "memcom", "robe", "tensor_train", "dpq",
)  # fmt: skip


@dataclass
class _Runs:
    """Runs so far, so that nothing is trained twice."""

    parts: tuple[Examples, Examples, Examples]
    settings: CTRSettings
    seeds: int
    done: dict[str, list[float]] = field(default_factory=dict)
    excess: float = 0.0

    def aucs(self, name: str, share: float | None = None) -> tuple[TableSpec, list[float]] | None:
        """The spec, and one AUC a seed; None if it cannot be that small."""
        rows = self.parts[0].rows
        full = stored_bytes(make_spec("full", rows, _DIM))
        try:
            spec = make_spec(name, rows, _DIM) if share is None else self._fit(name, int(full * share))
        except BudgetError:
            return None
        key = spec.to_json()
        if key not in self.done:
            seeds = range(self.seeds)
            self.done[key] = [train_ctr(spec, self.parts, settings=self.settings, seed=s).auc for s in seeds]
        return spec, self.done[key]

    def _fit(self, name: str, budget: int) -> TableSpec:
        spec = _fit(name, self.parts[0].rows, _DIM, budget)
        self.excess = max(self.excess, stored_bytes(spec) / budget - 1)
        return spec


def _fit(name: str, rows: tuple[int, ...], dim: int, budget: int) -> TableSpec:
    method, one, _ = name.partition(", one lookup")
    return fit_spec(method, rows, dim, budget, **({"lookups": 1} if one else {}))


def _data(quick: bool, given: str | None) -> tuple[Examples, str]:
    if given is not None:
        from nestvec.inputs import cells
        from nestvec.training.columns import fit_columns

        path, _, target = given.rpartition(":")
        rows = list(itertools.islice(cells(path), 100_000 if quick else 2_000_000))
        order = np.random.default_rng(0).permutation(len(rows))[: int(len(rows) * 0.7)]
        return fit_columns([rows[i] for i in order], target).encode(rows), Path(path).name
    # values with much of their own (noise 1), and rows enough to learn it: only there can a full table lead
    teacher = Teacher(fields=5, largest=500 if quick else 3000, skew=0.7, noise=1.0)
    examples, ceiling = teacher.sample(60_000 if quick else 400_000)
    return examples, f"the teacher, whose own AUC is {ceiling:.4f}"


def _clustered(quick: bool, outcome: Outcome, runs: _Runs) -> None:
    """The other kind of data: skewed ids that resemble one another, where sharing rows helps."""
    teacher = Teacher(fields=5, largest=2000 if quick else 20_000)
    examples, ceiling = teacher.sample(40_000 if quick else 300_000)
    others = _Runs(examples.split(seed=0), runs.settings, runs.seeds)
    _add(outcome, others, "full", kind="clustered: ")
    for name in ("hash", *_ALSO) if not quick else ("hash", "unified+int4"):
        _add(outcome, others, name, 0.05, kind="clustered: ")
    outcome.notes.append(
        f"clustered: {len(examples):,} rows of ids around 12 centres; the teacher's AUC is {ceiling:.4f}."
    )


def run(*, quick: bool = False, file: str | None = None) -> Outcome:
    """Five seeds (two in the quick run); every figure is of test rows, with the table as it is served.

    Args:
        quick: less of everything.
        file: rows of one's own, as ``path:target column``; then nothing else is measured.
    """
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    examples, where = _data(quick, file)
    settings = CTRSettings(epochs=2.0, batch=512) if quick else CTRSettings(batch=1024)
    runs = _Runs(examples.split(seed=0), settings, 2 if quick else 5)
    outcome = Outcome({}, ("method", "share", "bytes", "AUC or recall", "std"))
    outcome.notes.append(f"rows of {where}: {len(examples):,}, {sum(examples.rows):,} ids; {runs.seeds} seeds.")
    holds = _order(runs, outcome, quick=quick)
    full = runs.done[make_spec("full", runs.parts[0].rows, _DIM).to_json()]
    losses = {name: statistics.fmean(full) - statistics.fmean(_add(outcome, runs, name)) for name in ("int8", "int4")}
    small = {name: _add(outcome, runs, name, 0.05) for name in _ALSO}
    combined = [statistics.fmean(small[name]) for name in ("unified+int4", "quotient_remainder+int4") if small[name]]
    outcome.figures = {
        "order_holds": holds, "int8_loss": losses["int8"], "int4_loss": losses["int4"],
        "advisor_regret": _regret(runs), "budget_excess_max": runs.excess,
        "pareto_at_5pct": max(combined, default=None),
        "best_other_at_5pct": max((statistics.fmean(v) for k, v in small.items() if v and "+" not in k), default=None),
    }  # fmt: skip
    if file is None:
        _clustered(quick, outcome, runs)
        _places(quick, outcome)
    outcome.notes.append("order_holds: hash < unified with one lookup < full, each gap above two standard deviations.")
    return outcome


def _add(outcome: Outcome, runs: _Runs, name: str, share: float | None = None, *, kind: str = "") -> list[float]:
    found = runs.aucs(name, share)
    label = "" if share is None else f"{share:.0%}"
    if found is None:
        outcome.rows.append((kind + name, label, "too large", "", ""))
        return []
    spec, aucs = found
    outcome.rows.append((kind + name, label, stored_bytes(spec), statistics.fmean(aucs), statistics.stdev(aucs)))
    return aucs


def _order(runs: _Runs, outcome: Outcome, *, quick: bool) -> int:
    holds = True
    full = _add(outcome, runs, "full")
    for share in _SHARES[1:] if quick else _SHARES:
        scores = [_add(outcome, runs, name, share) for name in _ORDER[:-1]] + [full]
        holds &= _apart(scores)
        if share != _SHARES[-1]:  # where everything is shown
            _add(outcome, runs, "low_dim", share)
    return int(holds)


def _apart(rising: list[list[float]]) -> bool:
    """Whether each is above the one before it by more than two standard deviations of the wider."""
    return all(
        statistics.fmean(high) - statistics.fmean(low) > 2 * max(statistics.stdev(low), statistics.stdev(high))
        for low, high in itertools.pairwise(rising)
    )


@dataclass
class _Places:
    """Tables of people and places under two towers: who goes where next."""

    visits: _gowalla.Visits
    settings: _gowalla.TowerSettings
    seeds: int
    outcome: Outcome

    def add(self, name: str, share: float | None = None, *, runs: int | None = None) -> list[float]:
        """Recall@20 of all seeds or so many runs; nothing if the table cannot be that small."""
        label, rows = "" if share is None else f"{share:.0%}", self.visits.rows
        full = make_spec("full", rows, _PLACES_DIM)
        try:
            spec = full if share is None else _fit(name, rows, _PLACES_DIM, int(stored_bytes(full) * share))
        except BudgetError:
            self.outcome.rows.append((f"Gowalla: {name}", label, "too large", "", ""))
            return []
        seeds = range(runs or self.seeds)
        recalls = [_gowalla.train_towers(spec, self.visits, self.settings, seed=seed)[0] for seed in seeds]
        mean, spread = statistics.fmean(recalls), statistics.stdev(recalls) if len(recalls) > 1 else ""
        self.outcome.rows.append((f"Gowalla: {name}", label, stored_bytes(spec), mean, spread))
        return recalls


def _places(quick: bool, outcome: Outcome) -> None:
    """The order of specs 1.5, every method at a tenth of the bytes, and the most visited places beside."""
    visits = _gowalla.load(people=_QUICK_PEOPLE if quick else _PEOPLE)
    outcome.figures |= dict.fromkeys(("places_order_holds", "places_full", "places_popularity"))
    if visits is None:
        outcome.missing["places_order_holds"] = "no data folder with gowalla; set NESTVEC_DATA"
        return
    settings = _gowalla.TowerSettings(epochs=8 if quick else 12)
    places = _Places(visits, settings, 2 if quick else 3, outcome)
    trivial = _gowalla.popularity(visits)[0]
    outcome.rows.append(("Gowalla: most visited places", "", "", trivial, ""))
    full = places.add("full")
    shares = _PLACES_SHARES[1:2] if quick else _PLACES_SHARES
    rising = [[*(places.add(name, share) for name in _ORDER[:-1]), full] for share in shares]
    for name in _PLACES_ALSO[:2] if quick else _PLACES_ALSO:
        places.add(name, _PLACES_SHARES[-1], runs=1)  # the rows above tell the spread
    outcome.figures |= {
        "places_order_holds": int(all(map(_apart, rising))),
        "places_full": statistics.fmean(full),
        "places_popularity": trivial,
    }
    outcome.notes.append(
        f"Gowalla: Recall@20 of places not visited before; {visits.rows[0]:,} people drawn at random, and the "
        f"{visits.rows[1]:,} places that {_gowalla.LEAST} visits of theirs or more lead to; the split as given; "
        f"two towers of width {_PLACES_DIM}; {places.seeds} seeds, one where no spread is given."
    )


def _regret(runs: _Runs) -> float:
    """What the advisor's choice at a fifth of the bytes loses against the best of all, trained to the end."""
    budget = int(stored_bytes(make_spec("full", runs.parts[0].rows, _DIM)) * 0.2)
    advice = advise(
        runs.parts, [budget], dim=_DIM, seeds=min(runs.seeds, 3), settings=runs.settings, candidates=_ADVISED
    )
    everything = [found for name in _ADVISED if (found := runs.aucs(name, 0.2)) is not None]
    best = max(statistics.fmean(aucs) for _, aucs in everything)
    return max(best - advice.chosen[budget].auc, 0.0)
