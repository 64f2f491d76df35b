"""Rows of which some numbers learn and the others are zero."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.errors import FormatError, ShapeError
from nestvec.core.types import Array
from nestvec.tables.method import Part
from nestvec.tables.packing import Packed
from nestvec.tables.sparse import COO, CSR, Leading, pruned, spread

_DENSE_BELOW = 1 << 16
"""As for rows of which everything is kept."""


class MaskedRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """``row_i = m_i * w_i`` with a mask that stays: what is zero has no gradient and remains zero.

    Args:
        values: ``[n, w]`` first values.
        part: says how many numbers are kept. Until :meth:`keep` says which, they are spread evenly over the rows.

    Memory while training: that of a full table, and a byte a number.
    """

    mask: Tensor

    def __init__(self, values: Array, part: Part) -> None:
        super().__init__()
        self.part, self.sparse = part, values.size > _DENSE_BELOW
        self.weight = nn.Parameter(torch.from_numpy(values))
        self.register_buffer("mask", torch.from_numpy(spread(part.rows, part.width, part.kept or 0)))

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.weight)

    def keep(self, mask: Array) -> None:
        """Keep these numbers from now on.

        Args:
            mask: ``[n, w]`` bool, true as often as the part keeps numbers; where rows keep their beginnings, so.

        Raises:
            ShapeError: it is not so.
        """
        leading = not self.part.leading or bool((mask[:, 1:] <= mask[:, :-1]).all())
        if mask.shape != tuple(self.weight.shape) or int(mask.sum()) != self.part.kept or not leading:
            beginnings = ", at the beginnings of rows" if self.part.leading else ""
            raise ShapeError(
                f"a mask must be {tuple(self.weight.shape)} and keep {self.part.kept:,} numbers{beginnings}, "
                f"got {mask.shape} with {int(mask.sum()):,}."
            )
        self.mask.copy_(torch.from_numpy(mask))

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``; the gradient is sparse for large parts."""
        at = at.to(self.weight.device)
        rows: Tensor = functional.embedding(at, self.weight, sparse=self.sparse) * self.mask[at]
        return rows

    def packed(self, codec: str) -> Packed:
        """What is kept, in float32 or half precision."""
        values, mask = self.weight.detach().cpu().numpy(), self.mask.cpu().numpy()
        return pruned(codec, values, mask, leading=self.part.leading)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def restore(self, form: Packed) -> None:
        """Keep what ``form`` keeps, with its values.

        Raises:
            FormatError: it is no form that keeps some numbers.
        """
        if not isinstance(form, CSR | COO | Leading):
            raise FormatError(f"rows that keep some numbers must be csr@1, coo@1 or leading@1, got {form.id}.")
        self.keep(form.mask())
        self.weight.copy_(torch.from_numpy(form.take(np.arange(self.count, dtype=np.int64))))

    def after_step(self, *, lr: float) -> None:
        """The optimiser has everything."""
