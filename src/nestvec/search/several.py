"""Several vectors a record: how they are made small, kept, and brought back.

A record that keeps several vectors keeps its single one as well, by which candidates are found. Its row in the store
has one more column, with a code for each vector. What codes them is fixed by its name, bits and dim alone, so that
nothing fitted has to be kept beside the codes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np

from nestvec.codecs import CODECS
from nestvec.core.coding import Codec
from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.core.types import JSON, Array, Float32, Int64, Matrix
from nestvec.core.vectors import MultiVectors
from nestvec.kernels.maxsim import matches_coded, maxsim_coded
from nestvec.reducers.cluster import members, pool
from nestvec.search.coding import Coding
from nestvec.store import Ragged

TOKENS = "tokens"
"""Name of the array of codes, one for each vector of a record."""

_DEFAULT_BITS = 8  # the ten best are those of float32 in more than 99 of 100 cases (docs/guide/multi-vector.md)
_CODECS: Mapping[str, tuple[int, ...]] = {
    "int8_rows@1": (8,),
    "float16@1": (16,),
    "bfloat16@1": (16,),
    "rabitq@1": tuple(range(1, 8)),
}  # those that are the same whatever they are fitted on


@runtime_checkable
class TokenEncoder(Protocol):
    """Gives a vector for every token."""

    @property
    def space(self) -> Space:
        """The space of all of them."""
        ...

    def encode(self, records: Iterable[Record | str]) -> MultiVectors:
        """Documents to the vectors of their tokens, in the order given."""
        ...

    def encode_query(self, queries: Iterable[str]) -> MultiVectors:
        """Queries to the vectors of their tokens, in the order given."""
        ...


@dataclass(frozen=True)
class Several:
    """How the several vectors of a record are kept.

    Args:
        space: of the vectors.
        vectors: how many a record, as :attr:`nestvec.core.Size.vectors` says it.
        codec: what keeps them, by its name in the catalogue.
        bits: a dimension.
    """

    space: Space
    vectors: int | str
    codec: str
    bits: int

    @cached_property
    def coder(self) -> Codec:
        """What keeps the vectors."""
        return Coding(self.codec, self.bits).fit(np.zeros((1, self.space.dim), np.float32))

    def pack(self, made: MultiVectors) -> Ragged:
        """Vectors of records to the codes of their rows.

        Raises:
            SpaceMismatchError: they are of another space.
        """
        return self.coded(self.fewer(made))

    def coded(self, kept: MultiVectors) -> Ragged:
        """Codes of vectors that are as many as are kept."""
        codes = np.ascontiguousarray(self.coder.encode(kept.values))
        return Ragged(codes.view(np.uint8).reshape(len(codes), self.coder.bytes_per_vector), kept.offsets)

    def fewer(self, made: MultiVectors) -> MultiVectors:
        """As many vectors as are kept, as long as the space says: the part of :meth:`pack` that takes the time.

        Raises:
            SpaceMismatchError: they are of another space.
        """
        self.space.require(made.space)
        values, offsets = made.values, made.offsets
        if self._fewer_by:
            values, offsets = pool(values, offsets, **self._fewer_by)
        return MultiVectors(unit(values) if self.space.metric == "cosine" else values, offsets, self.space)

    def members(self, made: MultiVectors) -> Int64[np.ndarray, " t"]:
        """Which of the vectors that its record keeps each vector goes into: ``[t]``, counted from 0 in each record."""
        return members(made.values, made.offsets, **(self._fewer_by or {"ratio": 1.0}))

    @property
    def _fewer_by(self) -> dict[str, Any]:
        """How clustering is told how many to keep; nothing where all are."""
        if isinstance(self.vectors, int):
            return {"k": self.vectors}
        return {} if self.vectors == "all" else {"ratio": int(self.vectors.rstrip("%")) / 100}

    def unpack(self, codes: Ragged) -> MultiVectors:
        """The vectors that codes stand for."""
        return MultiVectors(self.coder.decode(self._typed(codes)), codes.offsets, self.space)

    def scores(self, query: Float32[np.ndarray, "t d"], codes: Ragged) -> Float32[np.ndarray, " n"]:
        """MaxSim of one query with rows; ``-inf`` for those without vectors."""
        return maxsim_coded(self.coder, query, self._typed(codes), codes.offsets)

    def matches(self, query: Float32[np.ndarray, "t d"], codes: Ragged) -> tuple[Array, Array]:
        """Which vector of each row a token of the query is matched with, and its score: what :meth:`scores` adds up."""
        return matches_coded(self.coder, query, self._typed(codes), codes.offsets)

    def _typed(self, codes: Ragged) -> Array:
        """Bytes as the codec knows them."""
        none: Matrix = np.zeros((0, self.space.dim), np.float32)
        return np.ascontiguousarray(codes.values).view(self.coder.encode(none).dtype)

    def to_json(self) -> dict[str, JSON]:
        """As the settings of a collection keep it."""
        return {"space": self.space.to_json(), "vectors": self.vectors, "codec": self.codec, "bits": self.bits}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Several:
        """What :meth:`to_json` gave.

        Raises:
            InputError: the space is incomplete.
        """
        space = Space.from_json(cast("dict[str, JSON]", data["space"]))
        vectors = cast("int | str", data["vectors"])
        return cls(space, vectors, cast(str, data["codec"]), cast(int, data["bits"]))


@dataclass(frozen=True, eq=False)
class Both:
    """Queries in both forms.

    Args:
        single: ``[q, d]``, compared with the single vectors of records; None where nothing can be.
        several: the vectors of each query.
    """

    single: Matrix | None
    several: MultiVectors

    @property
    def space(self) -> Space:
        """Of the several vectors."""
        return self.several.space


def split(size: Size | str | None, codec: str | None) -> tuple[Size | None, Size | str | None, str | None]:
    """A size that asks for several vectors, as that and the size of the single one; codec and bits go with several.

    Returns:
        The number of vectors and their bits, None where one is asked for; then size and codec of the single vector.
    """
    asked = None if size is None else Size.parse(size)
    if asked is None or asked.vectors is None:
        return None, size, codec
    if not asked.many:
        return None, replace(asked, vectors=None), codec
    return Size(vectors=asked.vectors, bits=asked.bits), replace(asked, vectors=None, bits=None), None


def choose_several(wanted: Size, codec: str | None, space: Space) -> Several:
    """How to keep so many vectors in so many bits.

    Args:
        wanted: vectors and bits; None for 8 bits.
        codec: by its name in the catalogue; None for the one of so many bits.
        space: of the vectors.

    Raises:
        UnknownNameError: there is no such codec.
        InputError: it cannot keep them, or there is none of so many bits.
    """
    if codec is not None:
        CODECS.require(codec)
        if codec not in _CODECS:
            raise InputError(f"several vectors must be kept by one of {', '.join(_CODECS)}, got {codec}.")
        bits = _CODECS[codec][0] if wanted.bits is None else wanted.bits
    else:
        bits = _DEFAULT_BITS if wanted.bits is None else wanted.bits
        codec = next((name for name, has in _CODECS.items() if bits in has), "")
    if bits not in _CODECS.get(codec, ()):
        with_ = f" with {codec}" if codec else ""
        raise InputError(f"bits must be 1 to 8 or 16 for several vectors, got {bits}{with_}.")
    return Several(space, wanted.vectors or "all", codec, bits)


def token_encoder(encoder: Encoder, size: Size) -> TokenEncoder:
    """What gives a vector for every token, from an encoder that gives one a text.

    Args:
        encoder: of a collection.
        size: depth and dim of what it gives.

    Raises:
        InputError: it gives no vectors of tokens.
    """
    asked = replace(size, vectors="all", bits=None)
    return _token_encoder(encoder, asked)  # type: ignore[arg-type]  # encoders are hashed by identity


@lru_cache(maxsize=2)  # what it takes to look a model over is more than a query takes
def _token_encoder(encoder: Encoder, size: Size) -> TokenEncoder:
    at = getattr(encoder, "at", None)
    if at is None:
        raise InputError(
            f"several vectors must come from an encoder that gives one for each token, got {type(encoder).__name__}."
        )
    return cast(TokenEncoder, at(size))


def unit(values: Float32[np.ndarray, "t d"]) -> Float32[np.ndarray, "t d"]:
    """The same directions, length 1; zeros stay zeros."""
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(length > 0, length, 1), np.float32)
