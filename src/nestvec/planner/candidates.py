"""Every setting that could be chosen, and what each costs in bytes, told by the parts themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from nestvec.codecs import CODECS
from nestvec.core.coding import Codec
from nestvec.core.errors import UnknownNameError
from nestvec.core.size import Size
from nestvec.core.types import JSON, Matrix
from nestvec.planner.views import View
from nestvec.search.twostage import CodeScan, scan_of

Index = Literal["flat", "graph"]

ROW_ID = 8  # bytes of a row id beside each code
_LINKS = 2 * 32  # links of a graph's lowest layer, 4 bytes each
_NODE = 4 * _LINKS + 8 + 4 + ROW_ID + 8  # with offset, level, row id, and the layers above, on average
_FRACTIONS = (1, 2 / 3, 1 / 2, 1 / 3, 1 / 4, 1 / 6)
_STEP = 8  # dimensions come in multiples of it, which all codecs can pack


@dataclass(frozen=True)
class Coding:
    """A codec as it is asked for.

    Args:
        name: in the catalogue.
        bits: stored for each dimension, for :class:`~nestvec.core.size.Size`.
        options: for its ``fit``.
    """

    name: str
    bits: int
    options: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    def fit(self, sample: Matrix, *, seed: int) -> Codec:
        """The codec, fitted."""
        codec: Codec = CODECS[self.name].fit(sample, seed=seed, **self.options)
        return codec


QUICK: tuple[Coding, ...] = (
    Coding("float16@1", 16),
    Coding("int8@1", 8),
    Coding("int4@1", 4),
    Coding("rabitq@1", 4, MappingProxyType({"bits": 4})),
    Coding("rabitq@1", 2, MappingProxyType({"bits": 2})),
    Coding("rabitq@1", 1, MappingProxyType({"bits": 1})),
    Coding("sign@1", 1),
)
"""Those that are fitted in less than a second."""

MORE: tuple[Coding, ...] = (Coding("int8_rows@1", 8), Coding("pq@1", 1), Coding("opq@1", 1), Coding("distill_vq@1", 1))
"""Those that take seconds to minutes, or gain little; tried when they are named."""


def codings(names: Sequence[str]) -> tuple[Coding, ...]:
    """Those of the given names, in every number of bits that is tried.

    Raises:
        UnknownNameError: the planner does not know one of them.
    """
    known = {coding.name for coding in QUICK + MORE}
    for name in names:
        if name not in known:
            raise UnknownNameError(f"codecs to plan with must be among {', '.join(sorted(known))}, got {name!r}.")
    return tuple(coding for coding in QUICK + MORE if coding.name in names)


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
            return f"{self.coding.name} m={self.m}"
        return "graph" if self.index == "graph" else "exact"

    def to_json(self) -> dict[str, JSON]:
        """Plain data, but for the size."""
        return {
            "codec": self.coding.name if self.coding else None,
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


def state_bytes(codec: Codec) -> int:
    """Bytes of what a codec keeps once: scales, rotations, codebooks."""
    return sum(int(array.nbytes) for array in codec.arrays().values())


def held_bytes(codec: Codec, few: Matrix) -> int:
    """Bytes of a code in memory: as it is stored, or as its own scan lays it out, in whole words.

    Args:
        codec: any.
        few: ``[n, d]`` vectors, ``n`` a multiple of 256, the blocks of a scan.
    """
    scan = scan_of(codec, codec.encode(few))
    return codec.bytes_per_vector if isinstance(scan, CodeScan) else (scan.nbytes - state_bytes(codec)) // len(few)


def index_bytes(candidate: Candidate, codec: Codec | None, n: int, *, held: int = 0) -> tuple[int, int]:
    """Bytes in memory and on disk of ``n`` rows, the encoder left out.

    Exact for codes, which the parts count themselves; ``held`` is what :func:`held_bytes` says of the codec. The
    vectors of a flat scan are counted as memory: a memory map that does not fit is read from disk for every query. A
    graph is an estimate until it is built.
    """
    floats = 4 * candidate.dim * n
    if codec is not None:
        state = state_bytes(codec)
        return (held + ROW_ID) * n + state, floats + codec.bytes_per_vector * n + state
    if candidate.index == "graph":
        graph = floats + _NODE * n
        return graph, floats + graph
    return floats, floats
