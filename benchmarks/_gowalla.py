"""Places that people went to: two towers over tables of their ids, on the split of Gowalla that LightGCN uses."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import data
from nestvec.core.types import Array
from nestvec.metrics import ndcg, recall
from nestvec.tables import RowWiseAdagrad, Table, TableSpec, make_spec

DEPTH = 20
LEAST = 5  # visits of a place in the sample, or it is left out: nobody can learn a row from fewer
_HELD = 1500  # people with a visit kept to stop by
_AT_ONCE = 1024  # people whose scores of all places are in memory together


@dataclass(frozen=True)
class Visits:
    """People and places, both numbered by falling frequency in training.

    Args:
        train: ``[n, 2]`` person, place.
        held: ``[m, 2]`` one visit each of some people, kept from training to stop by.
        test: ``[t, 2]`` the visits to be foretold.
        rows: people, places.
    """

    train: Array
    held: Array
    test: Array
    rows: tuple[int, int]


@dataclass(frozen=True)
class TowerSettings:
    """How the towers are trained.

    Args:
        epochs: at most.
        patience: epochs without a better recall of the held visits after which training ends.
        batch: visits a step, and places that each is told from.
        table_lr: of the table, by row-wise Adagrad.
        lr: of the readers, by Adam.
        temperature: of the softmax over cosines.
    """

    epochs: int = 20
    patience: int = 3
    batch: int = 1024
    table_lr: float = 0.1
    lr: float = 2e-3
    temperature: float = 0.15


def load(*, people: int | None = None, seed: int = 0) -> Visits | None:
    """The split as it is given, or the part of it that ``people`` drawn at random make.

    Of a part, places with fewer than five visits in it are left out, from training and test alike.
    """
    folder = data("gowalla")
    if folder is None:
        return None
    with np.load(folder / "gowalla.npz") as file:
        train, test = file["train"].astype(np.int64), file["test"].astype(np.int64)
    rng = np.random.default_rng(seed)
    if people is not None:
        drawn = rng.choice(int(train[:, 0].max()) + 1, people, replace=False)
        train, test = train[np.isin(train[:, 0], drawn)], test[np.isin(test[:, 0], drawn)]
        counts = np.bincount(train[:, 1], minlength=int(test[:, 1].max()) + 1)
        train, test = train[counts[train[:, 1]] >= LEAST], test[counts[test[:, 1]] >= LEAST]
    numbers = [_by_frequency(train[:, side], int(test[:, side].max()) + 1) for side in (0, 1)]
    train, test = (np.stack([number[part[:, i]] for i, number in enumerate(numbers)], axis=1) for part in (train, test))
    test = test[(test >= 0).all(axis=1)]
    order = rng.permutation(len(train))
    _, first = np.unique(train[order, 0], return_index=True)  # one visit of each person, at random
    kept = np.zeros(len(train), bool)
    kept[order[rng.permutation(first)[:_HELD]]] = True
    return Visits(train[~kept], train[kept], test, (int(train[:, 0].max()) + 1, int(train[:, 1].max()) + 1))


def _by_frequency(values: Array, least: int) -> Array:
    """From each value, ``least`` of them or more, to its rank by falling count; -1 for those that do not come."""
    counts = np.bincount(values, minlength=least)
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    ranks = np.full(len(counts), -1, np.int64)
    ranks[order] = np.arange(len(order))
    return ranks


class Towers(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """``cos(A e_person, B e_place)``: each side is read through a matrix of its own.

    Args:
        table: rows of people, then of places.
        seed: of the first matrices, which are orthogonal.
    """

    def __init__(self, table: Table, *, seed: int) -> None:
        super().__init__()
        self.table = table
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            dim = table.spec.dim
            self.readers = nn.ModuleList(nn.Linear(dim, dim, bias=False) for _ in range(2))
            for reader in self.readers:
                nn.init.orthogonal_(reader.weight)

    def forward(self, rows: Tensor, side: int) -> Tensor:
        """``[n, dim]`` rows of the table -> ``[n, dim]`` of length one."""
        vectors: Tensor = functional.normalize(self.readers[side](rows), dim=1)
        return vectors


def train_towers(spec: TableSpec, visits: Visits, settings: TowerSettings, *, seed: int) -> tuple[float, float]:
    """Recall@20 and nDCG@20 of the test visits, with the table as it is served, at the best look on held visits."""
    spec = replace(spec, seed=seed)
    towers = Towers(Table(spec), seed=seed)
    optimisers = _optimisers(towers, settings)
    people = visits.rows[0]
    frequency = np.bincount(visits.train[:, 1], minlength=visits.rows[1]) / len(visits.train)
    chance = torch.from_numpy(np.log(np.maximum(frequency, 1 / len(visits.train))).astype(np.float32))
    pairs, rng = torch.from_numpy(visits.train), np.random.default_rng((seed, 5))
    best, at_best, waited = -math.inf, copy.deepcopy(towers.state_dict()), 0
    for _ in range(settings.epochs):
        towers.train()
        for batch in torch.from_numpy(rng.permutation(len(pairs))).split(settings.batch):
            who, where = pairs[batch].T
            rows = towers.table(torch.cat([who, where + people]))
            scores = towers(rows[: len(who)], 0) @ towers(rows[len(who) :], 1).T / settings.temperature
            towers.zero_grad(set_to_none=True)
            _loss(scores, where, chance[where]).backward()
            for optimiser in optimisers:
                optimiser.step()
            towers.table.after_step(lr=settings.table_lr)
        towers.eval()
        found, _ = scores_of(towers, visits, visits.held, known=visits.train)
        waited = 0 if found > best else waited + 1
        if found > best:
            best, at_best = found, copy.deepcopy(towers.state_dict())
        if waited >= settings.patience:
            break
    towers.load_state_dict(at_best)
    of_test: tuple[float, float]
    of_test = scores_of(towers, visits, visits.test, known=np.concatenate([visits.train, visits.held]))
    return of_test


def _optimisers(towers: Towers, settings: TowerSettings) -> list[torch.optim.Optimizer]:
    """Rows that are looked up by row-wise Adagrad; readers, and what a table reads as a whole, by Adam."""
    parts = towers.table.held.values()
    rows = [p for part in parts if not getattr(part, "whole", False) for p in part.parameters() if p.requires_grad]
    taken = {id(p) for p in rows}
    rest = [p for p in towers.parameters() if p.requires_grad and id(p) not in taken]
    return [torch.optim.Adam(rest, lr=settings.lr), *([RowWiseAdagrad(rows, lr=settings.table_lr)] if rows else [])]


def _loss(scores: Tensor, where: Tensor, chance: Tensor) -> Tensor:
    """Softmax over the places of the batch, less how often each is there (Yi et al. 2019, RecSys)."""
    scores = scores - chance
    twice = (where[:, None] == where) & ~torch.eye(len(where), dtype=torch.bool)
    return functional.cross_entropy(scores.masked_fill(twice, -torch.inf), torch.arange(len(where)))


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def scores_of(towers: Towers, visits: Visits, wanted: Array, *, known: Array) -> tuple[float, float]:
    """Recall@20 and nDCG@20 of ``wanted`` among all places but the ``known`` ones, with the table as it is served."""
    rows = torch.from_numpy(towers.table.freeze().rows(np.arange(sum(visits.rows))))
    people, places = towers(rows[: visits.rows[0]], 0), towers(rows[visits.rows[0] :], 1)
    return measure(lambda ids: (people[ids] @ places.T).numpy(), wanted, known=known)


def popularity(visits: Visits) -> tuple[float, float]:
    """The same for the list of the most visited places, one for everybody."""
    known = np.concatenate([visits.train, visits.held])
    counts = np.bincount(known[:, 1], minlength=visits.rows[1]).astype(np.float32)
    return measure(lambda ids: np.tile(counts, (len(ids), 1)), visits.test, known=known)


def measure(score, wanted: Array, *, known: Array) -> tuple[float, float]:  # type: ignore[no-untyped-def]
    """Means over the people who have something wanted."""
    asked = np.unique(wanted[:, 0])
    wanted, known = (part[np.argsort(part[:, 0], kind="stable")] for part in (wanted, known))
    found: list[Sequence[Array]] = []
    for start in range(0, len(asked), _AT_ONCE):
        ids = asked[start : start + _AT_ONCE]
        scores = score(ids)
        row, place = _among(known, ids)
        scores[row, place] = -np.inf
        relevant = np.zeros(scores.shape, bool)
        row, place = _among(wanted, ids)
        relevant[row, place] = True
        top = _best(scores)
        gains = np.take_along_axis(relevant, top, axis=1).astype(np.float64)
        many = relevant.sum(axis=1)
        ideal = (np.arange(max(int(many.max()), DEPTH)) < many[:, None]).astype(np.float64)
        found.append((recall(gains, ideal), ndcg(gains, ideal)))
    both = [float(np.concatenate(part).mean()) for part in zip(*found, strict=True)]
    return both[0], both[1]


def _best(scores: Array) -> Array:
    """``[n, 20]`` the best places of each row, best first."""
    top = np.argpartition(-scores, DEPTH, axis=1)[:, :DEPTH]
    order = np.argsort(-np.take_along_axis(scores, top, axis=1), axis=1, kind="stable")
    best: Array = np.take_along_axis(top, order, axis=1)
    return best


def _among(pairs: Array, ids: Array) -> tuple[Array, Array]:
    """Rows and places of the pairs, sorted by person, of those ``ids``."""
    a, b = np.searchsorted(pairs[:, 0], (ids[0], ids[-1] + 1))
    mine = pairs[a:b]
    mine = mine[np.isin(mine[:, 0], ids)]
    return np.searchsorted(ids, mine[:, 0]), mine[:, 1]


def main() -> None:
    """The whole split with a full table, to be compared with published scores: some minutes on one core."""
    visits = load()
    if visits is None:
        sys.exit("no data folder with gowalla; set NESTVEC_DATA")
    print("method                      Recall@20  nDCG@20")
    print("most visited places         {:9.4f}  {:7.4f}".format(*popularity(visits)))
    print("matrix factorisation, BPR      0.1627   0.1378  published (BARS)")
    print("LightGCN                       0.1820   0.1547  published (BARS)")
    found = train_towers(make_spec("full", visits.rows, 64), visits, TowerSettings(epochs=15), seed=0)
    print("two towers, width 64        {:9.4f}  {:7.4f}".format(*found))


if __name__ == "__main__":
    main()
