"""Compressed tables: what they keep of a full one, on clicks with a known truth or of a file, and on Gowalla."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import statistics
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
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
_ALSO = (
    "unified", "unified+int4", "quotient_remainder", "quotient_remainder+int4", "quotient_remainder, three digits",
    "quotient_remainder, three coprime", "quotient_remainder, path", "low_dim", "adapt_hot_cold",
)  # fmt: skip
_SETTINGS = {
    "one lookup": {"lookups": 1}, "three digits": {"digits": 3}, "three coprime": {"digits": 3, "coprime": True},
    "path": {"combine": 3},
}  # fmt: skip
"""What stands behind the comma of a name."""
_SEARCHED = ("auto_dim", "dnis", "opt_embed", "pep", "deeplight")
_ADVISED = ("hash", "unified", "unified+int4", "quotient_remainder+int4", "int4", "low_dim")
_ADVISED_AT = 0.2
_PEOPLE, _QUICK_PEOPLE = 5000, 2000  # of Gowalla's 29,858
_PLACES_DIM = 32
_PLACES_SHARES = (1.0, 0.5, 0.1)  # where the published order is (specs 1.5)
_PLACES_ALSO = (
    "unified", "unified+int4", "quotient_remainder", "quotient_remainder+int4", "low_dim", "low_dim+int8", "int4",
    "mixed_dim", "adapt_hot_cold", "subspace", "bloom", "hash_embedding", "memcom", "robe", "tensor_train", "dpq",
)  # fmt: skip


@dataclass
class _Runs:
    """Runs that were begun, in processes beside this one, so that nothing is trained twice.

    Args:
        score: of a table and a seed.
        rows: ids of each field.
        dim: width of a row.
        seeds: unless a call says how many.
        pool: of processes.
    """

    score: Callable[[TableSpec, int], float]
    rows: tuple[int, ...]
    dim: int
    seeds: int
    pool: Executor
    begun: dict[str, list[Future[float]]] = field(default_factory=dict)
    excess: float = 0.0

    @property
    def full(self) -> TableSpec:
        """A row for each id."""
        return make_spec("full", self.rows, self.dim)

    def begin(self, name: str, share: float | None = None, *, seeds: int | None = None) -> TableSpec | None:
        """See to it that it is trained; None if it cannot be that small."""
        try:
            spec = make_spec(name, self.rows, self.dim) if share is None else self._fit(name, share)
        except BudgetError:
            return None
        runs = self.begun.setdefault(spec.to_json(), [])
        runs += [self.pool.submit(self.score, spec, seed) for seed in range(len(runs), seeds or self.seeds)]
        return spec

    def scores(self, name: str, share: float | None = None, *, seeds: int | None = None) -> list[float]:
        """One a seed; none if it cannot be that small."""
        spec = self.begin(name, share, seeds=seeds)
        return [] if spec is None else [run.result() for run in self.begun[spec.to_json()]]

    def add(
        self, outcome: Outcome, name: str, share: float | None = None, *, seeds: int | None = None, kind: str = ""
    ) -> list[float]:
        """The same, as a row of what is printed."""
        label = "" if share is None else f"{share:.0%}"
        spec, scores = self.begin(name, share, seeds=seeds), self.scores(name, share, seeds=seeds)
        if spec is None:
            outcome.rows.append((kind + name, label, "too large", "", ""))
            return []
        spread = statistics.stdev(scores) if len(scores) > 1 else ""
        outcome.rows.append((kind + name, label, stored_bytes(spec), statistics.fmean(scores), spread))
        return scores

    def _fit(self, name: str, share: float) -> TableSpec:
        budget = int(stored_bytes(self.full) * share)
        spec = _fit(name, self.rows, self.dim, budget)
        self.excess = max(self.excess, stored_bytes(spec) / budget - 1)
        return spec


def _pool() -> Executor:
    """A process a core, up to four, of one thread each: runs that know nothing of one another go side by side."""
    cores = min(len(os.sched_getaffinity(0)), 4)
    return ProcessPoolExecutor(
        cores, mp_context=multiprocessing.get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    )


def _auc(spec: TableSpec, seed: int, *, parts: tuple[Examples, Examples, Examples], settings: CTRSettings) -> float:
    return train_ctr(spec, parts, settings=settings, seed=seed).auc


def _recall(spec: TableSpec, seed: int, *, visits: _gowalla.Visits, settings: _gowalla.TowerSettings) -> float:
    return _gowalla.train_towers(spec, visits, settings, seed=seed)[0]


def _fit(name: str, rows: tuple[int, ...], dim: int, budget: int) -> TableSpec:
    method, _, how = name.partition(", ")
    return fit_spec(method, rows, dim, budget, **_SETTINGS.get(how, {}))


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


def run(*, quick: bool = False, file: str | None = None) -> Outcome:
    """Five seeds (two in the quick run); every figure is of test rows, with the table as it is served.

    Everything is begun at once, in a process a core, and read in the order in which it is told.

    Args:
        quick: less of everything.
        file: rows of one's own, as ``path:target column``; then nothing else is measured.
    """
    torch.set_num_threads(1)
    settings = CTRSettings(epochs=2.0, batch=512) if quick else CTRSettings(batch=1024)
    outcome = Outcome({}, ("method", "share", "bytes", "AUC or recall", "std"))
    with _pool() as pool:
        examples, where = _data(quick, file)
        parts, seeds = examples.split(seed=0), 2 if quick else 5
        runs = _Runs(partial(_auc, parts=parts, settings=settings), examples.rows, _DIM, seeds, pool)
        outcome.notes.append(f"rows of {where}: {len(examples):,}, {sum(examples.rows):,} ids; {seeds} seeds.")
        _begin(runs, quick=quick)
        others = None if file else _begin_clustered(quick, outcome, settings, seeds, pool)
        places = None if file else _begin_places(quick, outcome, pool)
        regret = _regret(runs, parts, settings, _advised(quick))  # while they learn
        _kept(runs, outcome, regret, quick=quick)
        if others is not None:
            for name, share in _clustered(quick):
                others.add(outcome, name, share, kind="clustered: ")
        if places is not None:
            _places(quick, outcome, *places)
        elif not file:
            outcome.figures |= dict.fromkeys(("places_order_holds", "places_full", "places_popularity"))
            outcome.missing["places_order_holds"] = "no data folder with gowalla; set NESTVEC_DATA"
    outcome.notes.append("order_holds: hash < unified with one lookup < full, each gap above two standard deviations.")
    return outcome


def _advised(quick: bool) -> tuple[str, ...]:
    return _ADVISED if quick else (*_ADVISED, *_SEARCHED)


def _shares(quick: bool) -> tuple[float, ...]:
    return _SHARES[1:] if quick else _SHARES


def _begin(runs: _Runs, *, quick: bool) -> None:
    for name in ("full", "int8", "int4"):
        runs.begin(name)
    for share in _shares(quick):
        for name in (*_ORDER[:-1], "low_dim"):
            runs.begin(name, share)
    for name in _ALSO:
        runs.begin(name, _SHARES[-1])
    for name in _advised(quick):
        runs.begin(name, _ADVISED_AT)


def _kept(runs: _Runs, outcome: Outcome, regret: float, *, quick: bool) -> None:
    """The order, the codecs, what is left of the bytes, and the searched ones."""
    holds = _order(runs, outcome, quick=quick)
    full = runs.scores("full")
    losses = {name: statistics.fmean(full) - statistics.fmean(runs.add(outcome, name)) for name in ("int8", "int4")}
    for name in () if quick else _SEARCHED:
        runs.add(outcome, name, _ADVISED_AT)
    small = {name: runs.add(outcome, name, _SHARES[-1]) for name in _ALSO}
    combined = [statistics.fmean(small[name]) for name in ("unified+int4", "quotient_remainder+int4") if small[name]]
    outcome.figures = {
        "order_holds": holds, "int8_loss": losses["int8"], "int4_loss": losses["int4"],
        "advisor_regret": regret, "budget_excess_max": runs.excess,
        "pareto_at_5pct": max(combined, default=None),
        "best_other_at_5pct": max((statistics.fmean(v) for k, v in small.items() if v and "+" not in k), default=None),
    }  # fmt: skip
    outcome.notes.append(
        f"searched ({', '.join(_SEARCHED)}): at {_ADVISED_AT:.0%} only, and not in the quick run; at {_SHARES[-1]:.0%} "
        "less than one number an id is left, most rows are gone, and there is nothing to search for."
    )


def _order(runs: _Runs, outcome: Outcome, *, quick: bool) -> int:
    holds = True
    full = runs.add(outcome, "full")
    for share in _shares(quick):
        scores = [runs.add(outcome, name, share) for name in _ORDER[:-1]] + [full]
        holds &= _apart(scores)
        if share != _SHARES[-1]:  # where everything is shown
            runs.add(outcome, "low_dim", share)
    return int(holds)


def _apart(rising: list[list[float]]) -> bool:
    """Whether each is above the one before it by more than two standard deviations of the wider."""
    return all(
        statistics.fmean(high) - statistics.fmean(low) > 2 * max(statistics.stdev(low), statistics.stdev(high))
        for low, high in itertools.pairwise(rising)
    )


def _regret(
    runs: _Runs, parts: tuple[Examples, Examples, Examples], settings: CTRSettings, candidates: tuple[str, ...]
) -> float:
    """What the advisor's choice at a fifth of the bytes loses against the best of all, trained to the end."""
    budget = int(stored_bytes(runs.full) * _ADVISED_AT)
    advice = advise(parts, [budget], dim=_DIM, seeds=min(runs.seeds, 3), settings=settings, candidates=candidates)
    everything = [scores for name in candidates if (scores := runs.scores(name, _ADVISED_AT))]
    return max(max(map(statistics.fmean, everything)) - advice.chosen[budget].auc, 0.0)


def _clustered(quick: bool) -> tuple[tuple[str, float | None], ...]:
    names = ("hash", "unified+int4") if quick else ("hash", *_ALSO)
    return (("full", None), *((name, _SHARES[-1]) for name in names))


def _begin_clustered(quick: bool, outcome: Outcome, settings: CTRSettings, seeds: int, pool: Executor) -> _Runs:
    """The other kind of data: skewed ids that resemble one another, where sharing rows helps."""
    teacher = Teacher(fields=5, largest=2000 if quick else 20_000)
    examples, ceiling = teacher.sample(40_000 if quick else 300_000)
    score = partial(_auc, parts=examples.split(seed=0), settings=settings)
    others = _Runs(score, examples.rows, _DIM, seeds, pool)
    for name, share in _clustered(quick):
        others.begin(name, share)
    outcome.notes.append(
        f"clustered: {len(examples):,} rows of ids around 12 centres; the teacher's AUC is {ceiling:.4f}."
    )
    return others


def _begin_places(quick: bool, outcome: Outcome, pool: Executor) -> tuple[_Runs, float] | None:
    """Tables of people and places under two towers, who goes where next; and what the most visited places make."""
    visits = _gowalla.load(people=_QUICK_PEOPLE if quick else _PEOPLE)
    if visits is None:
        return None
    settings = _gowalla.TowerSettings(epochs=8 if quick else 12)
    places = _Runs(
        partial(_recall, visits=visits, settings=settings), visits.rows, _PLACES_DIM, 2 if quick else 3, pool
    )
    places.begin("full")
    for share in _places_shares(quick):
        for name in _ORDER[:-1]:
            places.begin(name, share)
    for name in _places_also(quick):
        places.begin(name, _PLACES_SHARES[-1], seeds=1)
    outcome.notes.append(
        f"Gowalla: Recall@20 of places not visited before; {visits.rows[0]:,} people drawn at random, and the "
        f"{visits.rows[1]:,} places that {_gowalla.LEAST} visits of theirs or more lead to; the split as given; "
        f"two towers of width {_PLACES_DIM}; {places.seeds} seeds, one where no spread is given."
    )
    return places, _gowalla.popularity(visits)[0]


def _places_shares(quick: bool) -> tuple[float, ...]:
    return _PLACES_SHARES[1:2] if quick else _PLACES_SHARES


def _places_also(quick: bool) -> tuple[str, ...]:
    return _PLACES_ALSO[:2] if quick else _PLACES_ALSO


def _places(quick: bool, outcome: Outcome, places: _Runs, trivial: float) -> None:
    """The order of specs 1.5, every method at a tenth of the bytes, and the most visited places beside."""
    outcome.rows.append(("Gowalla: most visited places", "", "", trivial, ""))
    add = partial(places.add, outcome, kind="Gowalla: ")
    full = add("full")
    rising = [[*(add(name, share) for name in _ORDER[:-1]), full] for share in _places_shares(quick)]
    for name in _places_also(quick):
        add(name, _PLACES_SHARES[-1], seeds=1)  # the rows above tell the spread
    outcome.figures |= {
        "places_order_holds": int(all(map(_apart, rising))),
        "places_full": statistics.fmean(full),
        "places_popularity": trivial,
    }
