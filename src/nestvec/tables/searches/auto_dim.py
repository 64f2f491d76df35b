"""A width for every field, chosen among powers of two by a soft mixture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from nestvec.core.types import Array
from nestvec.tables.blocks import widths_up_to
from nestvec.tables.frozen import stored_bytes
from nestvec.tables.method import Part
from nestvec.tables.module import first_values
from nestvec.tables.rows import FloatRows
from nestvec.tables.search import Found, Judge, Start, Strategy

_COLDEST = 0.01
_TRAVEL = 10.0
"""How far a logit could go in a whole search under Adam if it were always pushed one way."""


class AutoDim(Strategy):
    """``sum_c p_fc * norm(w_i[:c] P_fc)``: every field mixes its rows cut to 1, 2, 4, … numbers and widened again.

    ``p`` is a Gumbel softmax whose temperature falls from 1 to .01, over logits that follow validation rows; ``norm``
    is a batch norm without stretch and shift, so that all widths speak equally loud. In the end each field takes its
    likeliest width. Where these do not fit, all begin at 1, and step by step the field is widened that is most likely
    to want more, where it fits. The model begins again.

    Args:
        start: what to begin with.

    Source: Zhao et al. 2021, sec. 2 (arXiv:2006.14827), with shared weights (a short row is the beginning of the long
    one), first order. The budget is new: there the likeliest widths are taken whatever they weigh.
    """

    rewinds: ClassVar[bool] = True

    def __init__(self, start: Start) -> None:
        self.start, self.widths = start, widths_up_to(start.spec.dim)
        self.field, fields = start.fields(), len(start.sizes.rows)
        self.logits = torch.zeros(fields, len(self.widths), requires_grad=True)
        self.optimiser = torch.optim.Adam([self.logits], lr=_TRAVEL / start.steps)
        self.cold = 1.0
        self.random = torch.Generator().manual_seed(start.spec.seed)
        shape = (fields, len(self.widths), start.spec.dim)
        self.mean, self.variance = torch.zeros(shape), torch.ones(shape)
        bound = (6 / (start.spec.dim + start.spec.dim)) ** 0.5  # Glorot and Bengio
        part = Part(fields * sum(self.widths), start.spec.dim, spread=bound, whole=True)
        self.projections = FloatRows(first_values(part, seed=start.spec.seed, number=99), part)

    def layers(self) -> Mapping[str, FloatRows]:
        """The matrices that widen, ``[fields * sum of widths, dim]``."""
        return {"projections": self.projections}

    def soften(self, rows: Tensor, at: Tensor, *, training: bool) -> Tensor:
        """The mixture of every field."""
        if not len(at):
            return rows
        field = self.field[at]
        chance = self._chances(training=training, cold=self.cold)
        pieces, order = [], []
        for f in field.unique().tolist():
            mine = (field == f).nonzero()[:, 0]
            pieces.append(self._mixed(rows[mine], f, chance[f], training=training))
            order.append(mine)
        return torch.cat(pieces)[torch.cat(order).argsort()]

    def after_step(self, weight: Tensor, done: float) -> None:  # noqa: ARG002  # rows are the model's
        """Cool."""
        self.logits.grad = None  # of training rows
        self.cold = max(1 - done, _COLDEST)

    def choosing(self, done: float) -> bool:
        """Until the end."""
        return done < 1

    def choose(self) -> None:
        """Move the logits."""
        self.optimiser.step()
        self.optimiser.zero_grad()

    def found(self, weight: Tensor, judge: Judge | None) -> Found:  # noqa: ARG002  # logits decide
        """The likeliest widths that fit."""
        chances = self._chances(training=False, cold=1.0).detach().numpy()
        likeliest = self._at(chances.argmax(axis=1))
        if self._fits(likeliest):
            return Found(settings={"widths": likeliest})
        more = 1 - chances.cumsum(axis=1)[:, :-1]  # that a field wants to be wider than it is
        level = np.zeros(len(chances), np.int64)
        for step in np.argsort(-more, axis=None, kind="stable").tolist():
            f, c = divmod(step, more.shape[1])
            wider = level + (np.arange(len(level)) == f)
            if level[f] == c and self._fits(self._at(wider)):
                level = wider
        widths = self._at(level)
        return Found(settings={"widths": widths if self._fits(widths) else self.start.spec.settings["widths"]})

    def _at(self, level: Array) -> tuple[int, ...]:
        return tuple(self.widths[c] for c in level.tolist())

    def _fits(self, widths: tuple[int, ...]) -> bool:
        spec = self.start.spec
        made = replace(spec, search="", settings={**spec.settings, "widths": widths})
        return stored_bytes(made) <= stored_bytes(spec)

    def _chances(self, *, training: bool, cold: float) -> Tensor:
        logits = self.logits.log_softmax(dim=1)
        if training:
            noise = torch.rand(logits.shape, generator=self.random).clamp_min(1e-20)
            logits = logits - (-noise.log()).log()
        return (logits / cold).softmax(dim=1)

    def _mixed(self, rows: Tensor, f: int, chance: Tensor, *, training: bool) -> Tensor:
        at = f * sum(self.widths)
        mixed = torch.zeros_like(rows)
        for c, width in enumerate(self.widths):
            wide = rows[:, :width] @ self.projections.weight[at : at + width]
            at += width
            normal = functional.batch_norm(
                wide, self.mean[f, c], self.variance[f, c], training=training and len(rows) > 1, momentum=0.1, eps=1e-5
            )
            mixed = mixed + chance[c] * normal
        return mixed
