"""Rows that are never floats, not even while they are trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nestvec.core.types import Array
from nestvec.tables.packing import TOP, Packed, RowCodes

_STEP = {8: 0.0308, 4: 0.335, 2: 0.996}
"""Standard deviations between two levels: what quantises a normal distribution with least squared error."""
_FOLLOWS = 0.1
"""Of the way to the step that its row asks for now, which a step goes at once: rows jump about when they are young."""
_BITS = 8  # of the integers that are trained


class LowPrecisionRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Rows as integers times a step, ``row_i = s_i * (q_i + 1/2)`` with ``q`` of ``b`` bits, trained without floats.

    The integers that learn have eight bits, and ``q`` are the upper ``b`` of them. The rows of a batch are read as
    they will be served, their gradient moves the eight bits as row-wise Adagrad would, ``s_i`` follows the spread of
    its row, and what has moved is rounded back at random, up with the probability of the rest, so that small gradients
    add up on average. The lower bits are what makes few bits learn: rounding straight to four levels shakes a row at
    every step by more than it moves, and the shaking does not fade with the learning rate.

    Args:
        values: ``[n, w]`` first values.
        bits: ``b``: 8, 4 or 2.
        seed: of the rounding.

    Memory while training: a byte a number and eight bytes a row.

    Source: Li et al. 2023, alg. 1 (arXiv:2212.05735), with lower bits beside those that are read, and a step that
    follows the row in closed form instead of its own gradient; widths of steps of Max 1960, table 2 (IRE Trans. IT 6).
    """

    codes: Tensor
    step_size: Tensor
    seen: Tensor

    def __init__(self, values: Array, *, bits: int, seed: int) -> None:
        super().__init__()
        self.bits, self.lower = bits, _BITS - bits
        self._random = torch.Generator().manual_seed(seed)
        self._used: list[tuple[Tensor, Tensor]] = []
        self.register_buffer("codes", torch.zeros(values.shape, dtype=torch.int8))
        self.register_buffer("step_size", torch.zeros(len(values)))
        self.register_buffer("seen", torch.zeros(len(values)))
        self._start(torch.from_numpy(values))

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.codes)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def restore(self, form: Packed) -> None:
        """Take over the integers and their steps; the lower bits begin in the middle."""
        if not isinstance(form, RowCodes) or int(form.shape[1]) != self.bits:
            self._start(torch.from_numpy(form.take(np.arange(self.count, dtype=np.int64))))
            return
        half = 1 << self.lower >> 1
        upper = torch.from_numpy(form.numbers().astype(np.int16)) - (1 << self.bits >> 1)
        self.codes.copy_((upper << self.lower) + half)
        self.step_size.copy_(torch.from_numpy(form.scale.astype(np.float32) * form.unit))
        self.seen.zero_()

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``; gradients are kept for :meth:`after_step`."""
        used, where = at.unique(return_inverse=True)
        rows = ((self.codes[used] >> self.lower) + 0.5) * self.step_size[used, None]
        if self.training and torch.is_grad_enabled():
            rows.requires_grad_()
            self._used.append((used, rows))
        return rows[where]

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def after_step(self, *, lr: float) -> None:
        """Move the rows that were used since the last call."""
        for used, rows in self._used:
            if rows.grad is not None:
                self._move(used, rows.grad, lr)
        self._used.clear()

    def packed(self, codec: str) -> Packed:  # noqa: ARG002  # the codec is what this is
        """The upper bits as they are, with their steps in half precision."""
        step, lowest = self.step_size.numpy(), -(2 ** (self.bits - 1))
        unit = float(step.max(initial=0) * -lowest or 1) / TOP
        scale = (step / unit).astype("float16")
        low = (scale.astype("float32") * (lowest + 0.5)).astype("float16")
        numbers = ((self.codes.numpy() >> self.lower).astype("int16") - lowest).astype("uint8")
        return RowCodes.of(numbers, scale, low, bits=self.bits, unit=unit)

    def _start(self, x: Tensor) -> None:
        wanted = self._wanted(x)
        self.step_size.copy_(torch.maximum(wanted, wanted.mean().clamp_min(1e-8)))
        self.codes.copy_(self._round(x / self.step_size[:, None]))
        self.seen.zero_()

    def _move(self, used: Tensor, gradient: Tensor, lr: float) -> None:
        seen = self.seen[used] + gradient.square().mean(dim=1)
        self.seen[used] = seen
        size = self.step_size[used]
        x = (self.codes[used] + 0.5) * (size / 2**self.lower)[:, None]
        x -= lr * gradient / (seen.sqrt() + 1e-8)[:, None]
        size += _FOLLOWS * (self._wanted(x) - size)
        self.step_size[used] = size
        self.codes[used] = self._round(x / size[:, None])

    def _wanted(self, x: Tensor) -> Tensor:
        return _STEP[self.bits] * x.square().mean(dim=1).sqrt()

    def _round(self, x: Tensor) -> Tensor:
        up = torch.rand(x.shape, generator=self._random)
        rounded: Tensor = (x * 2**self.lower - 0.5 + up).floor().clamp(-128, 127).to(torch.int8)
        return rounded
