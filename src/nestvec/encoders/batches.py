"""Which texts go through the model together."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from nestvec.core.types import Int64


def token_batches(lengths: Int64[np.ndarray, " n"], *, budget: int) -> Iterator[Int64[np.ndarray, " b"]]:
    """Yield positions of texts, longest first, so that each batch pads to at most ``budget`` tokens.

    Texts of like length go together, so little is padded. The longest come first, so that a machine
    without enough memory fails at the start and not after hours. Equal lengths keep their order.

    Args:
        lengths: ``[n]`` tokens of each text, special tokens included.
        budget: tokens in a batch, padding included. A text longer than that goes alone.

    Returns:
        Batches ``[b]`` of positions; every position comes exactly once.
    """
    order = np.argsort(-lengths, kind="stable")
    start = 0
    while start < len(order):
        rows = max(1, budget // max(1, int(lengths[order[start]])))
        yield order[start : start + rows]
        start += rows


def padding_waste(lengths: Int64[np.ndarray, " n"], *, budget: int) -> float:
    """Share of the positions of :func:`token_batches` that hold padding; 0 where there is nothing to encode."""
    padded = sum(len(batch) * int(lengths[batch[0]]) for batch in token_batches(lengths, budget=budget))
    return 1 - int(lengths.sum()) / padded if padded else 0.0
