"""Learnt codes, short ones for rare ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least
from nestvec.tables.words import COUNT, Words, divisors

_FEW = (16, 64)


@dataclass(frozen=True)
class MGQE:
    """``row(i) = concat_j V_j[c_ij]``: learnt codes, of 256 words for frequent ids and of the first 64 for the rest.

    A rare id has too few rows of data to choose among many words, and its code is shorter for it. It is a method and
    no codec, because only a method knows which ids are frequent: their rows come first, those of all fields together.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the first words.
        pieces: codes of a row; if they do not divide ``dim``, the next smaller number that does.
        hot: per cent of a field's ids, the most frequent, that may use all words.
        few: words of the others: 64, or 16.

    Source: Kang et al. 2020, sec. 3 (arXiv:2002.08530), with 256 words, 64 and 10 % as there.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    pieces: int = 1
    hot: int = 10
    few: int = 64

    id: ClassVar[str] = "mgqe@1"

    def __post_init__(self) -> None:
        at_least(1, pieces=self.pieces)
        if not 0 <= self.hot <= 100:
            raise InputError(f"hot must be a per cent from 0 to 100, got {self.hot}.")
        if self.few not in _FEW:
            raise InputError(f"few must be 16 or 64 of the {COUNT} words, got {self.few}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one code a row to one a number, as far as they divide it."""
        pieces = divisors(dim)
        return Knob("pieces", 0, len(pieces) - 1, pieces.__getitem__)

    def frequent(self) -> Array:
        """``[fields]`` ids of each that may use all words."""
        return -(-np.array(self.sizes.rows, np.int64) * self.hot // 100)

    def parts(self) -> Mapping[str, Part]:
        """``rows``, spelt."""
        pieces = max(p for p in divisors(self.dim) if p <= self.pieces)
        words = Words(pieces, hot=int(self.frequent().sum()), few=self.few)
        return {"rows": Part(self.sizes.total, self.dim, words=words)}

    def locate(self, ids: Ids) -> Places:
        """Frequent ids of all fields first, then the others."""
        hot = self.frequent()
        cold = np.array(self.sizes.rows, np.int64) - hot
        first_hot, first_cold = np.cumsum(hot) - hot, np.cumsum(cold) - cold + hot.sum()
        own = hot[ids.field]
        at = np.where(ids.local < own, first_hot[ids.field] + ids.local, first_cold[ids.field] + ids.local - own)
        return {"rows": at[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is spelt."""
        return read.rows("rows")[:, 0]
