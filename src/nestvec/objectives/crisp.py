"""Late interaction learnt through clusters, so that a few vectors a text are enough afterwards."""

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
class Crisp:
    """Cross-entropy of late interaction between means of clusters of tokens.

    The tokens of each text, made unit, are put into ``k`` clusters by k-means, and the means ``c`` take their place:
    ``s_ij = mean_a max_b cos(c_ia, c_jb)`` over the means of query ``i`` and document ``j``. Which token is in which
    cluster is found without gradient; the gradient flows through the means. Then
    ``loss = mean_i -sum_j p_ij log softmax_j(s_ij / t)``, with ``p`` 1 for the own document, or a teacher's ranking
    ``p_i = softmax_j(T_ij / t)`` (less its entropy, so that a perfect student has a loss of 0).

    The k-means is that of spheres: it starts from the token furthest from the mean of all and then from those
    furthest from what was chosen, so nothing is drawn, and stops after ``rounds``. A text of ``k`` tokens or fewer
    keeps them.

    Args:
        clusters: of a query and of a document; None for all tokens, which is plain late interaction.
        temperature: ``t``.
        rounds: of k-means.

    Raises:
        InputError: ``t`` is not above 0, or a number is below 1.

    Source: Veneroso et al. 2025, sec. 3 (arXiv:2505.11471); the start is that of Gonzalez 1985.
    """

    clusters: tuple[int, int] | None = (4, 8)
    temperature: float = 0.05
    rounds: int = 5

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, got {self.temperature}.")
        if self.rounds < 1 or (self.clusters is not None and min(self.clusters) < 1):
            raise InputError(f"clusters and rounds must be at least 1, got {self.clusters} and {self.rounds}.")

    def __call__(
        self,
        queries: Tensor,
        documents: Tensor,
        *,
        query_mask: Tensor | None = None,
        document_mask: Tensor | None = None,
        teacher: Tensor | None = None,
    ) -> Any:
        """Return the scalar loss.

        Args:
            queries: ``[q, t, d]``, padded; any length.
            documents: ``[n, u, d]``; without a teacher, ``n >= q`` and document ``i`` answers query ``i``.
            query_mask: ``[q, t]`` bool, True where there is a token; None where all are there.
            document_mask: ``[n, u]``.
            teacher: ``[q, n]`` cosines to learn to rank by; no gradient flows into it.

        Raises:
            ShapeError: shapes do not fit together, there is no query, or a text has no token.
        """
        masks = self._checked(queries, documents, query_mask, document_mask, teacher)
        logits = self.scores(queries, documents, query_mask=masks[0], document_mask=masks[1]) / self.temperature
        if teacher is None:
            return functional.cross_entropy(logits, torch.arange(len(queries), device=logits.device))
        p = (teacher.detach() / self.temperature).softmax(dim=1)
        entropy = -torch.special.entr(p).sum(dim=1)
        return (entropy - (p * logits.log_softmax(dim=1)).sum(dim=1)).mean()

    def scores(self, queries: Tensor, documents: Tensor, *, query_mask: Tensor, document_mask: Tensor) -> Tensor:
        """``[q, n]`` late interaction of the clusters' means, from -1 to 1."""
        q, q_mask = self._clustered(queries, query_mask, 0)
        d, d_mask = self._clustered(documents, document_mask, 1)
        found = torch.einsum("qtd,nud->qntu", q, d).masked_fill(~d_mask[None, :, None, :], -2.0).amax(dim=-1)
        weights = q_mask.to(found.dtype)
        return (found * weights[:, None, :]).sum(dim=-1) / weights.sum(dim=-1, keepdim=True)

    def _clustered(self, tokens: Tensor, mask: Tensor, side: int) -> tuple[Tensor, Tensor]:
        """``[n, t, d]`` unit means of clusters, and which of them there are."""
        tokens = functional.normalize(tokens, dim=-1) * mask[..., None]
        if self.clusters is None or tokens.shape[1] <= self.clusters[side]:
            return tokens, mask
        k = self.clusters[side]
        with torch.no_grad():
            member = _assign(tokens, mask, k, self.rounds)
        means = functional.normalize(torch.einsum("ntk,ntd->nkd", member, tokens), dim=-1)
        return means, member.sum(dim=1) > 0

    def _checked(
        self, queries: Tensor, documents: Tensor, query_mask: Tensor | None, document_mask: Tensor | None,
        teacher: Tensor | None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        q, n = len(queries), len(documents)
        if queries.ndim != 3 or documents.ndim != 3 or queries.shape[2] != documents.shape[2] or not q:
            raise ShapeError(
                "queries and documents must be [q, t, d] and [n, u, d] with q >= 1, got "
                f"{tuple(queries.shape)} and {tuple(documents.shape)}."
            )
        if (teacher is None and n < q) or (teacher is not None and teacher.shape != (q, n)):
            raise ShapeError(
                f"there must be a document per query, or a teacher's [{q}, {n}], got {n} documents for {q} queries and "
                f"{'no teacher' if teacher is None else tuple(teacher.shape)}."
            )
        found = []
        for name, tokens, mask in (("query_mask", queries, query_mask), ("document_mask", documents, document_mask)):
            made = tokens.new_ones(tokens.shape[:2], dtype=torch.bool) if mask is None else mask.bool()
            if made.shape != tokens.shape[:2] or not bool(made.any(dim=1).all()):
                raise ShapeError(
                    f"{name} must be {tuple(tokens.shape[:2])} with a token in every text, got {made.shape}."
                )
            found.append(made)
        return found[0], found[1]


def _assign(tokens: Tensor, mask: Tensor, k: int, rounds: int) -> Tensor:
    """``[n, t, k]``, 1 where a token is in a cluster; an empty cluster stays empty. Ties go to the first."""
    n = len(tokens)
    rows = torch.arange(n, device=tokens.device)
    nearest = torch.einsum("ntd,nd->nt", tokens, functional.normalize(tokens.sum(dim=1), dim=-1))
    few = mask.sum(dim=1)
    centres = []
    for turn in range(k):
        chosen = nearest.masked_fill(~mask, 2.0).argmin(dim=1)
        there = (turn < few).to(tokens.dtype)[:, None]
        centres.append(tokens[rows, chosen] * there)
        near = torch.einsum("ntd,nd->nt", tokens, tokens[rows, chosen])
        nearest = near if turn == 0 else torch.maximum(nearest, near)
    means = torch.stack(centres, dim=1)
    for _ in range(rounds):
        close = torch.einsum("ntd,nkd->ntk", tokens, means)
        empty = (means.abs().sum(dim=-1) == 0)[:, None, :]
        best = close.masked_fill(empty, -2.0).argmax(dim=-1)
        member = functional.one_hot(best, k).to(tokens.dtype) * mask[..., None]
        means = functional.normalize(torch.einsum("ntk,ntd->nkd", member, tokens), dim=-1)
    return member
