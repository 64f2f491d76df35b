"""Every setting that could be chosen, and what each costs in bytes, told by the parts themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from nestvec.core.coding import Codec
from nestvec.core.errors import InputError, UnknownNameError
from nestvec.core.portable import nbytes
from nestvec.core.size import Size
from nestvec.core.types import JSON
from nestvec.planner.tokens import FINEST
from nestvec.planner.views import View
from nestvec.search.coding import Coding
from nestvec.search.late import EXACT

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

MANY: tuple[Coding, ...] = (
    Coding("int8_rows@1", 8),
    Coding("rabitq@1", 4),
    Coding("rabitq@1", 2),
    Coding("rabitq@1", 1),
)
"""Those that keep the several vectors of a record."""

FULL_MANY = Coding(FINEST, 16)
"""What keeps a vector for every token at the full size."""

ALL = "all"
"""In place of names: every codec that there is a candidate of."""

Family = Coding | tuple[Literal["several"], Coding] | None
"""Candidates whose searches run the same code: those of one codec, or exact ones (None)."""


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


def codings_of_many(names: Sequence[str]) -> tuple[Coding, ...]:
    """Those of the given names that keep several vectors of a record; all of them for the one name ``all``.

    Raises:
        InputError: none of them does.
    """
    found = MANY if list(names) == [ALL] else tuple(coding for coding in MANY if coding.codec in names)
    if not found:
        able = ", ".join(dict.fromkeys(coding.codec for coding in MANY))
        raise InputError(f"of the codecs to plan with one must keep several vectors ({able}), got {', '.join(names)}.")
    return found


def numbers_of_vectors(text: str) -> tuple[int | str, ...]:
    """Numbers of vectors a record, smallest first, from a line such as ``1,8,25%,all``.

    Raises:
        InputError: it cannot be read, or is empty.
    """
    try:
        found = {Size.parse(f"v{part.strip()}") for part in text.split(",") if part.strip()}
    except InputError:
        found = set()
    if not found:
        raise InputError(
            f"vectors to plan with must be numbers, shares such as 25%, or all, with commas between, got {text!r}."
        )
    return tuple(size.vectors for size in sorted(found) if size.vectors is not None)


@dataclass(frozen=True)
class Candidate:
    """One setting of all dials.

    Args:
        depth: layers that run; None for all.
        dim: dimensions kept.
        made: where such vectors come from: ``full``, or as :meth:`View.made` says.
        coding: what is scanned in memory, or keeps several vectors a record; None for the float vectors themselves.
        m: candidates that are scored by their float vectors, 0 where those are scanned; or that are compared by their
            several vectors, 0 for all of them.
        index: ``flat`` or ``graph``.
        vectors: a record keeps beside its single one, as :attr:`nestvec.core.Size.vectors` says it; None for none.
    """

    depth: int | None
    dim: int
    made: str
    coding: Coding | None = None
    m: int = 0
    index: Index = "flat"
    vectors: int | str | None = None

    @property
    def family(self) -> Family:
        """Those that it is timed with."""
        return ("several", self.coding) if self.vectors is not None and self.coding is not None else self.coding

    def size(self, full: int | None) -> Size:
        """As :class:`Size`, given how many dimensions the model has in all; None to name them always."""
        bits = self.coding.bits if self.coding else None
        return Size(depth=self.depth, vectors=self.vectors, dim=None if self.dim == full else self.dim, bits=bits)

    @property
    def how(self) -> str:
        """What is done beside the size, for people: ``rabitq@1 m=100``, ``exact`` or ``graph``."""
        if self.coding is not None:
            return f"{self.coding.codec} m={self.m or 'all'}"
        return "graph" if self.index == "graph" else "exact"

    def to_json(self) -> dict[str, JSON]:
        """Plain data, but for the size."""
        return {
            "vectors": self.vectors or 1,
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


def space_of_many(
    views: Sequence[View], *, vectors: Sequence[int | str], coded: Sequence[Coding], ms: Sequence[int], total: int
) -> Iterator[Candidate]:
    """Every candidate that keeps several vectors a record, at the depths that have token vectors.

    Args:
        views: one a depth.
        vectors: how many a record.
        coded: the codecs.
        ms: how many are compared; those that are all there are come once, as 0.
        total: rows of the collection; so few that a search compares all are compared at once.
    """
    some = [m for m in ms if m < total] if total > EXACT else []
    for view in views:
        for many in vectors if view.tokens is not None else ():
            for dim in token_dims(view):
                made = "full" if view is views[0] and dim == view.dim else view.made(dim)
                for coding in coded:
                    for m in some or (0,):
                        yield Candidate(view.depth, dim, made, coding, m, vectors=many)


def full_of_many(view: View) -> Candidate:
    """The full size where records keep several vectors: one for every token, in 16 bits, all of them compared."""
    return Candidate(view.depth, view.dim, "full", FULL_MANY, 0, vectors="all")


def token_dims(view: View) -> tuple[int, ...]:
    """The dimensions that are tried with several vectors: every other one, as each costs another clustering.

    All of them alone where tokens are projected to another width, or their length says something.
    """
    tokens = view.tokens
    if tokens is None or tokens.dim != view.dim or not tokens.documents.space.unit:
        return (view.dim,)
    return dims_of(view)[::2]


def many_bytes(candidate: Candidate, codec: Codec, n: int, kept: int) -> tuple[int, int]:
    """Bytes in memory and on disk of ``n`` rows that keep ``kept`` vectors together, the encoder left out.

    Codes count as memory, though they lie in memory maps: a query reads those of hundreds of records, megabytes at as
    many places, and the time that was taken holds while they are in memory. So do the single vectors by which
    candidates are found; not where all rows are compared, and nobody reads them.
    """
    floats, codes = 4 * candidate.dim * n, kept * codec.bytes_per_vector + 8 * (n + 1)
    return (floats if candidate.m else 0) + codes + nbytes(codec), floats + codes


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
