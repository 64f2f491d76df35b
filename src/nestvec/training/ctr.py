"""Training a small click model around a table, and what came of it."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables import FrozenTable, RowWiseAdagrad, Search, Table, TableSpec
from nestvec.training.ctr_data import Examples, auc
from nestvec.training.ctr_models import CTRModel

_JUDGED = 4096
"""Validation rows by which evolution judges: it asks hundreds of times."""


@dataclass(frozen=True)
class CTRSettings:
    """How a model is trained.

    Args:
        model: ``dcn`` or ``deepfm``.
        epochs: at most.
        batch: rows a step.
        table_lr: of the table, by row-wise Adagrad.
        lr: of everything else, by Adam.
        looks: how often an epoch the validation rows are scored.
        patience: looks without a better score after which training ends.
        search: epochs of a search for the structure of a table, before it is trained, as a part of ``epochs``.

    Raises:
        InputError: a number is out of range.
    """

    model: str = "dcn"
    epochs: float = 5.0
    batch: int = 1024
    table_lr: float = 0.2
    lr: float = 2e-3
    looks: int = 2
    patience: int = 3
    search: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.epochs < math.inf and 0 <= self.search < math.inf and self.table_lr > 0 and self.lr > 0):
            raise InputError(f"epochs and learning rates must be above 0 and search from 0 on, all finite, got {self}.")
        if min(self.batch, self.looks, self.patience) < 1:
            raise InputError(f"batch, looks and patience must be at least 1, got {self}.")


@dataclass(frozen=True)
class TrainedCTR:
    """A run that ended.

    Args:
        spec: of the table; if a search was asked for, of the one it found.
        seed: of the run.
        auc: on the test rows, with the table as it is served (its codec applied).
        log_loss: the same.
        valid_auc: on the validation rows; what is chosen by.
        rows_per_s: of training; the time of a search counts, its rows do not.
        table: the table as it is served.
    """

    spec: TableSpec
    seed: int
    auc: float
    log_loss: float
    valid_auc: float
    rows_per_s: float
    table: FrozenTable


def train_ctr(
    spec: TableSpec, parts: tuple[Examples, Examples, Examples], *, settings: CTRSettings, seed: int,
    stop: Callable[[], bool] = lambda: False,
) -> TrainedCTR:  # fmt: skip
    """Train on the first of ``parts``, stop by the second, report on the third.

    Args:
        spec: of the table; its seed is that of the run. If it names a search, that comes first.
        parts: rows for training, validation and test.
        settings: see :class:`CTRSettings`.
        seed: of first weights, order of rows, and the table's hashes.
        stop: asked at every look, and at every step of a search; true ends it as if the epochs were over.

    Returns:
        What the best look on validation rows gives on the test rows, both scored with the packed table.
    """
    train, valid, test = parts
    begun = time.perf_counter()
    model = _model(replace(spec, seed=seed), (train, valid), settings, stop)
    seconds = time.perf_counter() - begun if spec.sought else 0.0
    spec, taken = model.table.spec, _Steps(model, settings)
    best, state, waited = -math.inf, copy.deepcopy(model.state_dict()), 0
    batches = _batches(len(train), settings, seed)
    look = max(len(train) // settings.batch // settings.looks, 1)
    ids, labels = torch.from_numpy(train.ids), torch.from_numpy(train.labels)
    for number, at in enumerate(batches, 1):
        start = time.perf_counter()
        taken.step(ids[at], labels[at], number=number, of=len(batches))
        seconds += time.perf_counter() - start
        if number % look and number < len(batches):
            continue
        if not model.table.settled:  # larger than it will be served: nothing to choose by yet
            if stop():
                break
            continue
        score = auc(_logits(model, valid.ids), valid.labels)
        waited = 0 if score > best else waited + 1
        if score > best:
            best, state = score, copy.deepcopy(model.state_dict())
        if waited >= settings.patience or stop():
            break
    if math.isfinite(best):
        model.load_state_dict(state)
    served = model.table.freeze()
    if not (model.table.settled and spec.codec.startswith(("float32", "alpt", "dpq"))):  # those are as they are served
        model.table = Table.thaw(served)
    model.eval()
    logits = _logits(model, test.ids)
    loss = float(functional.binary_cross_entropy_with_logits(torch.from_numpy(logits), torch.from_numpy(test.labels)))
    speed = number * settings.batch / max(seconds, 1e-9)
    valid_auc = auc(_logits(model, valid.ids), valid.labels)
    return TrainedCTR(spec, seed, auc(logits, test.labels), loss, valid_auc, speed, served)


def _model(
    spec: TableSpec, parts: tuple[Examples, Examples], settings: CTRSettings, stop: Callable[[], bool]
) -> CTRModel:
    """What is to be trained: around a new table, or around the one that a search finds."""
    train, valid = parts
    if not spec.sought:
        return CTRModel(Table(spec), train.spans, kind=settings.model, seed=spec.seed)
    batches = _batches(len(train), replace(settings, epochs=settings.epochs * settings.search), spec.seed + 1)
    search = Search(spec, steps=len(batches))
    model = CTRModel(search.table, train.spans, kind=settings.model, seed=spec.seed)
    taken, rng = _Steps(model, settings), np.random.default_rng((spec.seed, 19))
    for number, at in enumerate(batches, 1):
        taken.step(*_tensors(train, at), number=number, of=len(batches), penalty=search.penalty)
        if search.choosing:
            some = rng.integers(0, len(valid), settings.batch)
            taken.slopes(*_tensors(valid, some), penalty=search.penalty)
            search.choose()
        if stop():
            break
    few = valid.take(rng.permutation(len(valid))[:_JUDGED])
    table = search.harden(lambda: auc(_logits(model, few.ids), few.labels))
    again = CTRModel(table, train.spans, kind=settings.model, seed=spec.seed)
    if not search.rewinds:
        rest = {name: value for name, value in model.state_dict().items() if not name.startswith("table.")}
        again.load_state_dict(rest, strict=False)
    return again


class _Steps:
    """Steps of the two optimisers together."""

    def __init__(self, model: CTRModel, settings: CTRSettings) -> None:
        self.model, self.lr = model, settings.table_lr
        learning = [p for p in model.table.parameters() if p.requires_grad]
        looked_up = {id(p) for part in model.table.held.values() if not getattr(part, "whole", False)
                     for p in part.parameters()}  # fmt: skip
        self.optimisers: list[torch.optim.Optimizer] = [
            torch.optim.Adam([*model.rest(), *(p for p in learning if id(p) not in looked_up)], lr=settings.lr)
        ]
        rows = [p for p in learning if id(p) in looked_up]
        if rows:
            self.optimisers.append(RowWiseAdagrad(rows, lr=settings.table_lr))

    def step(
        self, ids: Tensor, labels: Tensor, *, number: int, of: int, penalty: Callable[[], Tensor | float] = float
    ) -> None:
        self.slopes(ids, labels, penalty=penalty)
        for optimiser in self.optimisers:
            optimiser.step()
        self.model.table.after_step(lr=self.lr, step=number, of=of)

    def slopes(self, ids: Tensor, labels: Tensor, *, penalty: Callable[[], Tensor | float] = float) -> None:
        self.model.train()
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
        (functional.binary_cross_entropy_with_logits(self.model(ids), labels) + penalty()).backward()


def _tensors(rows: Examples, at: Array) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(rows.ids[at]), torch.from_numpy(rows.labels[at])


def _batches(n: int, settings: CTRSettings, seed: int) -> list[Array]:
    rng = np.random.default_rng((seed, 5))
    found: list[Array] = []
    for _ in range(math.ceil(settings.epochs)):
        order = rng.permutation(n)
        found += [order[i : i + settings.batch] for i in range(0, n, settings.batch)]
    return found[: max(round(settings.epochs * -(-n // settings.batch)), 1)]


@torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
def _logits(model: CTRModel, ids: Array) -> Array:
    model.eval()
    pieces = [model(torch.from_numpy(ids[i : i + 8192])).numpy() for i in range(0, len(ids), 8192)]
    return np.concatenate(pieces)
