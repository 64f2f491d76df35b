"""Which table to use: every method that fits is trained on the user's own rows, and the best are trained again."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from nestvec.core.errors import BudgetError, InputError
from nestvec.core.types import JSON
from nestvec.tables import FrozenTable, TableSpec, fit_spec, make_spec
from nestvec.training.ctr import CTRSettings, TrainedCTR, train_ctr
from nestvec.training.ctr_data import Examples, auc_margin

CANDIDATES = (
    "int8", "int4", "alpt4", "dpq", "low_dim", "low_dim+int8", "mixed_dim", "adapt_hot_cold", "adapt_hot_cold+int4",
    "alpt2", "mgqe", "lr2vq", "cafe", "cce", "dedup",
    "hash", "unified", "unified+int4", "quotient_remainder", "quotient_remainder+int4", "hash_embedding", "memcom",
    "robe", "bloom", "tensor_train", "auto_dim", "dnis", "opt_embed", "pep", "deeplight",
)  # fmt: skip
"""What is tried where nothing else is asked for."""

FULL, RARE = "full", "drop rare ids"
BASELINES = (FULL, "low_dim", RARE)
"""What is measured whatever it scores."""

_CLOSE = 0.002
"""AUC that a smaller table may cost and still be recommended."""
_FIRST_ROUND = 3
"""The first round has one part in so many of the epochs."""
# two-sided 95 % of Student's t for 1, 2, … degrees of freedom
_T = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)


@dataclass(frozen=True)
class Measured:
    """What one method did under one budget.

    Args:
        name: of the method.
        budget: bytes it was given; 0 for the full table.
        bytes: of the file of its best run.
        aucs: one a seed, on the test rows.
        valid: mean AUC on the validation rows, by which it is chosen.
        train_rows_per_s: of the whole model.
        lookups_per_s: of the saved table.
        best: the run with the best validation score.
    """

    name: str
    budget: int
    bytes: int
    aucs: tuple[float, ...]
    valid: float
    train_rows_per_s: float
    lookups_per_s: float
    best: TrainedCTR

    @property
    def auc(self) -> float:
        """Mean over seeds."""
        return statistics.fmean(self.aucs)

    @property
    def margin(self) -> float:
        """Half the 95 % interval of the mean, over seeds; infinite for one."""
        n = len(self.aucs)
        if n < 2:
            return math.inf
        t = _T[n - 2] if n - 2 < len(_T) else 1.96
        return t * statistics.stdev(self.aucs) / math.sqrt(n)

    def to_json(self) -> JSON:
        """For ``--json``."""
        return {
            "method": self.name, "budget": self.budget, "bytes": self.bytes, "auc": round(self.auc, 5),
            "margin": None if math.isinf(self.margin) else round(self.margin, 5), "seeds": len(self.aucs),
            "train_rows_per_s": round(self.train_rows_per_s), "lookups_per_s": round(self.lookups_per_s),
        }  # fmt: skip


@dataclass(frozen=True)
class Advice:
    """What was measured, and what follows.

    Args:
        measured: every method of the last rounds, by budget and falling score.
        dropped: ``(budget, method, validation AUC)`` of the first round that went no further.
        infeasible: ``(budget, method, least bytes)``.
        chosen: for each budget, what scores best; the full table where it fits and nothing beats it.
        recommended: the smallest of all that fit a budget and whose score is within .002 of the best of them.
        doubt: half the 95 % interval of one AUC on the validation rows, by which all this was chosen.
    """

    measured: tuple[Measured, ...]
    dropped: tuple[tuple[int, str, float], ...]
    infeasible: tuple[tuple[int, str, int], ...]
    chosen: dict[int, Measured]
    recommended: Measured
    doubt: float

    def front(self) -> list[Measured]:
        """Those that nothing smaller or equal beats, by rising bytes."""
        found: list[Measured] = []
        for m in sorted(self.measured, key=lambda m: (m.bytes, -m.auc)):
            if not found or m.auc > found[-1].auc:
                found.append(m)
        return found


@dataclass
class _Search:
    parts: tuple[Examples, Examples, Examples]
    settings: CTRSettings
    seeds: int
    until: float
    say: Callable[[str], None]
    dim: int
    dropped: list[tuple[int, str, float]] = field(default_factory=list)
    infeasible: list[tuple[int, str, int]] = field(default_factory=list)

    def specs(self, budget: int, names: Sequence[str]) -> dict[str, TableSpec]:
        """The tables that fit, by name."""
        found = {}
        for name in names:
            method, settings = ("adapt_hot_cold", {"hot": 100}) if name == RARE else (name, {})
            try:
                found[name] = fit_spec(method, self.parts[0].rows, self.dim, budget, **settings)
            except BudgetError as cause:
                self.infeasible.append((budget, name, cause.least))
        return found

    def train(self, spec: TableSpec, seed: int, *, epochs: float) -> TrainedCTR:
        settings = replace(self.settings, epochs=epochs)
        return train_ctr(spec, self.parts, settings=settings, seed=seed, stop=self.late)

    def late(self) -> bool:
        return time.monotonic() > self.until

    def measure(self, name: str, budget: int, spec: TableSpec) -> Measured:
        """All seeds, or as many as there is time for; at least one."""
        runs: list[TrainedCTR] = []
        for seed in range(self.seeds):
            if runs and self.late():
                break
            runs.append(self.train(spec, seed, epochs=self.settings.epochs))
        best = max(runs, key=lambda run: run.valid_auc)
        found = Measured(
            name, budget, best.table.nbytes, tuple(run.auc for run in runs),
            statistics.fmean(run.valid_auc for run in runs), statistics.median(run.rows_per_s for run in runs),
            lookups_per_s(runs[0].table), best,
        )  # fmt: skip
        self.say(f"{name}: AUC {found.auc:.4f} in {found.bytes:,} bytes")
        return found

    def halve(self, budget: int, specs: Mapping[str, TableSpec]) -> list[tuple[str, TableSpec]]:
        """The better half, after a short training each; baselines stay."""
        if len(specs) <= 2:
            return list(specs.items())
        scores: dict[str, float] = {}
        for name, spec in specs.items():
            short = self.settings.epochs / _FIRST_ROUND
            scores[name] = self.train(spec, 0, epochs=short).valid_auc
            self.say(f"first round, {name}: AUC {scores[name]:.4f}")
        order = sorted(specs, key=lambda name: -scores[name])
        kept = order[: -(-len(order) // 2)]
        self.dropped += [(budget, name, scores[name]) for name in order if name not in kept and name not in BASELINES]
        return [(name, specs[name]) for name in order if name in kept or name in BASELINES]


def advise(
    parts: tuple[Examples, Examples, Examples], budgets: Sequence[int], *, dim: int = 16, seeds: int = 3,
    settings: CTRSettings | None = None, candidates: Sequence[str] = CANDIDATES, minutes: float = math.inf,
    say: Callable[[str], None] | None = None,
) -> Advice:  # fmt: skip
    """Measure every method that fits on ``parts``, by successive halving.

    Under each budget, all candidates are trained for a third of the epochs with one seed; the better half, by
    validation AUC, for all epochs with all seeds. The full table, narrow rows and the dropping of rare ids are
    measured to the end whatever they score. Choices are made on validation rows; the figures are of test rows.

    Args:
        parts: rows for training, validation and test.
        budgets: bytes.
        dim: width of the rows.
        seeds: of the last round.
        settings: of the training.
        candidates: names of methods, with codecs.
        minutes: after which no run starts that is not needed, and a run ends at its next look.
        say: told what happens, if anybody wants to know.

    Raises:
        InputError, UnknownNameError: nothing fits into any budget, or there is no such method.

    Source: Jamieson and Talwalkar 2016, fig. 1 (arXiv:1502.07943).
    """
    search = _Search(parts, settings or CTRSettings(), seeds, time.monotonic() + minutes * 60, say or _silent, dim)
    names = list(dict.fromkeys([*candidates, *(name for name in BASELINES if name != FULL)]))
    # all that can be said without training is said before it
    fitting = {budget: search.specs(budget, names) for budget in sorted(set(budgets), reverse=True)}
    if not any(fitting.values()):
        _, name, least = min(search.infeasible, key=lambda item: item[2])
        raise InputError(
            f"a budget must hold a table, got {max(budgets):,} bytes; the least is {least:,} bytes ({name})."
        )
    full = search.measure(FULL, 0, make_spec("full", parts[0].rows, dim))
    measured = [full]
    chosen: dict[int, Measured] = {}
    for budget, specs in fitting.items():
        found = [search.measure(name, budget, spec) for name, spec in search.halve(budget, specs)]
        if found:
            fits = [full, *found] if full.bytes <= budget else found
            chosen[budget] = max(fits, key=lambda m: m.valid)
            measured += sorted(found, key=lambda m: -m.auc)
    possible = [m for m in measured if m.bytes <= max(chosen)]
    best = max(m.valid for m in possible)
    recommended = min((m for m in possible if m.valid >= best - _CLOSE), key=lambda m: m.bytes)
    positive = int(parts[1].labels.sum())
    doubt = auc_margin(best, positive=positive, negative=len(parts[1]) - positive)
    return Advice(tuple(measured), tuple(search.dropped), tuple(search.infeasible), chosen, recommended, doubt)


def _silent(line: str) -> None:
    """Nobody wants to know."""


def lookups_per_s(table: FrozenTable, *, n: int = 100_000) -> float:
    """Rows a second of a saved table, in batches of 8,192 random ids, on one core."""
    ids = np.random.default_rng(0).integers(0, table.spec.sizes.total, n)
    table.rows(ids[:1000])
    start = time.perf_counter()
    table.rows(ids)
    return n / (time.perf_counter() - start)
