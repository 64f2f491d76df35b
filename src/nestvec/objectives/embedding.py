"""Be where the teacher is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from nestvec.core.errors import InputError, MissingExtraError, ShapeError

try:
    from torch import Tensor
    from torch.nn import functional
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause


@dataclass(frozen=True)
class EmbeddingMatch:
    """How far a student's vectors are from the teacher's, vector by vector.

    ``cosine``: ``mean_i 1 - s_i . t_i / (|s_i| |t_i|)``; ``squared``: ``mean_i |s_i - t_i|^2 / d``.

    Args:
        distance: ``cosine`` where vectors are compared by direction, ``squared`` where length counts too.

    Raises:
        InputError: ``distance`` is neither.

    Source: Reimers and Gurevych 2020, sec. 2 (arXiv:2004.09813), for the squared form.
    """

    distance: Literal["cosine", "squared"] = "cosine"

    def __post_init__(self) -> None:
        if self.distance not in ("cosine", "squared"):
            raise InputError(f"distance must be 'cosine' or 'squared', got {self.distance!r}.")

    def __call__(self, student: Tensor, teacher: Tensor) -> Any:
        """Return the scalar loss.

        Args:
            student: ``[n, d]``, any length.
            teacher: ``[n, d]``; no gradient flows into it.

        Raises:
            ShapeError: the two are not matrices of one shape with at least one row.
        """
        if student.ndim != 2 or student.shape != teacher.shape or not len(student):
            raise ShapeError(
                f"student and teacher must both be [n, d] with n >= 1, got {tuple(student.shape)} and "
                f"{tuple(teacher.shape)}."
            )
        if self.distance == "squared":
            return functional.mse_loss(student, teacher.detach())
        return (1 - functional.cosine_similarity(student, teacher.detach(), dim=-1)).mean()
