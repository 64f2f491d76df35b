"""What a search gives back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import ShapeError
from nestvec.core.types import Float32, Int64


@dataclass(frozen=True)
class Hits:
    """The best items for each query, best first; equal scores in the order of their ids.

    Args:
        ids: ``[q, k]`` int64; -1 where there were fewer than ``k`` items.
        scores: ``[q, k]`` float32; ``-inf`` where the id is -1. Higher is better.

    Raises:
        ShapeError: the two differ in shape.
    """

    ids: Int64[np.ndarray, "q k"]
    scores: Float32[np.ndarray, "q k"]

    def __post_init__(self) -> None:
        if self.ids.shape != self.scores.shape or self.ids.ndim != 2:
            raise ShapeError(f"ids and scores must both be [q, k], got {self.ids.shape} and {self.scores.shape}.")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def empty(cls, queries: int, k: int) -> Hits:
        """``[queries, k]`` of nothing."""
        return cls(np.full((queries, k), -1, np.int64), np.full((queries, k), -np.inf, np.float32))
