"""Compressed tables: what they keep of the AUC of a full one, on clicks with a known truth or of a file."""

from __future__ import annotations

import itertools
import os
import statistics
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

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
_FILE = "NESTVEC_CTR_FILE"  # "path:target column"


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
        method, _, one = name.partition(", one lookup")
        settings = {"lookups": 1} if name != method or one else {}
        spec = fit_spec(method, self.parts[0].rows, _DIM, budget, **settings)
        self.excess = max(self.excess, stored_bytes(spec) / budget - 1)
        return spec


def _data(quick: bool) -> tuple[Examples, str]:
    given = os.environ.get(_FILE)
    if given:
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


def run(*, quick: bool = False) -> Outcome:
    """Five seeds (two in the quick run); every figure is of test rows, with the table as it is served."""
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    examples, where = _data(quick)
    settings = CTRSettings(epochs=2.0, batch=512) if quick else CTRSettings(batch=1024)
    runs = _Runs(examples.split(seed=0), settings, 2 if quick else 5)
    outcome = Outcome({}, ("method", "share", "bytes", "AUC", "std"))
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
    _clustered(quick, outcome, runs)
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
        for low, high in itertools.pairwise(scores):
            spread = max(statistics.stdev(low), statistics.stdev(high))
            holds &= statistics.fmean(high) - statistics.fmean(low) > 2 * spread
    return int(holds)


def _regret(runs: _Runs) -> float:
    """What the advisor's choice at a fifth of the bytes loses against the best of all, trained to the end."""
    budget = int(stored_bytes(make_spec("full", runs.parts[0].rows, _DIM)) * 0.2)
    advice = advise(
        runs.parts, [budget], dim=_DIM, seeds=min(runs.seeds, 3), settings=runs.settings, candidates=_ADVISED
    )
    everything = [found for name in _ADVISED if (found := runs.aucs(name, 0.2)) is not None]
    best = max(statistics.fmean(aucs) for _, aucs in everything)
    return max(best - advice.chosen[budget].auc, 0.0)
