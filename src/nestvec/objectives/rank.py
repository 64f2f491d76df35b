"""Use fewer directions, or more, or as many as the teacher."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from nestvec.core.errors import InputError, MissingExtraError, ShapeError

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

_LEAST = 1e-12  # of a share: below it lies rounding, whose logarithm would have a gradient without end


@dataclass(frozen=True)
class RepresentationRank:
    """A regulariser: how many directions a batch of vectors uses, beside the teacher's of the same texts.

    ``h = -sum_i p_i ln p_i / ln min(n, d)``, the logarithm of the effective rank as a part of the highest there can
    be, with ``p_i`` the eigenvalues of ``U U^T / n`` over the unit vectors ``U``. With ``s`` for the student and
    ``t`` for the teacher the loss is

    - ``low``: ``h_s - h_t``, which presses the rank down, as rank reduction does;
    - ``high``: ``h_t - h_s``, which pulls it up;
    - ``teacher``: ``(h_s - h_t)^2``, which keeps the two alike.

    0 says that both use as many directions. It says nothing of which vector lies where, so it is only of use beside
    another term. A batch shows at most ``n`` directions: values of batches of other sizes do not compare.

    Args:
        toward: see above.

    Raises:
        InputError: ``toward`` is none of the three.

    Cost: ``n d min(n, d)`` multiplications and the eigenvalues of ``[m, m]`` with ``m = min(n, d)``.

    Source: Jung et al. 2024 (arXiv:2405.11297), for the logarithm of the effective rank as a term; effective rank: Roy
    and Vetterli 2007. Measuring it beside the teacher's is ours.
    """

    toward: Literal["low", "high", "teacher"] = "low"

    def __post_init__(self) -> None:
        if self.toward not in ("low", "high", "teacher"):
            raise InputError(f"toward must be 'low', 'high' or 'teacher', got {self.toward!r}.")

    def __call__(self, student: Tensor, teacher: Tensor) -> Any:
        """Return the scalar loss.

        Args:
            student: ``[n, d]``, any length; made unit here, as are the teacher's.
            teacher: ``[n, e]``; no gradient flows into it, and ``e`` need not be ``d``.

        Raises:
            ShapeError: not as many vectors of both, or fewer than two of two dimensions.
        """
        if student.ndim != 2 or teacher.ndim != 2 or len(student) != len(teacher) or min(student.shape) < 2:
            raise ShapeError(
                f"student and teacher must be [n, d] and [n, e] with n, d >= 2, got {tuple(student.shape)} and "
                f"{tuple(teacher.shape)}."
            )
        with torch.no_grad():
            wanted = _share(teacher)
        gap = _share(student) - wanted
        return gap if self.toward == "low" else -gap if self.toward == "high" else gap.square()


def _share(x: Tensor) -> Any:
    """``ln`` of the effective rank as a part of ``ln min(n, d)``."""
    unit = functional.normalize(x, dim=-1)
    small = unit @ unit.T if len(x) <= x.shape[1] else unit.T @ unit  # the same eigenvalues, but for zeros
    p = (torch.linalg.eigvalsh(small) / len(x)).clamp_min(_LEAST)
    return torch.special.entr(p).sum() / math.log(max(min(x.shape), 2))
