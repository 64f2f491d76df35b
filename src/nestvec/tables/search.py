"""Finding the structure of a table while a model trains: soft at first, frozen in the end, then trained again.

>>> from nestvec.tables import Search, fit_spec
>>> search = Search(fit_spec("deeplight", rows=1000, dim=8, bytes=20_000), steps=500)

``search.table`` stands where a table stands in the model. After each step of the optimiser ``search.table.after_step``
moves the schedule; ``search.penalty()`` is added to the loss; where ``search.choosing`` is true, a batch of validation
rows goes through the model and ``search.choose()`` uses its gradient. ``search.harden()`` returns an ordinary table of
the structure that was found, which is never larger than the spec promised. If ``search.rewinds``, the model is to begin
again from its first weights, else it goes on. What is particular to a method is its :class:`Strategy`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.frozen import EXACT
from nestvec.tables.method import Sizes, at_least
from nestvec.tables.module import Table
from nestvec.tables.packing import Packed
from nestvec.tables.rows import FloatRows
from nestvec.tables.spec import SEARCHES, Setting, TableSpec

Judge = Callable[[], float]
"""How good the model is as it stands, higher is better: a score of validation rows in evaluation mode."""


@dataclass(frozen=True)
class Start:
    """What a strategy begins with.

    Args:
        spec: of the table that is sought.
        sizes: of the fields that are not exact; rows of the supernet are theirs.
        values: ``[n, dim]`` first values.
        steps: of the search.
    """

    spec: TableSpec
    sizes: Sizes
    values: Tensor
    steps: int

    @property
    def kept(self) -> int:
        """How many numbers may be kept."""
        kept: Any = self.spec.settings["kept"]
        return int(kept)

    def fields(self) -> Tensor:
        """``[n]`` the field of every row."""
        return torch.from_numpy(np.repeat(np.arange(len(self.sizes.rows)), self.sizes.rows))


@dataclass(frozen=True)
class Found:
    """What a search ends in.

    Args:
        settings: of the method of the table.
        mask: ``[n, dim]`` what is kept, for methods that keep some numbers of a row.
        values: ``[n, dim]`` to go on from; None for the first values again.
    """

    settings: Mapping[str, Setting] = field(default_factory=dict)
    mask: Array | None = None
    values: Array | None = None


class Strategy(ABC):
    """One way to find a structure: how rows look while it is sought, and what is kept of them.

    A strategy is made from a :class:`Start`. Tensors of its own (thresholds, mixing weights) are no parameters of the
    model: it moves them itself, by the gradients that training leaves on them.
    """

    rewinds: ClassVar[bool]
    """Whether the model begins again from its first weights once the structure is found."""

    @abstractmethod
    def __init__(self, start: Start) -> None: ...

    @abstractmethod
    def soften(self, rows: Tensor, at: Tensor, *, training: bool) -> Tensor:
        """``[m, dim]`` rows of the supernet at positions ``at`` ``[m]`` -> as the model sees them."""

    @abstractmethod
    def after_step(self, weight: Tensor, done: float) -> None:
        """After a step of the optimiser on training rows.

        Args:
            weight: ``[n, dim]`` all rows of the supernet; may be changed.
            done: the part of the search that is over, above 0, 1 at the end and beyond.
        """

    @abstractmethod
    def found(self, weight: Tensor, judge: Judge | None) -> Found:
        """The structure; may be asked for at any time."""

    def layers(self) -> Mapping[str, FloatRows]:
        """What else the supernet trains; nothing here."""
        return {}

    def penalty(self) -> Tensor | float:
        """What is added to the loss; nothing here."""
        return 0.0

    def choosing(self, done: float) -> bool:  # noqa: ARG002  # others ask
        """Whether validation rows have a say now; never here."""
        return False

    def choose(self) -> None:  # noqa: B027  # never called where choosing() is false
        """After the gradient of a batch of validation rows, where :meth:`choosing`."""


class SupernetRows(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy
    """Full rows, seen through a strategy.

    Args:
        rows: the full ones.
        strategy: what they are seen through.
        steps: of the search.
    """

    def __init__(self, rows: FloatRows, strategy: Strategy, steps: int) -> None:
        super().__init__()
        self.full, self.strategy, self.steps, self.taken = rows, strategy, steps, 0

    @property
    def count(self) -> int:
        """How many rows."""
        return self.full.count

    @property
    def done(self) -> float:
        """The part of the search that is over."""
        return min(self.taken / self.steps, 1.0)

    def forward(self, at: Tensor) -> Tensor:
        """``[n, k]`` positions -> ``[n, k, w]``."""
        rows = self.full(at)
        seen = self.strategy.soften(rows.flatten(0, 1), at.reshape(-1), training=self.training)
        return seen.view_as(rows)

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def after_step(self, *, lr: float) -> None:  # noqa: ARG002  # strategies have rates of their own
        """Move the schedule."""
        self.taken += 1
        self.strategy.after_step(self.full.weight, self.done)

    def packed(self, codec: str) -> Packed:
        """Refused: these rows have no structure yet.

        Raises:
            InputError: always.
        """
        raise InputError(f"a table must be found before it is frozen ({codec}), got a supernet. Call harden() first.")

    def restore(self, form: Packed) -> None:
        """Begin with the rows of a full table."""
        self.full.restore(form)


class Search:
    """A search that any training loop can drive; see the module.

    Args:
        spec: of the table that is sought: its ``search`` says how, and it is as large as the table may be.
        steps: of the optimiser that the search will take. It may end early, at any time.

    Raises:
        InputError: nothing is sought, or ``steps`` is not positive.
    """

    def __init__(self, spec: TableSpec, *, steps: int) -> None:
        method = spec.compressor
        if not spec.search or method is None:
            raise InputError(f"a search needs a spec with a structure to find, got {spec.name}. Train Table(spec).")
        at_least(1, steps=steps)
        self.spec = spec
        self.table = Table(TableSpec("full@1", spec.rows, spec.dim, exact_below=spec.exact_below, seed=spec.seed))
        full = self.table.held["rows"]
        start = Start(spec, method.sizes, full.weight.detach().clone(), steps)
        self.strategy: Strategy = SEARCHES[spec.search](start)
        self.rows = SupernetRows(full, self.strategy, steps)
        self.table.held["rows"] = self.rows
        self.table.held.update(self.strategy.layers())

    @property
    def rewinds(self) -> bool:
        """Whether the model begins again from its first weights once the structure is found."""
        return self.strategy.rewinds

    @property
    def choosing(self) -> bool:
        """Whether a batch of validation rows is wanted after this step."""
        return self.strategy.choosing(self.rows.done)

    def penalty(self) -> Tensor | float:
        """What is added to the loss of a batch."""
        return self.strategy.penalty()

    def choose(self) -> None:
        """To be called after ``backward`` on a batch of validation rows, where :attr:`choosing`."""
        self.strategy.choose()

    @torch.no_grad()  # type: ignore[untyped-decorator]  # torch is not followed by mypy
    def harden(self, judge: Judge | None = None) -> Table:
        """The table that was found, ready to be trained.

        Args:
            judge: how good the model is as it stands; only evolution (``opt_embed``) asks, some two hundred times.

        Raises:
            InputError: the strategy needs a judge.
        """
        found = self.strategy.found(self.rows.full.weight.detach(), judge)
        spec = replace(self.spec, search="", settings={**self.spec.settings, **found.settings})
        table = Table(spec)
        if found.mask is not None:
            table.held["rows"].keep(found.mask)
        if found.values is not None:
            table.held["rows"].weight.copy_(torch.from_numpy(found.values))
            if EXACT in table.held and not spec.codec.startswith("dpq"):  # there are no queries behind floats
                table.held[EXACT].restore(self.table.held[EXACT].packed("float32"))
        return table
