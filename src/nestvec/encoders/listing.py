"""The sizes of a model, largest first: what each costs, how much faster it is, and how good where that was measured."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

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


@dataclass(frozen=True)
class SizeRow:
    """One size of a model.

    Args:
        size: depth and dim; ``full`` for all.
        made: ``model`` for the model's own layers and dimensions; ``closed`` or ``distilled`` for a rung of a ladder.
        vector_bytes: of one vector in float32.
        model_bytes: of the weights that run, as they are held.
        speed: texts a second, as a multiple of the full model's; None where it was not measured.
        figures: quality as the ladder has it, such as ``{"stsb": 0.787}``; empty where nobody measured.
    """

    size: Size
    made: str
    vector_bytes: int
    model_bytes: int
    speed: float | None
    figures: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        """A plain dict, the size as text."""
        return {**asdict(self), "size": str(self.size), "figures": dict(self.figures)}


def sizes(
    model: TextEncoder | str | Path = "default",
    *,
    ladder: LadderSource = "default",
    precision: Precision = "auto",
    repeats: int = 3,
    texts: Sequence[str] = _TEXTS,
) -> list[SizeRow]:
    """Every depth of a model at its full dim, and every rung of its ladder at each of the dims it was made for.

    Other dims work too. A depth with a rung is listed with it, and not as the bare layer.

    Args:
        model: an encoder, or what :meth:`TextEncoder.load` takes.
        ladder: for a model that is not loaded yet.
        precision: for a model that is not loaded yet.
        repeats: passes for the speed, which is the median of paired ratios; 0 to measure none.
        texts: what the speed is measured on.

    Raises:
        InputError: the model cannot be used, or ``texts`` is empty.
    """
    if not texts:
        raise InputError("speed must be measured on at least one text, got none. Pass repeats=0 to measure none.")
    encoder = model if isinstance(model, TextEncoder) else TextEncoder.load(model, precision=precision, ladder=ladder)
    full = encoder.at("full")
    try:
        deepest = encoder.layers
    except InputError:
        deepest = 0  # all layers or none
    rows = []
    for depth in [None, *range(deepest - 1, -1, -1)]:
        try:
            smaller = encoder.at(Size(depth=depth))
        except InputError:
            continue  # no table that can be read: this model has no depth 0
        speed = 1.0 if depth is None and repeats else _speed(full, smaller, texts, repeats) if repeats else None
        rung = encoder.ladder.rung(deepest if depth is None else depth) if encoder.ladder else None
        full_dim = smaller.space.dim
        rows += [
            SizeRow(
                size=Size(depth=depth, dim=None if dim == full_dim else dim),
                made=rung.kind if rung and not (depth is None and dim == full_dim) else "model",
                vector_bytes=4 * dim,
                model_bytes=_bytes(smaller),
                speed=speed,
                figures=_figures(rung.figures, None if dim == full_dim else dim) if rung else {},
            )
            for dim in sorted({full_dim, *(rung.dims if rung else ())}, reverse=True)
        ]
    return rows


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
