"""Which dimensions the frequent and the rare need, learnt from validation rows."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nestvec.tables.search import Found, Judge, Start, Strategy
from nestvec.tables.sparse import largest

_GROUPS = 6
_WARM = 0.4
"""Part of the search that trains the full table, and counts how often each row is used."""
_L1 = 1e-5


class DNIS(Strategy):
    """``a_g * w_i``: rows are sorted by how often they were used into six groups, and each group weighs its dimensions.

    The weights ``a`` in ``[0, 1]`` start at 1 after a warm-up and follow the gradient of validation rows, that of each
    group divided by its mean size. What is kept is what is largest of ``a_g * w_i``, and the model goes on from there.

    Args:
        start: what to begin with.

    Source: Cheng et al. 2020, sec. 3 (arXiv:2006.04466); Kong et al. 2023, sec. 4 (TKDE 35), where it is called
    AutoSrh. First order, and ``a`` moves so fast that a group pushed one way all along arrives.
    """

    rewinds: ClassVar[bool] = False

    def __init__(self, start: Start) -> None:
        self.kept = start.kept
        self.rate = 1 / max(start.steps * (1 - _WARM), 1)
        self.used = torch.zeros(start.sizes.total)
        self.group: Tensor | None = None
        self.weights = torch.ones(_GROUPS, start.spec.dim, requires_grad=True)

    def soften(self, rows: Tensor, at: Tensor, *, training: bool) -> Tensor:
        """The rows, weighed by their groups once there are any."""
        if self.group is not None:
            return rows * self.weights[self.group[at]]
        if training:
            self.used.index_add_(0, at, torch.ones(len(at)))
        return rows

    def penalty(self) -> Tensor | float:
        """``1e-5 * |a|_1``."""
        return 0.0 if self.group is None else _L1 * self.weights.abs().sum()

    def after_step(self, weight: Tensor, done: float) -> None:  # noqa: ARG002  # rows are the model's
        """Make the groups when the warm-up is over."""
        self.weights.grad = None  # of training rows
        if self.group is None and done >= _WARM:
            order = self.used.argsort(descending=True, stable=True)
            self.group = torch.empty_like(order)
            self.group[order] = torch.arange(len(order)) * _GROUPS // len(order)

    def choosing(self, done: float) -> bool:  # noqa: ARG002  # groups are there or not
        """After the warm-up."""
        return self.group is not None

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def choose(self) -> None:
        """Move the weights of the groups down their gradients."""
        slope = self.weights.grad
        if slope is not None:
            self.weights -= self.rate * slope / slope.abs().mean(dim=1, keepdim=True).clamp_min(1e-12)
            self.weights.clamp_(0, 1)
            self.weights.grad = None

    def found(self, weight: Tensor, judge: Judge | None) -> Found:  # noqa: ARG002  # sizes decide
        """What is largest once weighed, and those values."""
        weighed = weight if self.group is None else weight * self.weights.detach()[self.group]
        return Found(mask=largest(weighed.abs().numpy(), self.kept), values=weighed.numpy())
