"""Rows that are never floats, not even while they are trained."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from nestvec.core.types import Array
from nestvec.tables.packing import TOP, Packed, RowCodes

_SPARE = 4.0
"""First steps reach so many times beyond the largest first value, because rows grow while they learn."""
_STEP_RATE = 1e-3
"""Of the learning rate. A step that moves rounds a whole row anew, which costs more than a better step gains."""
_GROWTH = 1.5
"""What a step is multiplied by when its row has outgrown it: a few long strides round a row less often than many."""


class LowPrecisionRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Rows as integers times a learnt step: ``row_i = s_i * q_i``, ``q`` of ``b`` bits, trained without a float copy.

    A step of training takes the rows of the batch apart, moves them as row-wise Adagrad would, moves ``s_i`` down its
    own gradient (that of the rounded value: ``round(x) - x`` inside the range, the nearest end outside), and rounds
    the rows back at random, up with the probability of the rest, so that small gradients add up on average.

    Args:
        values: ``[n, w]`` first values.
        bits: ``b``: 8, 4 or 2.
        seed: of the rounding.

    Memory while training: ``b / 8`` bytes a number and eight bytes a row.

    Source: Li et al. 2023, alg. 1 (arXiv:2212.05735), with one backward pass instead of two: the gradient of a step
    is taken at the rows before they moved.
    """

    codes: Tensor
    step_size: Tensor
    seen: Tensor

    def __init__(self, values: Array, *, bits: int, seed: int) -> None:
        super().__init__()
        self.bits, self.low, self.high = bits, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
        self._random = torch.Generator().manual_seed(seed)
        self._used: list[tuple[Tensor, Tensor]] = []
        self.register_buffer("codes", torch.zeros(values.shape, dtype=torch.int8))
        self.register_buffer("step_size", torch.zeros(len(values)))
        self.register_buffer("seen", torch.zeros(len(values), 2))
        self._start(torch.from_numpy(values))

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.codes)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def restore(self, form: Packed) -> None:
        """Quantise the rows, with room to grow."""
        self._start(torch.from_numpy(form.take(np.arange(self.count, dtype=np.int64))))

    def _start(self, x: Tensor) -> None:
        largest = x.abs().amax(dim=1)
        typical = largest.mean().clamp_min(1e-8)
        self.step_size.copy_(torch.maximum(largest, typical) * (_SPARE if self.bits > 2 else 1.0) / -self.low)
        self.codes.copy_(self._round(x / self.step_size[:, None]))
        self.seen.zero_()

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``; gradients are kept for :meth:`after_step`."""
        used, where = at.unique(return_inverse=True)
        rows = self.codes[used] * self.step_size[used, None]
        if self.training and torch.is_grad_enabled():
            rows.requires_grad_()
            self._used.append((used, rows))
        return rows[where]

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def after_step(self, *, lr: float) -> None:
        """Move the rows that were used since the last call."""
        for used, rows in self._used:
            if rows.grad is not None:
                self._move(used, rows, rows.grad, lr)
        self._used.clear()

    def packed(self, codec: str) -> Packed:  # noqa: ARG002  # the codec is what this is
        """The integers as they are, with their steps in half precision."""
        step = self.step_size.numpy()
        unit = float(step.max(initial=0) * -self.low or 1) / TOP
        scale = (step / unit).astype("float16")
        low = (scale.astype("float32") * self.low).astype("float16")
        numbers = (self.codes.numpy().astype("int16") - self.low).astype("uint8")
        return RowCodes.of(numbers, scale, low, bits=self.bits, unit=unit)

    def _move(self, used: Tensor, rows: Tensor, gradient: Tensor, lr: float) -> None:
        size = self.step_size[used]
        x = rows / size[:, None]
        moved_by = torch.where(x <= self.low, self.low, torch.where(x >= self.high, self.high, x.round() - x))
        of_step = (gradient * moved_by).sum(dim=1) / (rows.shape[1] * self.high) ** 0.5
        seen = self.seen[used] + torch.stack([gradient.square().mean(dim=1), of_step.square()], dim=1)
        self.seen[used] = seen
        root = seen.sqrt() + 1e-8
        moved = rows - lr * gradient / root[:, :1]
        size = size * (1 - _STEP_RATE * lr * of_step / root[:, 1])
        outgrown = moved.abs().amax(dim=1) > size * -self.low
        size = torch.where(outgrown, size * _GROWTH, size)
        self.step_size[used] = size
        self.codes[used] = self._round(moved / size[:, None])

    def _round(self, x: Tensor) -> Tensor:
        up = torch.rand(x.shape, generator=self._random)
        return (x + up).floor().clamp(self.low, self.high).to(torch.int8)
