"""Tell the right answer from the others."""

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
class InfoNCE:
    """Cross-entropy of each query over the documents of its batch.

    ``loss = mean_i -log( exp(s_ii / t) / sum_j exp(s_ij / t) )`` with ``s`` the cosine. Document ``i``
    answers query ``i``; documents past the last query are extra negatives.

    Args:
        temperature: ``t``. 0.05 is the scale of 20 that sentence-transformers uses.

    Raises:
        InputError: ``t`` is not above 0.

    Source: Oord et al. 2018, eq. 4 (arXiv:1807.03748); cosine and ``t`` as in Chen et al. 2020, eq. 1
    (arXiv:2002.05709).
    """

    temperature: float = 0.05

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature must be above 0, got {self.temperature}.")

    def __call__(self, queries: Tensor, documents: Tensor, *, ignore: Tensor | None = None) -> Any:
        """Return the scalar loss.

        Args:
            queries: ``[q, d]``, any length; made unit here.
            documents: ``[n, d]``, ``n >= q``.
            ignore: ``[q, n]`` bool, True where a document may be a false negative. The diagonal is kept.

        Raises:
            ShapeError: no query, fewer documents than queries, or ``ignore`` has another shape.
        """
        q, n = len(queries), len(documents)
        if not q or n < q:
            raise ShapeError(f"InfoNCE needs a query and a document per query, got {q} queries and {n} documents.")
        logits = functional.normalize(queries, dim=-1) @ functional.normalize(documents, dim=-1).T / self.temperature
        target = torch.arange(q, device=logits.device)
        if ignore is not None:
            if ignore.shape != (q, n):
                raise ShapeError(f"ignore must be [{q}, {n}], got {tuple(ignore.shape)}.")
            logits = logits.masked_fill(ignore & ~functional.one_hot(target, n).bool(), float("-inf"))
        return functional.cross_entropy(logits, target)
