"""A growing table inside a model that torch trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from nestvec.core.errors import MissingExtraError
from nestvec.core.types import Array
from nestvec.tables.growing.table import GrowingTable

try:
    import torch
    from torch import nn
except ImportError as cause:
    raise MissingExtraError("Training a table in a model", "text") from cause


class GrowingRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Keys to rows with gradient. The rows themselves stay in the table; a model holds only those of one step.

    ``forward`` copies the rows of a batch out of the table, each once, as one small leaf; after ``backward``,
    :meth:`step` brings its gradient back to the table and learns from it by row-wise Adagrad. So a step costs what its
    batch touches, however large the table is, and the module has no parameters of its own: give the optimiser those
    of the rest of the model.

    Args:
        table: open for writing, if it is to be saved.
        field: that keys belong to.
        rate: of learning.
        grow: while the module is in training mode, new keys get rows; in evaluation none does.
    """

    def __init__(self, table: GrowingTable, *, field: str = "", rate: float = 0.05, grow: bool = True) -> None:
        super().__init__()
        self.table, self.field, self.rate, self.grow = table, field, rate, grow
        self._waiting: list[tuple[Array, Any]] = []

    def forward(self, keys: Sequence[Any] | Array) -> Any:
        """``[n]`` keys -> ``[n, dim]`` float32 tensor."""
        grows = self.training and self.grow
        return self.rows((self.table.admit if grows else self.table.lookup)(keys, field=self.field))

    def rows(self, rows: Array) -> Any:
        """``[n]`` row numbers, as the table gave them -> ``[n, dim]`` float32 tensor."""
        different, which = np.unique(rows, return_inverse=True)
        leaf = torch.from_numpy(self.table.values(different))
        if self.training and torch.is_grad_enabled():
            leaf.requires_grad_(True)  # noqa: FBT003  # torch's own name and place
            self._waiting.append((different, leaf))
        return leaf[torch.from_numpy(which.reshape(-1))]

    def step(self) -> int:
        """Learn from the gradients of all forward passes since the last step; returns how many rows learnt."""
        waiting = [(rows, leaf.grad.numpy()) for rows, leaf in self._waiting if leaf.grad is not None]
        self._waiting = []
        if not waiting:
            return 0
        rows = np.concatenate([rows for rows, _ in waiting])
        self.table.learn(rows, np.concatenate([gradient for _, gradient in waiting]), rate=self.rate)
        return len(np.unique(rows))
