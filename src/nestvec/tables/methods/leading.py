"""Rows that keep their beginnings, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nestvec.tables.sparse import OwnRows


@dataclass(frozen=True)
class Leading(OwnRows):
    """``row(id)`` is the first ``l_id`` numbers of its own, then zeros; ``l_id`` may be 0. What ``opt_embed`` finds.

    A length an id is stored and counts: about 1.25 bytes, below which it cannot go.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        kept: numbers of all rows together.

    Source: Lyu et al. 2022, sec. 3 (arXiv:2208.04482), with lengths of rows for its two masks.
    """

    id: ClassVar[str] = "leading@1"
    leading: ClassVar[bool] = True
