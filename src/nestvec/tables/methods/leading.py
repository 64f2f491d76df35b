"""Rows that keep their beginnings, or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes
from nestvec.tables.sparse import check_kept


@dataclass(frozen=True)
class Leading:
    """``row(id)`` is the first ``l_id`` numbers of its own, then zeros; ``l_id`` may be 0. What ``opt_embed`` finds.

    A length an id is stored and counts: about 1.25 bytes, below which it cannot go.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        kept: numbers of all rows together.

    Source: Lyu et al. 2022, sec. 3 (arXiv:2208.04482), with lengths of rows for its two masks.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    kept: int = 1

    id: ClassVar[str] = "leading@1"

    def __post_init__(self) -> None:
        check_kept(self.kept, self.sizes.total * self.dim)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From as many numbers as one row a field has, to all."""
        return Knob("kept", len(sizes.rows) * dim, sizes.total * dim)

    def parts(self) -> Mapping[str, Part]:
        """``rows``."""
        return {"rows": Part(self.sizes.total, self.dim, kept=self.kept, leading=True)}

    def locate(self, ids: Ids) -> Places:
        """The id itself."""
        return {"rows": ids.flat[:, None]}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The row as it is."""
        return read.rows("rows")[:, 0]
