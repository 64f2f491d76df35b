"""All vectors of an item as one long vector, whose inner products stand for MaxSim."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import FormatError, InputError
from nestvec.core.portable import fingerprint, from_arrays, to_arrays
from nestvec.core.types import Array, ArrayLike, Float32, Shaped
from nestvec.kernels import affine, partition, ragged
from nestvec.kernels.cellscan import CellScan
from nestvec.kernels.maxsim import maxsim_many
from nestvec.kernels.proxy import ProxyRecall

Ragged = tuple[Array, Array]
"""Tokens ``[t, d]`` and offsets ``[n + 1]``."""

_LINE = 16  # floats of a cache line: rows of products start on one
_FINAL = 1 << 23  # floats before a final projection at a time: 32 MB
_MARK = "fingerprint"


@dataclass(frozen=True)
class Shape:
    """How long an encoding is, and what of.

    Args:
        repetitions: ``R``, independent partitions of the space. More of them make scores less noisy.
        bits: ``k_sim``, random planes of a partition, which has ``2**k_sim`` cells.
        inner: ``d_proj``, numbers kept of a token in its cell.
        final: ``d_final``, dimensions after one more projection of the whole; 0 for none.

    Raises:
        InputError: one of them is out of range.
    """

    repetitions: int
    bits: int
    inner: int
    final: int = 0

    def __post_init__(self) -> None:
        if self.repetitions < 1 or not 0 <= self.bits <= 12 or self.inner < 1 or self.final < 0:
            raise InputError(
                "a shape must have repetitions and inner of at least 1, bits from 0 to 12 and final of at least 0, "
                f"got {self}."
            )

    @property
    def dim(self) -> int:
        """Of an encoding."""
        return self.final or self.repetitions * 2**self.bits * self.inner


SHAPES = {"1280": Shape(20, 3, 8), "2560": Shape(20, 4, 8), "5120": Shape(20, 5, 8), "10240": Shape(20, 5, 16)}
"""Those that the paper found best for their length, by name, with tokens of 128 dimensions."""


@dataclass(frozen=True, eq=False)
class FDE:
    """Fixed-dimensional encodings: sums of query tokens, and means of document tokens, cell by cell.

    ``k_sim`` random planes cut space into cells, ``R`` times over. What a query has in a cell is the sum of its tokens
    there, what a document has, their mean; so the inner product of the two pairs every query token with the document
    tokens of its own cell, which are probably those most like it::

        <queries(Q), documents(P)> ~ MaxSim(Q, P) = sum_q max_p <q, p>

    In a cell stands a random projection of the token to ``d_proj`` numbers. All is divided by ``R``, half on each side,
    so that scores are those of MaxSim and not ``R`` times as large; the paper leaves that out, and no order changes.

    Both sides must be encoded by the same FDE: compare :attr:`fingerprint` before two encodings meet.

    Args:
        planes: ``[R, k_sim, d]``, Gaussian.
        signs: ``[R, d_proj, d]`` int8, 1 or -1; the identity where ``d_proj = d``.
        column: ``[R 2**k_sim d_proj]`` int32, the final dimension that each is added to; empty for none.
        turn: as many int8, 1 or -1, that each is multiplied with first.
        final: ``d_final``, 0 for none.
        fill: a cell of a document without a token takes the token whose cell differs in the fewest bits, the first of
            several. Off, such a cell is zero.
        unit: bring documents to length 1. Not in the paper.

    Source: Dhulipala et al. 2024, sec. 2 (arXiv:2405.19504); the final projection is the sketch of Charikar et al.
    2002.
    """

    planes: Float32[np.ndarray, "r k d"]
    signs: Shaped[np.ndarray, "r p d"]
    column: Shaped[np.ndarray, " w"]
    turn: Shaped[np.ndarray, " w"]
    final: int = 0
    fill: bool = True
    unit: bool = False

    id: ClassVar[str] = "fde@1"

    def __post_init__(self) -> None:
        if self.planes.ndim != 3 or self.signs.ndim != 3:
            raise InputError(f"planes and signs must be [R, k, d] and [R, p, d], got {self.planes.ndim} dimensions.")
        (r, k, d), p = self.planes.shape, self.signs.shape[1]
        many = r * 2**k * p if self.final else 0
        if self.signs.shape != (r, p, d) or self.column.shape != (many,) or self.turn.shape != (many,):
            raise InputError(
                f"for planes {self.planes.shape} and final={self.final}, signs must be [{r}, p, {d}], column and turn "
                f"[{many}], got {self.signs.shape}, {self.column.shape} and {self.turn.shape}."
            )
        if many and not (self.column.min() >= 0 and self.column.max() < self.final):
            raise InputError(f"column must be in [0, {self.final}), got up to {self.column.max()}.")

    @classmethod
    def fit(
        cls, sample: ArrayLike, *, shape: Shape | str = "10240", fill: bool = True, unit: bool = False, seed: int = 0
    ) -> FDE:
        """Draw one for tokens as wide as ``sample`` ``[t, d]``; nothing is learned.

        Args:
            sample: tokens; only their width is looked at.
            shape: one of :data:`SHAPES` by its name, or any other.
            fill: empty cells of documents take their nearest token.
            unit: bring documents to length 1.
            seed: of everything random.

        Raises:
            InputError: there is no shape of that name.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        if isinstance(shape, str) and shape not in SHAPES:
            raise InputError(f"shape must be one of {', '.join(SHAPES)}, or a Shape of your own, got {shape!r}.")
        made = SHAPES[shape] if isinstance(shape, str) else shape
        r, k, p, d = made.repetitions, made.bits, made.inner, as_matrix(sample, name="sample").shape[1]
        rng = np.random.default_rng(seed)
        planes = rng.standard_normal((r, k, d), dtype=np.float32)
        signs = np.broadcast_to(np.eye(d, dtype=np.int8), (r, d, d)) if p == d else _random_signs(rng, (r, p, d))
        many = r * 2**k * p if made.final else 0
        column = rng.integers(0, max(made.final, 1), many, dtype=np.int32)
        return cls(planes, np.ascontiguousarray(signs), column, _random_signs(rng, (many,)), made.final, fill, unit)

    @property
    def width(self) -> int:
        """``d`` of the tokens."""
        return int(self.planes.shape[2])

    @property
    def shape(self) -> Shape:
        """How long an encoding is, and what of."""
        return Shape(len(self.planes), self.planes.shape[1], self.signs.shape[1], self.final)

    @property
    def dim(self) -> int:
        """Of an encoding."""
        return self.shape.dim

    @cached_property
    def fingerprint(self) -> str:
        """32 hexadecimal digits that change with its version, its seed and any setting."""
        return fingerprint(self)

    def queries(self, tokens: ArrayLike, offsets: ArrayLike) -> Float32[np.ndarray, "n m"]:
        """Encodings of queries: sums, and zeros in empty cells.

        Args:
            tokens: ``[t, d]`` float, the tokens of query 0 first.
            offsets: ``[n + 1]``; query ``i`` owns tokens ``offsets[i]`` to ``offsets[i + 1]``.

        Returns:
            ``[n, dim]`` float32; zeros for a query without tokens.

        Raises:
            ShapeError, NotFiniteError: the arrays do not fit together, or are not finite.

        Cost: ``2 t d R (k_sim + d_proj)`` operations.
        """
        return self._encode(tokens, offsets, document=False)

    def documents(self, tokens: ArrayLike, offsets: ArrayLike) -> Float32[np.ndarray, "n m"]:
        """Encodings of documents: means, and the nearest token in empty cells; otherwise as :meth:`queries`."""
        return self._encode(tokens, offsets, document=True)

    def _encode(self, tokens: ArrayLike, offsets: ArrayLike, *, document: bool) -> Float32[np.ndarray, "n m"]:
        x = as_matrix(tokens, name="tokens", dim=self.width)
        where = ragged.as_offsets(offsets, end=len(x))
        shape = (len(self.planes), self.planes.shape[1], self.signs.shape[1])
        fill = document and self.fill
        if self.final:
            out = np.zeros((len(where) - 1, self.final), np.float32)
            step = max(_FINAL // len(self.column), 1)
            for lo in range(0, len(out), step):
                few = where[lo : lo + step + 1]
                mine = x[few[0] : few[-1]]
                whole = partition.encode(mine, few - few[0], self._matrix, shape, mean=document, fill=fill)
                for row, i in zip(whole, range(lo, lo + step), strict=False):
                    out[i] = np.bincount(self.column, row * self.turn, minlength=self.final)
        else:
            out = partition.encode(x, where, self._matrix, shape, mean=document, fill=fill)
        return affine.normalised(out) if document and self.unit else out

    def recall(self, queries: Ragged, documents: Ragged, *, k: int = 10, own: ArrayLike | None = None) -> ProxyRecall:
        """How well encodings of a sample find what MaxSim ranks first, and how many candidates that takes.

        Whether encodings serve depends on the tokens; measure it on yours before relying on them.

        Args:
            queries: tokens and offsets of queries like those to come.
            documents: tokens ``[t, d]`` float32 and offsets of some thousand documents.
            k: how many of the best count.
            own: ``[q]`` a document that each query was made from, which is left out; None if there are none.

        Raises:
            InputError, ShapeError, NotFiniteError: see :meth:`queries`, :func:`maxsim` and :meth:`ProxyRecall.measure`.

        Cost: MaxSim of every query with every document.
        """
        exact = maxsim_many(*queries, *documents)
        return ProxyRecall.measure(exact, self.queries(*queries) @ self.documents(*documents).T, k=k, own=own)

    def scanner(self, encodings: Float32[np.ndarray, "n m"]) -> CellScan | None:
        """Documents laid out so that a scan reads only the cells in which a query has tokens; they are copied.

        None where a final projection has mixed the cells.
        """
        return None if self.final else CellScan.of(encodings, cell=self.signs.shape[1])

    @cached_property
    def _matrix(self) -> Float32[np.ndarray, "d w"]:
        """Projections and planes as columns, in the order of :mod:`nestvec.kernels.partition`."""
        (r, k, d), p = self.planes.shape, self.signs.shape[1]
        scale = np.float32(1 / np.sqrt(r if p == d else r * p))
        out = np.zeros((d, -(-r * (p + k) // _LINE) * _LINE), np.float32)
        out[:, : r * p] = self.signs.reshape(r * p, d).T * scale
        out[:, r * p : r * (p + k)] = self.planes.reshape(r * k, d).T
        return out

    def arrays(self) -> dict[str, Array]:
        """All of it by name, for :meth:`from_arrays`, with its fingerprint."""
        return {**to_arrays(self), _MARK: np.frombuffer(self.fingerprint.encode(), np.uint8)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> FDE:
        """What :meth:`arrays` gave.

        Raises:
            FormatError: these are other arrays, or the fingerprint says that they are not what was saved.
        """
        made: FDE = from_arrays(cls, {name: value for name, value in arrays.items() if name != _MARK})
        saved = arrays.get(_MARK, np.zeros(0, np.uint8)).tobytes().decode("ascii", "replace")
        if saved != made.fingerprint:
            raise FormatError(
                f"the arrays of {cls.id} must be what was saved, with the fingerprint {saved or '(none)'}, "
                f"got {made.fingerprint}. Draw a new FDE and encode the documents again."
            )
        return made


def _random_signs(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """1 and -1 as int8."""
    return rng.integers(0, 2, shape, dtype=np.int8) * np.int8(2) - np.int8(1)
