"""The sizes of a model, largest first: what each costs, how much faster it is, and how good where that was measured."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, cast

from nestvec.core import Size
from nestvec.core.errors import InputError
from nestvec.core.types import JSON
from nestvec.encoders.depth import weight_bytes
from nestvec.encoders.samples import PARITY
from nestvec.encoders.static import LadderSource, StaticEncoder
from nestvec.encoders.text import Precision, TextEncoder
from nestvec.encoders.tokens import TruncationWarning

_TEXTS = PARITY[:-1] * 2  # the last is longer than most windows, and would be most of the work
_MANY = 64  # times the texts for depth 0, which is done with a few before a clock has moved
_DIMS = (256, 128, 64)  # leading dimensions that are listed where no ladder names any
_BITS = (16, 8, 4, 1)  # a dimension, what codecs offer

Made = Literal["model", "slice", "cut", "closed", "distilled"]


@dataclass(frozen=True)
class SizeRow:
    """One size of a model.

    Args:
        size: depth and dim, and bits where they were asked for; ``full`` for all.
        made: ``model`` for the whole model; ``closed`` or ``distilled`` for a rung of a ladder, by a formula or by
            training; ``cut`` for leading dimensions of a rung that was not made for so few; ``slice`` for layers and
            leading dimensions as they are, which nothing was fitted for.
        dim: of a vector.
        model_bytes: of the weights that run, as they are held.
        speed: texts a second, as a multiple of the full model's; None where it was not measured.
        figures: quality as the ladder has it, such as ``{"stsb": 0.787}``; see :class:`Rung`. Empty where nobody
            measured.
    """

    size: Size
    made: Made
    dim: int
    model_bytes: int
    speed: float | None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def vector_bytes(self) -> int:
        """Of one vector: float32, or of as many bits as the size has."""
        return self.bytes_at(self.size.bits or 32)

    def bytes_at(self, bits: int) -> int:
        """Bytes of one vector at so many bits a dimension. Some codecs add a few of their own, a scale or a norm."""
        return -(-self.dim * bits // 8)

    def to_json(self) -> dict[str, JSON]:
        """A plain dict, the size as text, with the bytes of a vector at the usual numbers of bits."""
        return {
            **asdict(self),
            "size": str(self.size),
            "figures": dict(self.figures),
            "vector_bytes": self.vector_bytes,
            "vector_bytes_at": {str(bits): self.bytes_at(bits) for bits in (32, *_BITS)},
        }


def sizes(
    model: TextEncoder | str | Path = "default",
    *,
    ladder: LadderSource = "default",
    precision: Precision = "auto",
    repeats: int = 3,
    texts: Sequence[str] = _TEXTS,
    only: Sequence[Size | str] = (),
) -> list[SizeRow]:
    """Every depth of a model, and every rung of its ladder at each of the dims that a rung was made for.

    A depth with a rung is listed with it, and not as the bare layer. Without a ladder the whole model is listed at 256,
    128 and 64 dimensions. Other sizes work too: name them in ``only``.

    Args:
        model: an encoder, or what :meth:`TextEncoder.load` takes.
        ladder: for a model that is not loaded yet.
        precision: for a model that is not loaded yet.
        repeats: passes for the speed, which is the median of paired ratios; 0 to measure none.
        texts: what the speed is measured on.
        only: the sizes to list; by default those above.

    Raises:
        InputError: the model cannot be used, has no such size, or ``texts`` is empty.
    """
    if not texts:
        raise InputError("speed must be measured on at least one text, got none. Pass repeats=0 to measure none.")
    encoder = model if isinstance(model, TextEncoder) else TextEncoder.load(model, precision=precision, ladder=ladder)
    full = cast("TextEncoder", encoder.at(Size()))
    speeds: dict[int | None, float | None] = {None: 1.0 if repeats else None}
    rows = []
    for size in map(Size.parse, only) if only else _listed(full):
        smaller = _one(full, size)
        depth = smaller.size.depth
        if depth not in speeds:  # leading dimensions take no time
            speeds[depth] = _speed(full, _one(full, Size(depth=depth)), texts, repeats) if repeats else None
        rung = full.ladder.rung(depth) if full.ladder and depth is not None else None
        rows.append(
            SizeRow(
                size=smaller.size,
                made=_made(full, smaller.size),
                dim=smaller.space.dim,
                model_bytes=_bytes(smaller),
                speed=speeds[depth],
                figures=_figures(rung.figures, smaller.size.dim) if rung else {},
            )
        )
    return rows


def _one(full: TextEncoder, size: Size) -> TextEncoder | StaticEncoder:
    """The model at a size of one vector an item, which is what is listed."""
    if size.many:
        raise InputError(f"sizes are listed of one vector an item, got {size}.")
    return cast("TextEncoder | StaticEncoder", full.at(size))


def _listed(full: TextEncoder) -> Iterator[Size]:
    """Largest first; a depth that the model does not have is left out."""
    ladder = full.ladder
    try:
        deepest = full.layers
    except InputError:
        deepest = 1  # all layers or none
    fitted = {dim for rung in ladder.rungs for dim in rung.dims} if ladder else set(_DIMS)
    for depth in (None, *range(deepest - 1, -1, -1)):
        try:
            full.at(Size(depth=depth))
        except InputError:
            continue  # no table that can be read: this model has no depth 0
        rung = ladder.rung(depth) if ladder and depth is not None else None
        dims = fitted if depth is None or rung else set()
        yield Size(depth=depth)
        yield from (Size(depth=depth, dim=dim) for dim in sorted(dims, reverse=True) if dim < full.space.dim)


def _made(full: TextEncoder, size: Size) -> Made:
    """Who made what is at that size: the rung of its depth, for all layers the ladder's rotation, or nobody."""
    if size.depth is None and size.dim is None:
        return "model"
    if full.ladder is None:
        return "slice"
    if size.depth is None:
        return "slice" if full.ladder.rotation(size.dim or full.space.dim) is None else "closed"
    rung = full.ladder.rung(size.depth)
    if rung is None:
        return "slice"
    return rung.kind if (size.dim or full.space.dim) in rung.dims else "cut"


def _figures(figures: Mapping[str, float], dim: int | None) -> dict[str, float]:
    """Those of one dim: ``stsb@128`` is of 128, a name without ``@`` of the full one (None here)."""
    named = ((*name.partition("@"), value) for name, value in figures.items())
    return {name: value for name, _, at, value in named if at == ("" if dim is None else str(dim))}


def _bytes(encoder: TextEncoder | StaticEncoder) -> int:
    if isinstance(encoder, TextEncoder):
        return weight_bytes(encoder.stack)
    return encoder.nbytes


def _speed(
    full: TextEncoder | StaticEncoder, other: TextEncoder | StaticEncoder, texts: Sequence[str], repeats: int
) -> float:
    """How many times as many texts a second ``other`` encodes; the two in turn, so that drift hits both."""
    many = list(texts) * (_MANY if isinstance(other, StaticEncoder) else 1)
    ratios = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        for turn in range(repeats + 1):
            start = time.perf_counter()
            full.encode(texts)
            middle = time.perf_counter()
            other.encode(many)
            end = time.perf_counter()
            if turn:  # the first warms up
                ratios.append((middle - start) / len(texts) / ((end - middle) / len(many)))
    return statistics.median(ratios)
