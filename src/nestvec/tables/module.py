"""A table that is trained: an ``nn.Module`` around a method."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.frozen import EXACT, FrozenTable, check_bags, stored_bytes
from nestvec.tables.method import Ids, Part, Places
from nestvec.tables.rows import FloatRows, Rows, make_rows
from nestvec.tables.spec import TableSpec


class TensorReading:
    """What a composer reads where a table is trained.

    Args:
        held: the parts.
        places: what the index map said.
        training: whether running averages move.
    """

    def __init__(self, held: nn.ModuleDict, places: Places, *, training: bool) -> None:
        self.held, self.places, self.training = held, places, training

    def rows(self, part: str) -> Tensor:
        """``[n, k, w]`` with gradient."""
        found: Tensor = self.held[part](torch.from_numpy(self.places[part]))
        return found

    def matrix(self, part: str) -> Tensor:
        """``[rows, w]`` with gradient."""
        whole: Tensor = self.held[part].weight
        return whole

    def constant(self, value: Array) -> Tensor:
        """On the device of the parts."""
        device = next((t.device for t in (*self.held.parameters(), *self.held.buffers())), None)
        return torch.from_numpy(np.ascontiguousarray(value)).to(device)

    def join(self, pieces: tuple[Tensor, ...], axis: int) -> Tensor:
        """One after another."""
        return torch.cat(pieces, dim=axis)

    def normalise(self, mean: str, variance: str, x: Tensor) -> Tensor:
        """By the batch, whose mean and variance move the running ones; by those when evaluating or for one row."""
        kept = self.matrix(mean)[0], self.matrix(variance)[0]
        normal: Tensor = functional.batch_norm(x, *kept, training=self.training and len(x) > 1, momentum=0.1, eps=1e-5)
        return normal

    def mish(self, x: Tensor) -> Tensor:
        """``x * tanh(log(1 + e^x))``."""
        soft: Tensor = functional.mish(x)
        return soft


class Table(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Rows of ids that can be learnt, at any size.

    Args:
        spec: what the table is; see :func:`~nestvec.tables.make_spec` and :func:`~nestvec.tables.fit_spec`.

    The first values depend on ``spec.seed`` only, so two processes that build one spec hold the same table. Gradients
    of parts that are looked up are sparse: train them with :class:`~nestvec.tables.RowWiseAdagrad` (or
    ``torch.optim.SparseAdam``). On a GPU the index map still runs on the CPU.

    Raises:
        InputError: a search must find the structure of the table first; see :class:`~nestvec.tables.Search`.
    """

    def __init__(self, spec: TableSpec) -> None:
        super().__init__()
        if spec.sought:
            raise InputError(
                f"a table must have a structure, and that of {spec.name} is found while a model trains, got no search. "
                "Train with Search(spec, steps=...).table, then take what its harden() returns."
            )
        self.spec = spec
        self.held = nn.ModuleDict()
        parts = dict({} if spec.compressor is None else spec.compressor.parts())
        if spec.exact_rows:
            parts[EXACT] = Part(spec.exact_rows, spec.dim)
        for number, (name, part) in enumerate(sorted(parts.items())):
            first = first_values(part, seed=spec.seed, number=number)
            self.held[name] = make_rows(spec.codec, first, part, seed=spec.seed + number)

    def forward(self, ids: Tensor) -> Tensor:
        """``[...]`` int ids -> ``[..., dim]`` rows; zeros where the id is -1.

        Raises:
            InputError: an id is no whole number, or none of the table.
        """
        flat = self.spec.check(ids.detach().cpu().numpy())
        real = flat >= 0
        if real.all():
            return self._made(flat).view(*ids.shape, self.spec.dim)
        made = self._made(flat[real])
        out = made.new_zeros(len(flat), self.spec.dim)
        return out.index_copy(0, torch.from_numpy(np.flatnonzero(real)).to(made.device), made).view(
            *ids.shape, self.spec.dim
        )

    def bags(self, ids: Tensor, starts: Tensor, weights: Tensor | None = None) -> Tensor:
        """Weighted sums of rows, a bag each.

        Args:
            ids: ``[n]`` ids of all bags, one bag after another; -1 adds nothing.
            starts: ``[bags]`` where each begins, rising from 0.
            weights: ``[n]`` float32, or None for 1.

        Returns:
            ``[bags, dim]``; zeros for an empty bag.

        Raises:
            ShapeError: see :meth:`FrozenTable.bags`.
        """
        where = starts.cpu().numpy()
        check_bags(len(ids), where, None if weights is None else len(weights))
        rows = self(ids) if weights is None else self(ids) * weights[:, None]
        bag = np.repeat(np.arange(len(where)), np.diff(where, append=len(ids)))
        return rows.new_zeros(len(where), self.spec.dim).index_add(0, torch.from_numpy(bag).to(rows.device), rows)

    @property
    def nbytes(self) -> int:
        """Bytes of the file that :meth:`freeze` would save."""
        return stored_bytes(self.spec)

    def after_step(self, *, lr: float) -> None:
        """To be called after every step of the optimiser: parts that keep no floats take their own step here."""
        for part in self.held.values():
            part.after_step(lr=lr)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def freeze(self) -> FrozenTable:
        """The same table to be saved and served, its rows packed by the codec of the spec."""
        return FrozenTable(self.spec, {name: _rows(part).packed(self.spec.codec) for name, part in self.held.items()})

    @classmethod
    def thaw(cls, frozen: FrozenTable) -> Table:
        """A table that goes on learning from the values of ``frozen``."""
        table = cls(frozen.spec)
        for name, part in table.held.items():
            _rows(part).restore(frozen.held[name])
        return table

    def _made(self, flat: Array) -> Tensor:
        small, rest, exact = self.spec.route(flat)
        if small is None:
            return self._composed(rest)
        rows: Tensor = self.held[EXACT](torch.from_numpy(exact[:, None]))[:, 0]
        if not len(rest):
            return rows
        made = self._composed(rest)
        order = np.empty(len(flat), np.int64)
        order[small] = np.arange(len(exact))
        order[~small] = len(exact) + np.arange(len(rest))
        return torch.cat([rows, made])[torch.from_numpy(order).to(made.device)]

    def _composed(self, ids: Ids) -> Tensor:
        method = self.spec.compressor
        if method is None or not len(ids):
            return torch.zeros(len(ids), self.spec.dim)
        places = method.locate(ids)
        made: Tensor = method.compose(TensorReading(self.held, places, training=self.training), ids)
        return made


def first_values(part: Part, *, seed: int, number: int) -> Array:
    """``[rows, width]`` float32, uniform in ``mean ± spread``, the same in every process."""
    draw = np.random.default_rng((seed, number, 7)).random((part.rows, part.width), np.float32)
    draw *= np.float32(2 * part.spread)
    draw += np.float32(part.mean - part.spread)
    return draw


def _rows(part: Any) -> Rows:
    rows: Rows = part
    return rows


__all__ = ["FloatRows", "Table", "TensorReading", "first_values"]
