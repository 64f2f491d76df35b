"""Rank as the teacher ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nestvec.core.errors import InputError, MissingExtraError, ShapeError

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause


@dataclass(frozen=True)
class ScoreKL:
    """Kullback-Leibler divergence of the teacher's ranking of candidates to the student's.

    ``loss = mean_i sum_j p_ij (log p_ij - log q_ij)`` with ``p_i = softmax_j(cos(t_i, t_j) / t)`` of the teacher's
    vectors and ``q_i`` the same of the student's. Only differences of scores count, so a student that cannot reach
    the teacher's space can still rank as it does. Candidates that the teacher finds close are what is learnt from:
    put mined neighbours into the batch.

    Args:
        temperature: ``t``; lower looks at the top of the ranking only.

    Raises:
        InputError: ``t`` is not above 0.

    Source: Hinton et al. 2015, sec. 2 (arXiv:1503.02531); rows of scores as in Zhuang et al. 2024 (arXiv:2410.13230).
    """

    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, got {self.temperature}.")

    def __call__(
        self,
        queries: Tensor,
        candidates: Tensor,
        teacher_queries: Tensor,
        teacher_candidates: Tensor,
        *,
        ignore: Tensor | None = None,
    ) -> Any:
        """Return the scalar loss.

        Args:
            queries: ``[q, d]`` of the student, any length; made unit here, as are the others.
            candidates: ``[n, d]`` of the student.
            teacher_queries: ``[q, e]``; no gradient flows into the teacher's.
            teacher_candidates: ``[n, e]``; ``e`` need not be ``d``.
            ignore: ``[q, n]`` bool, True where a candidate does not take part, such as a text as its own candidate.

        Raises:
            ShapeError: the numbers of rows do not agree, a query has no candidate, or there is no query.
        """
        q, n = len(queries), len(candidates)
        if (q, n) != (len(teacher_queries), len(teacher_candidates)) or not q or not n:
            raise ShapeError(
                f"student and teacher must have the same queries and candidates, at least one each, got {q} and {n}, "
                f"{len(teacher_queries)} and {len(teacher_candidates)}."
            )
        # Whether a row is empty is not asked of an accelerator, which would have to stop for the answer.
        if ignore is not None and (ignore.shape != (q, n) or (not ignore.is_cuda and bool(ignore.all(dim=1).any()))):
            raise ShapeError(f"ignore must be [{q}, {n}] and leave each query a candidate, got {tuple(ignore.shape)}.")
        with torch.no_grad():
            wanted = self._scores(teacher_queries, teacher_candidates)
            if ignore is not None:
                wanted = wanted.masked_fill(ignore, float("-inf"))
            p = wanted.softmax(dim=1)
            entropy = -torch.special.entr(p).sum(dim=1)  # sum p log p, with 0 log 0 = 0
        scores = self._scores(queries, candidates)
        log_q = scores if ignore is None else scores.masked_fill(ignore, float("-inf"))
        log_q = log_q.log_softmax(dim=1)
        if ignore is not None:
            log_q = log_q.masked_fill(ignore, 0.0)  # -inf times a p of 0 would be NaN
        return (entropy - (p * log_q).sum(dim=1)).mean()

    def _scores(self, a: Tensor, b: Tensor) -> Tensor:
        return functional.normalize(a, dim=-1) @ functional.normalize(b, dim=-1).T / self.temperature
