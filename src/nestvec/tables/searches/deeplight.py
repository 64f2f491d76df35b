"""Small numbers go, a few at a time, while the model learns."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from nestvec.tables.search import Found, Judge, Start, Strategy
from nestvec.tables.sparse import largest

_WARM = 0.25
"""Part of the search that trains the full table before anything goes."""
_LEFT = 0.01
"""Part of what has to go that is left after the whole schedule of the paper; here the end is brought to nothing."""
_TIMES = 100
"""How often numbers are set to zero."""


class DeepLight(Strategy):
    """The smallest numbers are set to zero, more and more of them: ``(1 - .01^x) / .99`` of what has to go.

    ``x`` runs from 0 to 1 after a warm-up. A number may come back until the search ends, since it still learns. The
    model goes on with what is left.

    Args:
        start: what to begin with.

    Source: Deng et al. 2021, sec. 4.3 (arXiv:2002.06987), for the table alone, with a schedule that ends on time.
    """

    rewinds: ClassVar[bool] = False

    def __init__(self, start: Start) -> None:
        self.kept, self.last = start.kept, 0

    def soften(self, rows: Tensor, at: Tensor, *, training: bool) -> Tensor:  # noqa: ARG002  # all rows are alike
        """The rows as they are."""
        return rows

    def after_step(self, weight: Tensor, done: float) -> None:
        """Set the smallest to zero, a hundred times in all."""
        x = max(done - _WARM, 0) / (1 - _WARM)
        if int(x * _TIMES) > self.last:
            self.last = int(x * _TIMES)
            gone = (1 - _LEFT**x) / (1 - _LEFT)
            kept = weight.numel() - round(gone * (weight.numel() - self.kept))
            weight[~_mask(weight, kept)] = 0

    def found(self, weight: Tensor, judge: Judge | None) -> Found:  # noqa: ARG002  # sizes decide
        """The largest numbers, and their values."""
        return Found(mask=_mask(weight, self.kept).numpy(), values=weight.numpy())


def _mask(weight: Tensor, kept: int) -> Tensor:
    return torch.from_numpy(largest(weight.detach().abs().numpy(), kept))
