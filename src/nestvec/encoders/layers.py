"""All depths of a model from one pass: the states of every layer are pooled, and so are means of several layers.

Source: Ma et al. 2019 (arXiv:1910.07973), for the vectors of layers and their combinations; the mean of the first and
last layer and that of the last two as in Su et al. 2021 (arXiv:2103.15316).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, final

import numpy as np

from nestvec.core import Record, Size, Space
from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Matrix
from nestvec.encoders import backbone, depth
from nestvec.encoders.chunks import each
from nestvec.encoders.elastic import Whole
from nestvec.encoders.shaping import Shaping
from nestvec.encoders.sizing import smaller_space

try:
    import torch
except ImportError as cause:
    raise MissingExtraError("The text encoder", "text") from cause

Through = Callable[[backbone.Stack, Iterable[Record | str], str], Matrix]
"""Runs texts of a role (``document`` or ``query``) through a stack, batch by batch, and gives their rows in order."""


@dataclass(frozen=True, eq=False)
class Tap:
    """One vector of a text that a pass gives.

    Args:
        name: such as ``L3`` or ``mean L5-L6``.
        made: ``model``, ``slice`` (a layer as it is), ``mean`` (of several), or ``closed``, ``distilled`` (a rung).
        depths: layers whose states are averaged before they are pooled.
        space: of its vectors.
        shaping: what is done with what was pooled; None for nothing.
    """

    name: str
    made: str
    depths: tuple[int, ...]
    space: Space
    shaping: Shaping | None = field(repr=False)


@dataclass(frozen=True, eq=False)
class Pass:
    """A stack that runs once, and what is tapped on the way.

    Args:
        stack: with as many layers as the deepest tap.
        layers: of the whole model.
        taps: what it gives.
    """

    stack: backbone.Stack = field(repr=False)
    layers: depth.Layers
    taps: tuple[Tap, ...]

    def run(self, through: Through, texts: Sequence[Record | str], role: str) -> dict[str, Matrix]:
        """``{name: [n, d]}`` of all taps."""
        wide = through(self._joined(), texts, role)
        if not len(wide):
            return {tap.name: np.empty((0, tap.space.dim), np.float32) for tap in self.taps}
        parts = np.split(wide, len(self.taps), axis=1)
        return {
            tap.name: np.ascontiguousarray(part) if tap.shaping is None else tap.shaping(part)
            for tap, part in zip(self.taps, parts, strict=True)
        }

    def _joined(self) -> backbone.Stack:
        """The stack, giving the vectors of all taps side by side as one wide vector."""
        depths = sorted({k for tap in self.taps for k in tap.depths})
        first, *rest = self.stack.modules

        def run(features: dict[str, Any]) -> dict[str, Any]:
            shell, seen = depth.tapped(first, self.layers, depths)
            out: dict[str, Any] = shell(features)
            states = [depth.normed(first, self.layers.norm, x) for x in seen]
            return {**out, "taps": dict(zip(depths, states, strict=True))}

        def finish(features: dict[str, Any]) -> dict[str, Any]:
            states, found = features.pop("taps"), []
            for tap in self.taps:
                mean = torch.stack([states[k].float() for k in tap.depths]).mean(dim=0)
                ended = {**features, "token_embeddings": mean}
                for module in rest:
                    ended = module(ended)
                found.append(ended["sentence_embedding"][:, : self.stack.truncate_dim])
            return {**features, "sentence_embedding": torch.cat(found, dim=1)}

        return replace(self.stack, modules=(run, finish), truncate_dim=None)


@final
@dataclass(frozen=True, eq=False)
class LayeredEncoder:
    """Texts to the vectors of every depth. Made by ``TextEncoder.layered()``; safe to use from several threads.

    There is ``L1`` to ``Ln``, each what ``at("Lk")`` gives: with a ladder a depth that has a rung is that rung, and the
    layer without it is called ``L1 as it is``. ``L0`` is the token table, where the model has one that can be read.
    ``mean L5-L6`` and the like pool the mean of the states of several layers.

    Args:
        space: of the full model.
        full: the name of the full model among the sizes.
        spaces: ``{name: space}`` of everything it gives.
        made: ``{name: how}``; see :class:`Tap`.
    """

    space: Space
    full: str
    spaces: Mapping[str, Space]
    made: Mapping[str, str]

    _passes: tuple[Pass, ...] = field(repr=False)
    _table: Any = field(repr=False)
    _through: Through = field(repr=False)

    @classmethod
    def of(cls, whole: Whole, through: Through, *, window: int) -> LayeredEncoder:
        """All that a model can give.

        Args:
            whole: the model.
            through: runs texts through a stack.
            window: tokens that the full model reads.

        Raises:
            InputError: the model does not show its layers.
        """
        passes = (*_rungs(whole), _slices(whole))
        taps = sorted((tap for one in passes for tap in one.taps), key=lambda tap: (len(tap.depths), tap.depths))
        try:
            table = whole.table(Size(depth=0), window=window)
        except InputError:  # a model without a tokenizer file or a table of its own
            table = None
        spaces = {tap.name: tap.space for tap in taps}
        made = {tap.name: tap.made for tap in taps}
        if table is not None:
            rung = whole.ladder.rung(0) if whole.ladder and table.ladder else None
            spaces = {"L0": table.space, **spaces}
            made = {"L0": rung.kind if rung else "slice", **made}
        return cls(whole.space, f"L{whole.layers.depth}", spaces, made, passes, table, through)

    def encode_each(self, records: Iterable[Record | str]) -> dict[str, Matrix]:
        """Documents to ``{name: [n, d]}`` float32, rows in the order given; see ``TextEncoder.encode``."""
        return self._each(records, "document")

    def encode_query_each(self, queries: Iterable[str]) -> dict[str, Matrix]:
        """Queries to ``{name: [q, d]}`` float32."""
        return self._each(queries, "query")

    def _each(self, texts: Iterable[Record | str], role: str) -> dict[str, Matrix]:
        kept = list(each(texts))
        found: dict[str, Matrix] = {}
        if self._table is not None:
            encode = self._table.encode if role == "document" else self._table.encode_query
            found["L0"] = encode(kept).values
        for one in self._passes:
            found |= one.run(self._through, kept, role)
        return {name: found[name] for name in self.spaces}


def _slices(whole: Whole) -> Pass:
    """Every layer as it is, and means of several."""
    layers = whole.layers
    n = layers.depth
    ladder = whole.ladder
    unit = whole.space.unit or whole.space.metric == "cosine"
    shaping = Shaping.of(whole.space.dim, unit=unit)
    taps = [
        Tap(
            f"L{k} as it is" if ladder and ladder.rung(k) else f"L{k}", "slice", (k,),
            smaller_space(whole.space, Size(depth=k), dim=whole.space.dim), shaping,
        )
        for k in range(1, n)
    ]  # fmt: skip
    taps.append(Tap(f"L{n}", "model", (n,), whole.space, None))
    taps += [
        Tap(name, "mean", depths, _mean_space(whole.space, name, unit=unit), shaping)
        for depths, name in _means(n).items()
    ]
    return Pass(whole.stack, layers, tuple(taps))


def _means(n: int) -> dict[tuple[int, ...], str]:
    """``{layers: name}``: the last two, first and last, all; of two layers these are the same, of one there is none."""
    if n == 1:
        return {}
    means: dict[tuple[int, ...], str] = {(n - 1, n): f"mean L{n - 1}-L{n}"}
    means.setdefault((1, n), f"mean L1+L{n}")
    means.setdefault(tuple(range(1, n + 1)), f"mean L1-L{n}")
    return means


def _rungs(whole: Whole) -> tuple[Pass, ...]:
    """The rungs of the ladder: one pass for those whose layers were trained together, one each for the others."""
    ladder = whole.ladder
    if ladder is None:
        return ()
    groups: dict[tuple[int, bool], list[Tap]] = {}
    for rung in ladder.rungs:
        k = rung.depth
        if 0 < k < whole.layers.depth:
            view = whole.at(Size(depth=k))
            own = k if any(adapter.required for adapter in ladder.adapters(k)) else 0
            tap = Tap(f"L{k}", rung.kind, (k,), view.space, view.shaping)
            groups.setdefault((own, ladder.head(k) is not None), []).append(tap)
    return tuple(
        Pass(whole.at(Size(depth=group[-1].depths[0])).stack, whole.layers, tuple(group)) for group in groups.values()
    )


def _mean_space(space: Space, name: str, *, unit: bool) -> Space:
    weights = hashlib.sha256(f"{space.weights}\0{name}".encode()).hexdigest()[:32]
    return replace(space, encoder=f"{space.encoder}@{name}", weights=weights, unit=unit)
