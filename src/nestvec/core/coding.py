"""What every codec and every reducer can do, whoever wrote it."""

from __future__ import annotations

from typing import ClassVar, Protocol, runtime_checkable

import numpy as np

from nestvec.core.types import Array, ArrayLike, Float32, Int64, Matrix, Shaped


@runtime_checkable
class Codec(Protocol):
    """Vectors to codes, codes to vectors, and scores of float queries against codes."""

    id: ClassVar[str]

    @property
    def dim(self) -> int:
        """``d`` of the vectors it takes."""
        ...

    @property
    def bytes_per_vector(self) -> int:
        """Bytes of one code, with the scales and factors that are stored per vector."""
        ...

    def encode(self, x: ArrayLike) -> Shaped[np.ndarray, "n w"]:
        """``[n, d]`` float to codes; a row's code does not depend on the others."""
        ...

    def decode(self, codes: Array) -> Matrix:
        """Codes to the vectors ``[n, d]`` that they stand for."""
        ...

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of float queries with ``decode(codes)``."""
        ...

    def arrays(self) -> dict[str, Array]:
        """All of it as named arrays, with its ``id``."""
        ...


@runtime_checkable
class Bounded(Protocol):
    """A codec that knows how wrong its scores may be."""

    def bounds(self, queries: ArrayLike, codes: Array) -> tuple[Float32[np.ndarray, "q n"], Float32[np.ndarray, "q n"]]:
        """Estimated scores, and the error that each exceeds with small probability only."""
        ...


@runtime_checkable
class TokenCodec(Protocol):
    """A codec with a fast way to score items of several vectors."""

    def maxima(
        self, query: Float32[np.ndarray, "q d"], codes: Array, offsets: Int64[np.ndarray, " n1"]
    ) -> Float32[np.ndarray, "n q"]:
        """The best inner product of each query token with the decoded codes of each item; ``-inf`` for none."""
        ...


@runtime_checkable
class Reducer(Protocol):
    """Vectors to shorter, or better conditioned, vectors by an affine map."""

    id: ClassVar[str]

    @property
    def matrix(self) -> Float32[np.ndarray, "d m"]:
        """What rows are multiplied with."""
        ...

    @property
    def centre(self) -> Float32[np.ndarray, " d"]:
        """What is taken off before."""
        ...

    @property
    def unit(self) -> bool:
        """True if the result is brought to length 1."""
        ...

    def transform(self, x: ArrayLike) -> Float32[np.ndarray, "n m"]:
        """``[n, d]`` float to ``[n, m]``."""
        ...

    def arrays(self) -> dict[str, Array]:
        """All of it as named arrays, with its ``id``."""
        ...
