"""Rows of which only the numbers that matter are stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nestvec.tables.sparse import OwnRows


@dataclass(frozen=True)
class Sparse(OwnRows):
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

    id: ClassVar[str] = "sparse@1"
