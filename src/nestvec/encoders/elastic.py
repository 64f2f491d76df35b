"""One model at several sizes: what to run, and what to do with what comes out, for each depth and dim."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from nestvec.core import Size, Space
from nestvec.core.errors import InputError
from nestvec.encoders import backbone, depth
from nestvec.encoders.checkpoint import Checkpoint
from nestvec.encoders.ladder import Ladder
from nestvec.encoders.shaping import Shaping
from nestvec.encoders.sizing import resolve, smaller_space
from nestvec.encoders.static import StaticEncoder


@dataclass(frozen=True, eq=False)
class View:
    """A model at one size.

    Args:
        size: as :func:`resolve` gives it; depth and dim that are all there is are None.
        space: of its vectors.
        stack: what runs.
        shaping: what is done with what it gives; None for nothing.
    """

    size: Size
    space: Space
    stack: backbone.Stack = field(repr=False)
    shaping: Shaping | None = field(repr=False)


@dataclass(eq=False)
class Whole:
    """The model at full size, which all views of it share. Safe to use from several threads.

    Args:
        found: where it was read from.
        stack: all of it.
        space: of its full vectors.
        ladder: what helps at smaller sizes, if anything.
    """

    found: Checkpoint
    stack: backbone.Stack
    space: Space
    ladder: Ladder | None
    _layers: depth.Layers | None = None
    _table: StaticEncoder | None = None
    _cuts: dict[tuple[int, bool], backbone.Stack] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def layers(self) -> depth.Layers:
        """Where the layers are.

        Raises:
            InputError: the model does not show them.
        """
        with self._lock:
            if self._layers is None:
                self._layers = depth.find_layers(self.stack)
            return self._layers

    def cut(self, k: int, *, ladder: bool) -> backbone.Stack:
        """The first ``k`` layers, made once: as they are, or with what the ladder changes in them."""
        layers = self.layers
        with self._lock:
            key = (k, ladder)
            if key not in self._cuts:
                stack = depth.cut(self.stack, layers, k)
                if ladder and self.ladder is not None:
                    stack = depth.adapted(stack, self.ladder.adapters(k))
                self._cuts[key] = stack
            return self._cuts[key]

    def table(self, size: Size, *, window: int) -> StaticEncoder:
        """Depth 0; opened once, so that words it has met stay known.

        Raises:
            InputError: the model has no table that can be read, or no such size.
        """
        with self._lock:
            if self._table is None:
                self._table = StaticEncoder.of(
                    self.found, size="L0", ladder=self.ladder, weights=self.space.weights, window=window
                )
            return self._table.at(size)

    def at(self, size: Size | str) -> View:
        """The model at a size of one layer or more.

        Raises:
            InputError: the model has no such size.
        """
        asked = Size.parse(size)
        total = self._total(asked)
        asked = resolve(asked, depth=total, dim=self.space.dim, name=self.space.encoder)
        if asked.depth is None and asked.dim is None:
            return View(asked, self.space, self.stack, None)
        k, dim = asked.depth or total, asked.dim or self.space.dim
        ladder = self.ladder
        rung = ladder.rung(k) if ladder and k is not None else None
        head = ladder.head(k) if ladder and rung and k is not None else None
        # Without a rung, states of a middle layer do not lie in the space that a rotation was fitted in.
        rotation = ladder.rotation(dim) if ladder and (rung or asked.depth is None) else None
        stack = self.cut(k, ladder=rung is not None) if k is not None else self.stack
        used = ladder is not None and (rung is not None or rotation is not None)
        space = smaller_space(
            self.space, asked, dim=dim, ladder=ladder.fingerprint(k or 0) if used and ladder is not None else ""
        )
        shaping = Shaping.of(dim, unit=space.unit, head=head, rotation=rotation)
        return View(asked, space, depth.pooled(stack) if head else stack, shaping)

    def _total(self, asked: Size) -> int | None:
        """How many layers there are; None where they are not shown and nobody asked for a depth."""
        try:
            return self.layers.depth
        except InputError:
            if asked.depth is not None:
                raise
            return None
