"""What a loss is made of: objectives from the catalogue, each with a weight and the rungs it is for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.objectives import OBJECTIVES
from nestvec.training.matching import Side

try:
    import torch
    from torch import Tensor
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

Loss = Callable[[Tensor, Tensor, Tensor], Any]
"""The student's vectors ``[n, k]``, the teacher's ``[n, d]`` and these at the student's dims ``[n, k]``, of the same
texts, to a scalar."""
TokenLoss = Callable[[Side, Side, Tensor], Any]
"""The student's tokens of rows that ask and of rows that answer, and how the teacher scores them ``[q, n]``, to a
scalar."""


@dataclass(frozen=True)
class Term:
    """One objective in the loss of a rung.

    An objective that takes the teacher's queries and candidates (``score-kl@1``) is given all rows of the batch as
    both, each row left out of its own candidates; the teacher's are always of full width. One that takes two sets of
    vectors (``embedding-match@1``, ``info-nce@1``) is given the student's and the teacher's, these cut to the same
    dims. One of tokens (``crisp@1``) is given those of short rows as queries and those of long rows as documents, and
    learns to rank as the teacher does by all of its tokens; depth 0 has no tokens, and such a term is not for it.

    Args:
        objective: its name in :data:`nestvec.objectives.OBJECTIVES`.
        weight: in the sum; above 0.
        rungs: ``all``, those of ``full`` width, or the depths it is for.
        options: what the objective is made with, such as ``{"temperature": 0.05}``.

    Raises:
        UnknownNameError: there is no such objective.
        InputError: the weight is not above 0, or the objective cannot be made with those options.
    """

    objective: str
    weight: float = 1.0
    rungs: Literal["all", "full"] | tuple[int, ...] = "all"
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise InputError(f"the weight of {self.objective} must be above 0, got {self.weight}. Leave the term out.")
        self._made()

    @property
    def of_tokens(self) -> bool:
        """Whether it learns from the vectors of tokens."""
        return "query_mask" in inspect.signature(self._made()).parameters

    def is_for(self, depth: int, dim: int | None) -> bool:
        """Whether a rung of that depth and dim (None for all dims) has this term."""
        if self.of_tokens and depth == 0:
            return False
        if isinstance(self.rungs, tuple):
            return depth in self.rungs
        return self.rungs == "all" or dim is None

    def _made(self) -> Any:
        """The objective itself."""
        made = OBJECTIVES[self.objective]
        try:
            return made(**self.options)
        except TypeError as cause:
            known = ", ".join(inspect.signature(made).parameters)
            raise InputError(
                f"{self.objective} must be made with some of {known}, got {dict(self.options)}: {cause}."
            ) from cause

    def loss(self) -> Loss:
        """The objective as the loop calls it with one vector a text."""
        objective = self._made()
        ranks = "teacher_queries" in inspect.signature(objective).parameters

        def loss(student: Tensor, teacher: Tensor, alike: Tensor) -> Any:
            if not ranks:
                return objective(student, alike)
            own = torch.eye(len(teacher), dtype=torch.bool, device=teacher.device)
            return objective(student, student, teacher, teacher, ignore=own)

        return loss

    def token_loss(self) -> TokenLoss:
        """The objective as the loop calls it with the vectors of tokens."""
        objective = self._made()

        def loss(queries: Side, documents: Side, scores: Tensor) -> Any:
            return objective(
                queries.tokens, documents.tokens, query_mask=queries.mask, document_mask=documents.mask, teacher=scores
            )

        return loss


STARBUCKS = (Term("score-kl@1"), Term("embedding-match@1", weight=3.0, rungs="full"))
"""Rank as the teacher at every rung, and be where it is at full width: Zhuang et al. 2024 (arXiv:2410.13230)."""
