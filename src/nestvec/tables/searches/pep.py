"""Thresholds that learn, and a second chance for what they leave."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nestvec.core.types import Array
from nestvec.tables.search import Found, Judge, Start, Strategy
from nestvec.tables.sparse import largest

_RATE = 0.01
"""Of the thresholds, under Adam."""
_FROM, _TO = 0.1, 0.9
"""The parts of the search between which the level rises."""
_TIMES = 50
"""How often the level is solved for."""


class PEP(Strategy):
    """``sign(w) * max(|w| - exp(l + s_j), 0)`` with a threshold ``s_j`` for each dimension that learns with the rows.

    The level ``l`` is solved for, so that as many numbers are left as a cubic schedule asks, from all of them to those
    that are kept. The mask is what passes in the end; the model then begins again from its first weights.

    Args:
        start: what to begin with.

    Source: Liu et al. 2021, sec. 3.2 and 3.3 (arXiv:2101.07577), thresholds by dimension. There all thresholds drift
    up until few numbers are left, through a sigmoid, which is ``exp`` far below one.
    """

    rewinds: ClassVar[bool] = True

    def __init__(self, start: Start) -> None:
        self.kept, self.last, self.level = start.kept, 0, -15.0  # as in the paper: nothing is that small
        self.thresholds = torch.zeros(1, start.spec.dim, requires_grad=True)
        self.optimiser = torch.optim.Adam([self.thresholds], lr=_RATE)

    def soften(self, rows: Tensor, at: Tensor, *, training: bool) -> Tensor:  # noqa: ARG002  # all rows are alike
        """What passes the thresholds, less them."""
        return rows.sign() * (rows.abs() - (self.level + self.thresholds).exp()).relu()

    def after_step(self, weight: Tensor, done: float) -> None:
        """Move the thresholds, and raise the level now and then."""
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.thresholds -= self.thresholds.mean()  # what they have in common is the level's to say
        if int(done * _TIMES) > self.last:
            self.last = int(done * _TIMES)
            x = min(max(done - _FROM, 0) / (_TO - _FROM), 1)
            kept = self.kept + round((weight.numel() - self.kept) * (1 - x) ** 3)
            if kept < weight.numel():
                margins = self._margins(weight).reshape(-1)
                self.level = float(-torch.from_numpy(-margins).kthvalue(kept + 1).values)

    def found(self, weight: Tensor, judge: Judge | None) -> Found:  # noqa: ARG002  # thresholds decide
        """What is farthest above its threshold."""
        return Found(mask=largest(self._margins(weight), self.kept))

    def _margins(self, weight: Tensor) -> Array:
        margins: Array = (weight.detach().abs().clamp_min(1e-30).log() - self.thresholds.detach()).numpy()
        return margins
