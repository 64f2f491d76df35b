"""Every setting that could be chosen, and what each costs in bytes, told by the parts themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nestvec.core.coding import Codec
from nestvec.core.errors import UnknownNameError
from nestvec.core.portable import nbytes
from nestvec.core.size import Size
from nestvec.core.types import JSON
from nestvec.planner.views import View
from nestvec.search.coding import Coding

Index = Literal["flat", "graph"]

ROW_ID = 8  # bytes of a row id beside each code
_LINKS = 2 * 32  # links of a graph's lowest layer, 4 bytes each
_NODE = 4 * _LINKS + 8 + 4 + ROW_ID + 8  # with offset, level, row id, and the layers above, on average
_FRACTIONS = (1, 2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 6)
_STEP = 8  # dimensions come in multiples of it, which all codecs can pack

QUICK: tuple[Coding, ...] = (
    Coding("float16@1", 16),
    Coding("int8@1", 8),
    Coding("int4@1", 4),
    Coding("rabitq@1", 4),
    Coding("rabitq@1", 2),
    Coding("rabitq@1", 1),
    Coding("sign@1", 1),
)
"""Those that are fitted in less than a second."""

MORE: tuple[Coding, ...] = (Coding("int8_rows@1", 8), Coding("pq@1", 1), Coding("opq@1", 1), Coding("distill_vq@1", 1))
"""Those that take seconds to minutes at every depth and dim, and gain little where the best are rescored by their
vectors; tried when they are named."""

ALL = "all"
"""In place of names: every codec that there is a candidate of."""


def codings(names: Sequence[str]) -> tuple[Coding, ...]:
    """Those of the given names, in every number of bits that is tried; all of them for the one name ``all``.

    Raises:
        UnknownNameError: the planner does not know one of them.
    """
    known = {coding.codec for coding in QUICK + MORE}
    names = sorted(known) if list(names) == [ALL] else names
    for name in names:
        if name not in known:
            raise UnknownNameError(
                f"codecs to plan with must be among {', '.join(sorted(known))}, or all, got {name!r}."
            )
    return tuple(coding for coding in QUICK + MORE if coding.codec in names)


@dataclass(frozen=True)
class Candidate:
    """One setting of all dials.

    Args:
        depth: layers that run; None for all.
        dim: dimensions kept.
        made: where such vectors come from: ``full``, or as :meth:`View.made` says.
        coding: what is scanned in memory; None for the float vectors themselves.
        m: candidates that are scored by their float vectors; 0 where those are scanned.
        index: ``flat`` or ``graph``.
    """

    depth: int | None
    dim: int
    made: str
    coding: Coding | None = None
    m: int = 0
    index: Index = "flat"

    def size(self, full: int | None) -> Size:
        """As :class:`Size`, given how many dimensions the model has in all; None to name them always."""
        bits = self.coding.bits if self.coding else None
        return Size(depth=self.depth, dim=None if self.dim == full else self.dim, bits=bits)

    @property
    def how(self) -> str:
        """What is done beside the size, for people: ``rabitq@1 m=100``, ``exact`` or ``graph``."""
        if self.coding is not None:
            return f"{self.coding.codec} m={self.m}"
        return "graph" if self.index == "graph" else "exact"

    def to_json(self) -> dict[str, JSON]:
        """Plain data, but for the size."""
        return {
            "codec": self.coding.codec if self.coding else None,
            "m": self.m or None,
            "index": self.index,
            "made": self.made,
        }


def dims_of(view: View) -> tuple[int, ...]:
    """The dimensions that are tried: six parts of all, widest first."""
    found = {view.dim} | {max(_STEP, round(view.dim * part / _STEP) * _STEP) for part in _FRACTIONS}
    return tuple(sorted((dim for dim in found if dim <= view.dim), reverse=True))


def space(views: Sequence[View], *, coded: Sequence[Coding], ms: Sequence[int], graph: bool) -> Iterator[Candidate]:
    """Every candidate, the full size first.

    Args:
        views: one a depth; the first is the full size.
        coded: the codecs.
        ms: how many are scored by their floats, for each codec.
        graph: whether a graph could pay: there are enough rows, and its library is installed.
    """
    for view in views:
        for dim in dims_of(view):
            made = "full" if view is views[0] and dim == view.dim else view.made(dim)
            yield Candidate(view.depth, dim, made)
            if graph:
                yield Candidate(view.depth, dim, made, index="graph")
            for coding in coded:
                for m in ms:
                    yield Candidate(view.depth, dim, made, coding, m)


def index_bytes(candidate: Candidate, codec: Codec | None, n: int, *, held: int = 0) -> tuple[int, int]:
    """Bytes in memory and on disk of ``n`` rows, the encoder left out.

    Exact for codes, which the parts count themselves; ``held`` is what
    :func:`~nestvec.search.twostage.held_bytes` says of the codec. The vectors of a flat scan are counted as memory: a
    memory map that does not fit is read from disk for every query. A graph is an estimate until it is built.
    """
    floats = 4 * candidate.dim * n
    if codec is not None:
        once = nbytes(codec)
        return (held + ROW_ID) * n + once, floats + (codec.bytes_per_vector + ROW_ID) * n + once
    if candidate.index == "graph":
        graph = floats + _NODE * n
        return graph, floats + graph
    return floats, floats
