"""Two small standard models over a table: a cross network and a factorisation machine with a network beside it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nestvec.core.errors import UnknownNameError
from nestvec.tables import Table

MODELS = ("dcn", "deepfm")
_HIDDEN = (64, 32)


class CTRModel(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Fields to one vector each, and those to a logit.

    Args:
        table: rows of ids.
        spans: for each field, the slots it has; several values are averaged.
        kind: ``dcn`` or ``deepfm``.
        seed: of the first weights.

    ``dcn``: ``x1 = x0 * (W x0 + b) + x0`` beside a two-layer network over ``x0``, the fields side by side.
    ``deepfm``: ``1/2 ((sum_f v_f)^2 - sum_f v_f^2)`` summed, plus a linear term, plus the network.

    Raises:
        UnknownNameError: there is no such kind.

    Source: Wang et al. 2021, eq. 1 (arXiv:2008.13535); Guo et al. 2017, sec. 2.1 (arXiv:1703.04247).
    """

    def __init__(self, table: Table, spans: Sequence[tuple[int, int]], *, kind: str = "dcn", seed: int = 0) -> None:
        super().__init__()
        if kind not in MODELS:
            raise UnknownNameError(f"a model must be one of {', '.join(MODELS)}, got {kind!r}.")
        self.table, self.spans, self.kind = table, tuple(spans), kind
        wide = len(self.spans) * table.spec.dim
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.cross = nn.Linear(wide, wide) if kind == "dcn" else None
            self.deep = nn.Sequential(
                nn.Linear(wide, _HIDDEN[0]), nn.ReLU(), nn.Linear(_HIDDEN[0], _HIDDEN[1]), nn.ReLU()
            )
            self.last = nn.Linear(_HIDDEN[1] + wide, 1)

    def forward(self, ids: Tensor) -> Tensor:
        """``[n, slots]`` joint ids -> ``[n]`` logits."""
        fields = self.fields(ids)
        x = fields.flatten(1)
        crossed = x if self.cross is None else x * self.cross(x) + x
        logit: Tensor = self.last(torch.cat([self.deep(x), crossed], dim=1))[:, 0]
        if self.kind == "deepfm":
            logit = logit + (fields.sum(1).square() - fields.square().sum(1)).sum(1) / 2
        return logit

    def fields(self, ids: Tensor) -> Tensor:
        """``[n, slots]`` ids -> ``[n, fields, dim]``; the mean over the values of a field, zeros where it has none."""
        rows = self.table(ids)
        if all(stop - start == 1 for start, stop in self.spans):
            whole: Tensor = rows
            return whole
        there = (ids >= 0).to(rows.dtype)
        means = [
            rows[:, a:b].sum(1) / there[:, a:b].sum(1, keepdim=True).clamp_min(1)  # padding is a row of zeros
            for a, b in self.spans
        ]
        return torch.stack(means, dim=1)

    def rest(self) -> list[nn.Parameter]:
        """What is not the table."""
        own = {id(p) for p in self.table.parameters()}
        return [p for p in self.parameters() if id(p) not in own]
