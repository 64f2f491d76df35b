"""Low rank first, words second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nestvec.core.errors import InputError
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least
from nestvec.tables.words import Words, divisors


@dataclass(frozen=True)
class LR2VQ:
    """``row_f(i) = concat_j W[c_ij] P_f``: codes of short words, and a matrix of the field that widens each of them.

    A row is cut into ``D`` pieces of ``dim / D`` numbers. A piece is not clustered as it is, but as ``r`` numbers, in
    which 256 words are dense; one book serves all pieces and fields. Codes, words and matrices learn together.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the first words.
        pieces: ``D``; if they do not divide ``dim``, the next smaller number that does.
        rank: ``r``, at most the width of a piece; 0 for half of it, which loses little: words are few, and the rank
            that they need is low.

    Source: Zhu et al. 2022 (arXiv:2211.11397), who do so for the weights of a network; the rank is that of a piece.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    pieces: int = 1
    rank: int = 0

    id: ClassVar[str] = "lr2vq@1"

    def __post_init__(self) -> None:
        at_least(1, pieces=self.pieces)
        at_least(0, rank=self.rank)
        if self.rank > self.widths()[1]:
            raise InputError(f"rank must be at most the width of a piece, {self.widths()[1]}, got {self.rank}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one code a row to one a number, as far as they divide it."""
        pieces = divisors(dim)
        return Knob("pieces", 0, len(pieces) - 1, pieces.__getitem__)

    def widths(self) -> tuple[int, int, int]:
        """Pieces, width of one, and its rank."""
        pieces = max(p for p in divisors(self.dim) if p <= self.pieces)
        wide = self.dim // pieces
        return pieces, wide, self.rank or -(-wide // 2)

    def parts(self) -> Mapping[str, Part]:
        """``rows``, spelt, and ``projections``, one a field; first values as in a full table once multiplied."""
        pieces, wide, rank = self.widths()
        bound = (6 / (rank + wide)) ** 0.5  # Glorot and Bengio
        spread = 0.05 * ((rank + wide) / (2 * rank)) ** 0.5
        return {
            "rows": Part(self.sizes.total, pieces * rank, spread=spread, words=Words(pieces, shared=True)),
            "projections": Part(len(self.sizes.rows), rank * wide, spread=bound, whole=True),
        }

    def locate(self, ids: Ids) -> Places:
        """The id itself."""
        return {"rows": ids.flat[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Every word through the matrix of its field."""
        pieces, wide, rank = self.widths()
        words = read.rows("rows").reshape(len(ids), pieces, rank)
        matrices = read.matrix("projections").reshape(-1, rank, wide)
        if len(matrices) == 1:
            return (words @ matrices[0]).reshape(len(ids), self.dim)
        return (words @ matrices[read.constant(ids.field)]).reshape(len(ids), self.dim)
