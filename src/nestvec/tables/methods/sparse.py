"""Rows of which only the numbers that matter are stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes
from nestvec.tables.sparse import check_kept


@dataclass(frozen=True)
class Sparse:
    """``row(id) = m_id * E[id]`` with a mask over all numbers. What ``pep``, ``deeplight`` and ``dnis`` find.

    The mask is stored, as places or as columns, whichever is smaller, and counts. Below one number an id, most ids have
    no row left: no search can help that, and methods that share rows are better there.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        kept: numbers that are not zero.

    Source: Zhang et al. 2023, sec. 3 (arXiv:2311.15578), which counts CSR and COO likewise, with four bytes an index.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    kept: int = 1

    id: ClassVar[str] = "sparse@1"

    def __post_init__(self) -> None:
        check_kept(self.kept, self.sizes.total * self.dim)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From as many numbers as one row a field has, to all."""
        return Knob("kept", len(sizes.rows) * dim, sizes.total * dim)

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(self.sizes.total, self.dim, kept=self.kept)}

    def locate(self, ids: Ids) -> Places:
        """The id itself."""
        return {"rows": ids.flat[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is."""
        return read.rows("rows")[:, 0]
