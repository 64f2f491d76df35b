"""How the rows of a part are kept while they are trained."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.types import Array
from nestvec.tables.masked import MaskedRows
from nestvec.tables.method import Part
from nestvec.tables.packing import Packed, is_small, number_of, packed

_DENSE_BELOW = 1 << 16
"""Numbers in a part below which a gradient of its full size is cheaper than sorting the rows that were used."""
_DENSE_NUMBERS = 1 << 22
"""The same for rows of one number, of which a batch uses many."""


@runtime_checkable
class Rows(Protocol):
    """A module that gives rows with gradient, and packs them when training is over."""

    @property
    def count(self) -> int:
        """How many rows."""
        ...

    def __call__(self, at: Tensor, /) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``."""
        ...

    def packed(self, codec: str, /) -> Packed:
        """The rows as they are served."""
        ...

    def restore(self, form: Packed, /) -> None:
        """Go on from what :meth:`packed` gave."""
        ...

    def after_step(self, *, lr: float) -> None:
        """After a step of the optimiser."""
        ...


class FloatRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Rows as float32 parameters.

    Args:
        values: ``[n, w]`` first values.
        part: what they are.
    """

    def __init__(self, values: Array, part: Part) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.from_numpy(values), requires_grad=part.trained)
        self.whole, self.served = part.whole, part.rows
        self.sparse = not part.whole and values.size > (_DENSE_BELOW if values.shape[1] > 1 else _DENSE_NUMBERS)

    @property
    def count(self) -> int:
        """How many rows."""
        return len(self.weight)

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``; the gradient is sparse for large parts."""
        at = at.to(self.weight.device)
        if self.weight.shape[1] == 1 and not self.sparse:  # the gradient of an embedding is slow for lone numbers
            lone: Tensor = self.weight.view(-1).index_select(0, at.reshape(-1)).view(*at.shape, 1)
            return lone
        rows: Tensor = functional.embedding(at, self.weight, sparse=self.sparse)
        return rows

    def packed(self, codec: str) -> Packed:
        """Quantised now, if the codec asks for it."""
        return packed(codec, self.weight.detach()[: self.served].cpu().numpy(), whole=self.whole)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def restore(self, form: Packed) -> None:
        """Copy the rows that are served."""
        self.weight[: self.served].copy_(torch.from_numpy(form.take(np.arange(self.served, dtype=np.int64))))

    def after_step(self, *, lr: float) -> None:
        """Floats need nothing: the optimiser has them."""


def make_rows(codec: str, values: Array, part: Part, *, seed: int) -> Any:
    """The kind of rows that ``codec`` is trained with."""
    if part.kept is not None:
        return MaskedRows(values, part)
    if part.words is not None:
        from nestvec.tables.word_rows import WordRows

        return WordRows(values, part.words, seed=seed)
    if part.whole or not is_small(codec, part.rows, part.width):
        return FloatRows(values, part)
    if codec.startswith("alpt"):
        from nestvec.tables.alpt import LowPrecisionRows

        return LowPrecisionRows(values, bits=number_of(codec), seed=seed)
    if codec.startswith("dpq"):
        from nestvec.tables.dpq import ProductRows

        return ProductRows(values, pieces=number_of(codec), seed=seed)
    return FloatRows(values, part)
