"""What a collection is: pinned when it is created, changed by a resize only, compared whenever vectors come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.core.types import JSON, Matrix
from nestvec.search.coding import Coding
from nestvec.search.several import TOKENS, Several

ARRAY = "dense"
"""Name of the array of one vector per record."""
NARROW = 64
"""Dimensions of the first band: with fewer, so many rows must be kept that less is saved than is read again."""
RECALL = 0.99
"""Asked of codes and graphs where nothing else is said."""


def as_searched(values: Matrix, space: Space) -> Matrix:
    """Vectors ``[n, d]`` whose inner product is the metric of their space: made unit for a cosine, else as they are.

    A vector of zeros stays one; its cosine with anything is 0.
    """
    if space.metric != "cosine" or space.unit:
        return values
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(length > 0, length, 1)).astype(np.float32)


def borders(dim: int) -> tuple[int, ...]:
    """Where bands end, but for the last: at 64 dimensions and each doubling below ``dim``."""
    return tuple(NARROW << step for step in range(dim.bit_length()) if NARROW << step < dim)


@dataclass(frozen=True)
class Settings:
    """The part of a collection's description that only a resize changes.

    Args:
        space: the space of its vectors.
        encoder: name in the catalogue of encoders, or None: vectors are brought along.
        source: what the encoder was loaded from: ``default``, a folder, or a hub id.
        budget: tokens a passage may have, title included; 0 where records are not split.
        overlap: tokens that two passages share where a section had to be cut.
        size: of its vectors, in text form; collections made before there were sizes are ``full``.
        codec: what keeps the vectors in memory, a name in the catalogue; None for float32.
        recall: asked of searches through the codec or the funnel: share of the ten nearest.
        candidates: rescored a query for ten results, by vectors or by several of them, where that is settled; 0 for
            as many as ``recall`` takes.
        funnel: search leading dimensions first; they lie in bands of their own on the disk.
        several: how the several vectors of a record are kept beside the one; None where there is one only.
    """

    space: Space
    encoder: str | None
    source: str
    budget: int
    overlap: int
    size: str = "full"
    codec: str | None = None
    recall: float = RECALL
    funnel: bool = False
    candidates: int = 0
    several: Several | None = None

    def __post_init__(self) -> None:
        if self.budget and not 0 <= self.overlap < self.budget // 2:
            raise InputError(f"overlap must be less than half the budget of {self.budget}, got {self.overlap}.")
        if not 0 < self.recall <= 1:
            raise InputError(f"recall must be above 0 and at most 1, got {self.recall}.")
        if self.candidates < 0 or (self.candidates and self.codec is None and self.several is None):
            raise InputError(
                f"candidates must be at least 1, and of a codec or several vectors, got {self.candidates} of "
                f"{self.codec or 'float32'}."
            )
        if self.funnel and self.codec is not None:
            raise InputError(
                f"a funnel must have float32 vectors, got size {self.size} with {self.codec}; ask for either."
            )
        if self.funnel and not borders(self.space.dim):
            raise InputError(
                f"a funnel must have more than {NARROW} dimensions, of which it leaves some out, got {self.space.dim}."
            )

    @property
    def encoded(self) -> Size:
        """The size that an encoder gives for the single vector: bits are left to the codec."""
        size = Size.parse(self.size)
        return replace(size, vectors=None if size.many else size.vectors, bits=None)

    @property
    def searched(self) -> Space:
        """The space that vectors of queries are in."""
        return self.space if self.several is None else self.several.space

    @property
    def coding(self) -> Coding | None:
        """How vectors are kept in memory; None for float32."""
        bits = Size.parse(self.size).bits
        return None if self.codec is None or bits is None else Coding(self.codec, bits)

    @property
    def bands(self) -> tuple[int, ...]:
        """Dimensions of each band that vectors are cut into for the funnel; none where there is no funnel."""
        ends = (0, *borders(self.space.dim), self.space.dim)
        return tuple(hi - lo for lo, hi in pairwise(ends)) if self.funnel else ()

    def to_json(self) -> dict[str, JSON]:
        """As the store keeps it."""
        told = {**asdict(self), "space": self.space.to_json(), "arrays": {ARRAY: self.space.dim}}
        del told["several"]
        if not self.candidates:
            del told["candidates"]
        if self.several is not None:
            told |= {"several": self.several.to_json(), "ragged": [TOKENS]}
            told["arrays"] |= {TOKENS: self.several.coder.bytes_per_vector}
        if self.funnel:
            return {**told, "bands": {ARRAY: list(self.bands)}}
        del told["funnel"]
        return told

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Settings:
        """Read what :meth:`to_json` gave.

        Raises:
            InputError: the space is incomplete.
        """
        return cls(
            space=Space.from_json(cast("dict[str, JSON]", data["space"])),
            encoder=cast("str | None", data["encoder"]),
            source=cast(str, data["source"]),
            budget=cast(int, data["budget"]),
            overlap=cast(int, data["overlap"]),
            size=cast(str, data.get("size", "full")),
            codec=cast("str | None", data.get("codec")),
            recall=cast(float, data.get("recall", RECALL)),
            funnel=cast(bool, data.get("funnel", False)),
            candidates=cast(int, data.get("candidates", 0)),
            several=Several.from_json(cast("dict[str, JSON]", several)) if (several := data.get("several")) else None,
        )
