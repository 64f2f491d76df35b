"""A table that is trained: an ``nn.Module`` around a method."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array
from nestvec.tables.adaptive import Adaptive, Indexed, Indexes, Learning, adaptive, indexed, places
from nestvec.tables.frozen import EXACT, FrozenTable, check_bags, stored_bytes
from nestvec.tables.method import Ids, Part, Places
from nestvec.tables.packing import Packed
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
        indexes: integers of the index map, where they are known beforehand: the spelling of a graph's nodes, see
            :func:`~nestvec.tables.anchoring.tokenise`. None for those that the method begins with.

    The first values depend on ``spec.seed`` only, so two processes that build one spec hold the same table. Gradients
    of parts that are looked up are sparse: train them with :class:`~nestvec.tables.RowWiseAdagrad` (or
    ``torch.optim.SparseAdam``). On a GPU the index map still runs on the CPU.

    Raises:
        InputError: a search must find the structure of the table first; see :class:`~nestvec.tables.Search`. Or
            ``indexes`` are not those of the method.
        ShapeError: ``indexes`` of another shape.
    """

    def __init__(self, spec: TableSpec, *, indexes: Indexes | None = None) -> None:
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
        self._looked_up: Indexed | None = indexed(spec.compressor)
        self._learnt: Adaptive | None = adaptive(spec.compressor)
        self._seen: list[tuple[Ids, Array]] = []
        for name, index in first_indexes(spec, self._looked_up, indexes).items():
            self.register_buffer(f"index_{name}", torch.from_numpy(index))
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

    @property
    def settled(self) -> bool:
        """Whether the table is what it will be served as. Some methods train a larger one first."""
        return self._learnt is None or self._learnt.settled(self._indexes())

    def settle(self) -> None:
        """Become that now."""
        if self._learnt is not None and not self.settled:
            self._show(self._learnt.settle)

    def after_step(self, *, lr: float, step: int = 0, of: int = 0) -> None:
        """To be called after every step of the optimiser.

        Parts that keep no floats take their own step here, and methods that learn their index map may change it.

        Args:
            lr: learning rate of the table.
            step: which step this was, from 1.
            of: how many there will be. Methods that change at some point of the training need to know; without it they
                stay as they began.
        """
        for part in self.held.values():
            part.after_step(lr=lr)
        if self._learnt is not None:
            seen, self._seen = tuple(self._seen), []
            self._show(self._learnt.adapt, step=step, of=of, seen=seen)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def freeze(self) -> FrozenTable:
        """The same table to be saved and served, its rows packed by the codec of the spec.

        A table that is not ``settled`` yet settles on the way; this one goes on as it is.
        """
        if not self.settled:
            other = copy.deepcopy(self)
            other.settle()
            made: FrozenTable = other.freeze()
            return made
        known = {} if self._looked_up is None else self._looked_up.indexes()
        kept = {name: value.astype(known[name].dtype) for name, value in self._indexes().items() if known[name].served}
        return FrozenTable(self.spec, self._packed(), kept)

    @classmethod
    def thaw(cls, frozen: FrozenTable) -> Table:
        """A table that goes on learning from the values of ``frozen``."""
        table = cls(frozen.spec)
        for name, part in table.held.items():
            _rows(part).restore(frozen.held[name])
        for name, value in frozen.indexes.items():
            table.get_buffer(f"index_{name}").copy_(torch.from_numpy(value.astype(np.int64)))
        return table

    def _packed(self) -> dict[str, Packed]:
        return {name: _rows(part).packed(self.spec.codec) for name, part in self.held.items()}

    def _indexes(self) -> dict[str, Array]:
        """As numpy arrays, on the CPU the buffers themselves."""
        names = () if self._looked_up is None else self._looked_up.indexes()
        return {name: self.get_buffer(f"index_{name}").cpu().numpy() for name in names}

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def _show(
        self, what: Callable[[Learning], None], *, step: int = 0, of: int = 0, seen: tuple[tuple[Ids, Array], ...] = ()
    ) -> None:
        """Let a method see and rewrite what the table holds."""
        held = {name: part.weight for name, part in self.held.items() if name != EXACT}
        values = {name: weight.detach().cpu().numpy() for name, weight in held.items()}
        indexes = self._indexes()
        what(Learning(step, of, values, indexes, seen))
        if any(weight.device.type != "cpu" for weight in held.values()):  # copies; on the CPU they are the same memory
            for name, weight in held.items():
                weight.copy_(torch.from_numpy(values[name]))
            for name, index in indexes.items():
                self.get_buffer(f"index_{name}").copy_(torch.from_numpy(index))

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
        found = places(method, ids, self._indexes())
        made: Tensor = method.compose(TensorReading(self.held, found, training=self.training), ids)
        if self._learnt is not None and self._learnt.watches and self.training and made.requires_grad:
            made.register_hook(lambda slope: self._seen.append((ids, slope.norm(dim=1).cpu().numpy())))
        return made


def first_indexes(spec: TableSpec, method: Indexed | None, given: Indexes | None) -> dict[str, Array]:
    """The integers that a table begins with: a copy of those ``given``, or the method's own.

    Raises:
        InputError, ShapeError: those given are not the ones that the method asks for.
    """
    own = {} if method is None else method.first_indexes()
    if given is None:
        return own
    wanted = {} if method is None else {name: index for name, index in method.indexes().items() if index.served}
    if set(given) != set(wanted):
        names = ", ".join(wanted) or "none"
        raise InputError(f"indexes of {spec.name} must be {names}, got {', '.join(given) or 'none'}.")
    for name, index in wanted.items():
        if given[name].shape != index.shape:
            raise ShapeError(f"index {name!r} of {spec.name} must be {index.shape}, got {given[name].shape}.")
        value, top = given[name], np.iinfo(index.dtype).max
        if value.dtype.kind not in "iu" or ((value < 0) | (value > top)).any():
            raise InputError(f"index {name!r} of {spec.name} must hold whole numbers from 0 to {top}, got others.")
    return own | {name: value.astype(own[name].dtype) for name, value in given.items()}


def first_values(part: Part, *, seed: int, number: int) -> Array:
    """``[rows + spare, width]`` float32, uniform in ``mean ± spread``, the same in every process."""
    draw = np.random.default_rng((seed, number, 7)).random((part.rows + part.spare, part.width), np.float32)
    draw *= np.float32(2 * part.spread)
    draw += np.float32(part.mean - part.spread)
    return draw


def _rows(part: Any) -> Rows:
    rows: Rows = part
    return rows


__all__ = ["FloatRows", "Table", "TensorReading", "first_values"]
