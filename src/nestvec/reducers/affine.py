"""Any affine map, and what two reducers one after the other are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.coding import Reducer
from nestvec.core.errors import InputError
from nestvec.core.types import ArrayLike
from nestvec.kernels import affine


@dataclass(frozen=True, eq=False)
class Affine(affine.AffineMap):
    """``(x - centre) @ matrix``, brought to length 1 if ``unit``.

    Args:
        matrix: ``[d, m]``.
        centre: ``[d]``.
        unit: bring the result to length 1; a row of zeros stays one.
    """

    unit: bool = False

    id: ClassVar[str] = "affine@1"

    @classmethod
    def fit(cls, sample: ArrayLike, *, dim: int | None = None, seed: int = 0) -> Affine:  # noqa: ARG003
        """The map that changes nothing, of the width of ``sample`` ``[n, d]``; what to start composing from.

        Args:
            sample: ``[n, d]``.
            dim: must be ``d`` or None.
            seed: of nothing; reducers are all fitted alike.

        Raises:
            InputError: ``dim`` is another.
            ShapeError, NotFiniteError: see :func:`as_matrix`.
        """
        d = as_matrix(sample, name="sample").shape[1]
        if dim not in (None, d):
            raise InputError(f"dim of {cls.id} must be d={d}, got {dim}. Use truncate@1 or pca@1.")
        return cls(np.eye(d, dtype=np.float32), np.zeros(d, np.float32))


def compose(first: Reducer, then: Reducer) -> Affine:
    """One affine map that does what ``then`` does to the result of ``first``.

    ``((x - c1) M1 - c2) M2 = (x - c) M1 M2`` with ``c = c1 + c2 pinv(M1)``, which is exact where ``c2`` lies in the
    row space of ``M1``: always, if ``M1`` has as many columns as its rank.

    Where ``first`` ends by bringing vectors to length 1, ``then`` must do so too and take nothing off before: lengths
    in between then make no difference. Anything else is no affine map.

    Raises:
        InputError: the widths differ, a length would be lost, or ``c2`` cannot be reached through ``M1``.
    """
    m1, m2 = first.matrix, then.matrix
    if m1.shape[1] != m2.shape[0]:
        raise InputError(f"the second must take what the first gives, got {m1.shape[1]} and {m2.shape[0]} dimensions.")
    if first.unit and not (then.unit and not then.centre.any()):
        raise InputError(
            "after a reducer with unit=True must come one with unit=True and no centre, "
            f"got unit={then.unit} and a centre of length {np.linalg.norm(then.centre):.3g}. Set unit on the last only."
        )
    wide = m1.astype(np.float64)
    matrix = np.ascontiguousarray(wide @ m2, dtype=np.float32)
    if not then.centre.any():
        return Affine(matrix, first.centre, unit=then.unit)
    moved = np.linalg.lstsq(wide.T, then.centre.astype(np.float64), rcond=None)[0]
    if not np.allclose(moved @ wide @ m2, then.centre @ m2.astype(np.float64), atol=1e-4):
        raise InputError("the centre of the second must be reachable through the first, whose matrix loses it.")
    return Affine(matrix, (first.centre + moved).astype(np.float32), unit=then.unit)
