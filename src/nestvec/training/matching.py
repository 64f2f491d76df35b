"""Tokens of a batch matched with one another: what a rung learns from, so that a few vectors a text are enough."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nestvec.core.errors import MissingExtraError
from nestvec.objectives import Crisp

try:
    import torch
    from torch import Tensor
    from torch.nn import functional
except ImportError as cause:
    raise MissingExtraError("Learning", "text") from cause

_TOGETHER = 16  # queries compared at a time: with all documents of a large batch, some 50 MB


@dataclass(frozen=True, eq=False)
class Side:
    """Tokens of several rows: ``tokens`` ``[b, t, d]``, padded, and ``mask`` ``[b, t]``, True where there is one."""

    tokens: Tensor
    mask: Tensor


@dataclass(frozen=True, eq=False)
class Matching:
    """How the full model matches the short rows of a batch with the long ones, by all of their tokens.

    Args:
        asking: how many of the parts of a batch hold short rows; the others hold long ones.
        masks: ``[b, t]`` of each part, True for tokens that are compared: special ones are not.
        scores: ``[q, n]`` late interaction, from -1 to 1.
    """

    asking: int
    masks: tuple[Tensor, ...]
    scores: Tensor

    @classmethod
    def of(
        cls, tokens: Sequence[Tensor], rows: Sequence[tuple[Tensor, Tensor]], *, asking: int, special: Tensor
    ) -> Matching:
        """Score the rows of a batch by token states ``[b, t, h]`` of each part.

        Source: Khattab and Zaharia 2020, eq. 3 (arXiv:2004.12832).
        """
        masks = tuple(mask & ~torch.isin(ids, special) for ids, mask in rows)
        bare = cls(asking, masks, tokens[0].new_zeros(0))
        q, d = bare.sides(tokens)
        exact = Crisp(clusters=None)
        with torch.no_grad():
            scores = [
                exact.scores(some, d.tokens, query_mask=mask, document_mask=d.mask)
                for some, mask in zip(q.tokens.split(_TOGETHER), q.mask.split(_TOGETHER), strict=True)
            ]
        return cls(asking, masks, torch.cat(scores))

    def sides(self, tokens: Sequence[Tensor]) -> tuple[Side, Side]:
        """The parts of a batch as the rows that ask and those that answer."""
        ends = (slice(None, self.asking), slice(self.asking, None))
        asks, answers = (_joined(tokens[end], self.masks[end]) for end in ends)
        return asks, answers


def _joined(tokens: Sequence[Tensor], masks: Sequence[Tensor]) -> Side:
    width = max(mask.shape[1] for mask in masks)
    return Side(
        torch.cat([functional.pad(x, (0, 0, 0, width - x.shape[1])) for x in tokens]),
        torch.cat([functional.pad(mask, (0, width - mask.shape[1])) for mask in masks]),
    )
