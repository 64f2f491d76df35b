"""What the kinds of parts have in common. A part satisfies its protocol by having the methods, not by inheriting."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from nestvec.core.hits import Hits
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.core.types import ArrayLike, Int64
from nestvec.core.vectors import Vectors


@runtime_checkable
class TokenCounter(Protocol):
    """Counts tokens the way an encoder will."""

    def __call__(self, texts: Sequence[str], /) -> list[int]:
        """How many tokens each text takes, special tokens not counted."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Turns records into vectors of one space."""

    @property
    def space(self) -> Space:
        """The space of every vector it gives, documents and queries alike."""
        ...

    @property
    def window(self) -> int:
        """Tokens of text that one forward pass can see, special tokens and instruction already taken off."""
        ...

    def encode(
        self, records: Iterable[Record | str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Documents to ``[n, d]``, in the order given."""
        ...

    def encode_query(
        self, queries: Iterable[str], *, size: Size | str | None = None, instruction: str | None = None
    ) -> Vectors:
        """Queries to ``[q, d]``, in the order given."""
        ...

    def stream(self, records: Iterable[Record | str]) -> Iterator[tuple[list[Record], Vectors]]:
        """Documents to chunks of ``(records, vectors)``, in the order given, never all in memory."""
        ...

    def count_tokens(self, texts: Sequence[str], /) -> list[int]:
        """How many tokens each text takes, special tokens not counted."""
        ...


@runtime_checkable
class Searcher(Protocol):
    """Finds the best items for queries."""

    def search(self, queries: ArrayLike, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Hits:
        """``[q, d]`` -> the ``k`` best items of each, ties to the smaller id; only ids in ``allow``, ascending."""
        ...
