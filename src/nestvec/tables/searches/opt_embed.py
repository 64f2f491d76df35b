"""Which ids need a row at all, and how long the rows of a field must be: thresholds, then evolution."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.search import Found, Judge, Start, Strategy

_PENALTY = 1e-4
_GENERATIONS = 10
"""Thirty in the paper, for models with far more fields than make sense here."""
_PARENTS = 10
_CHILDREN = 10
"""By mutation, and as many by crossover."""
_MUTATION = 0.1


class OptEmbed(Strategy):
    """Rows shorter than a threshold of their field are dropped, and the rest are cut to a length of their field.

    While it is sought, ``w_i`` counts if ``|w_i|_1 > t_f``, the ``t_f`` learn against ``sum_f exp(-t_f)`` through the
    step, and every batch cuts each field to a random length, so that one supernet holds all lengths. Then lengths
    evolve, judged by the model on validation rows: the rows that pass by most are kept, as far as the numbers go. The
    model begins again with both masks.

    Args:
        start: what to begin with.

    Source: Lyu et al. 2022, sec. 3 and alg. 1 (arXiv:2208.04482). A mutant is a copy of its parent, and parents are
    crossed between fields. The limit of numbers is new.
    """

    rewinds: ClassVar[bool] = True

    def __init__(self, start: Start) -> None:
        self.kept, self.dim, self.fields = start.kept, start.spec.dim, len(start.sizes.rows)
        self.field = start.fields()
        typical = float(start.values.abs().sum(dim=1).mean())
        self.thresholds = torch.zeros(self.fields, requires_grad=True)
        # no threshold can pass a typical first row in one search
        self.optimiser = torch.optim.Adam([self.thresholds], lr=typical / start.steps)
        self.random = np.random.default_rng((start.spec.seed, 17))
        self.cut: Tensor | None = None

    def soften(self, rows: Tensor, at: Tensor, *, training: bool) -> Tensor:
        """The rows that pass, cut."""
        if self.cut is not None:
            return rows * (torch.arange(self.dim) < self.cut[at, None])
        field = self.field[at]
        passed = _Step.apply(rows.abs().sum(dim=1) - self.thresholds[field])[:, None]
        if not training:
            return rows * passed
        lengths = torch.from_numpy(self._draw())
        return rows * passed * (torch.arange(self.dim) < lengths[field][:, None])

    def penalty(self) -> Tensor | float:
        """``1e-4 * sum_f exp(-t_f)``."""
        return _PENALTY * (-self.thresholds).exp().sum()

    def after_step(self, weight: Tensor, done: float) -> None:  # noqa: ARG002  # no schedule
        """Move the thresholds."""
        self.optimiser.step()
        self.optimiser.zero_grad()

    def found(self, weight: Tensor, judge: Judge | None) -> Found:
        """The lengths that evolve.

        Raises:
            InputError: there is no judge.
        """
        if judge is None:
            raise InputError("opt_embed must be judged to choose lengths, got no judge. Call harden(judge).")
        margins = (weight.abs().sum(dim=1) - self.thresholds.detach()[self.field]).numpy()
        order = np.argsort(-margins, kind="stable")
        passed = order[: max(int((margins > 0).sum()), 1)]
        mask = np.arange(self.dim) < self._cut(self._evolved(passed, judge), passed)[:, None]
        return Found(settings={"kept": int(mask.sum())}, mask=mask)

    def _evolved(self, passed: Array, judge: Judge) -> Array:
        """``[fields]`` the best lengths that were judged."""
        best, top = np.full(self.fields, self.dim), -np.inf
        population = [best, *(self._draw() for _ in range(2 * _CHILDREN - 1))]
        for _ in range(_GENERATIONS):
            scores = []
            for lengths in population:
                self.cut = torch.from_numpy(self._cut(lengths, passed))
                scores.append(judge())
            self.cut = None
            ranked = np.argsort(-np.array(scores), kind="stable")
            if scores[ranked[0]] > top:
                best, top = population[ranked[0]], scores[ranked[0]]
            parents = [population[i] for i in ranked[:_PARENTS]]
            population = self._mutants(parents) + self._crossed(parents)
        return best

    def _cut(self, lengths: Array, passed: Array) -> Array:
        """``[n]`` the length of every row: that of its field, until no numbers are left."""
        wanted = lengths[self.field.numpy()[passed]]
        rows = np.zeros(len(self.field), np.int64)
        rows[passed] = np.clip(self.kept - (np.cumsum(wanted) - wanted), 0, wanted)
        return rows

    def _draw(self) -> Array:
        return self.random.integers(1, self.dim + 1, self.fields)

    def _mutants(self, parents: list[Array]) -> list[Array]:
        chosen = [parents[i] for i in self.random.integers(0, len(parents), _CHILDREN)]
        return [np.where(self.random.random(self.fields) < _MUTATION, self._draw(), one) for one in chosen]

    def _crossed(self, parents: list[Array]) -> list[Array]:
        pairs = self.random.integers(0, len(parents), (_CHILDREN, 2))
        cuts = self.random.integers(0, self.fields + 1, _CHILDREN)
        first = np.arange(self.fields) < cuts[:, None]
        return [np.where(one, parents[a], parents[b]) for one, (a, b) in zip(first, pairs, strict=True)]


class _Step(torch.autograd.Function):  # type: ignore[misc]  # torch is not followed by mypy
    """1 where ``x`` is positive, else 0; the gradient is ``2 - 4|x|`` near 0, .4 up to 1, and 0 beyond.

    Source: Lyu et al. 2022, sec. 3 (arXiv:2208.04482), the long-tailed estimator.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        far = x.abs()
        return slope * torch.where(far <= 0.4, 2 - 4 * far, torch.where(far <= 1, 0.4, 0.0))
