"""The best tokens of each item, by a score that came with them."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import ArrayLike, Float32, Int64


def select(
    tokens: ArrayLike,
    offsets: Int64[np.ndarray, " n1"],
    scores: ArrayLike,
    *,
    k: int | None = None,
    ratio: float | None = None,
) -> tuple[Float32[np.ndarray, "s d"], Int64[np.ndarray, " n1"]]:
    """The token vectors of each item with the highest scores, in the order of the text, and their offsets.

    Where the score is learnt, as :func:`nestvec.training.heads.fit_heads` does, this is selection of nuggets: vectors
    that the model has already made stand for the whole text, and none is averaged with another.

    Args:
        tokens: ``[t, d]`` vectors of all items, those of item 0 first.
        offsets: ``[n + 1]``; item ``i`` owns rows ``offsets[i]`` to ``offsets[i + 1]``.
        scores: ``[t]`` of the tokens; equal ones go to the earlier token.
        k: vectors kept of an item at most.
        ratio: share of an item's vectors that is kept, rounded up, instead of ``k``.

    Returns:
        ``[s, d]`` float32 and ``[n + 1]``. An item without tokens stays without.

    Raises:
        InputError: not exactly one of ``k`` and ``ratio`` is given, or it is out of range.
        ShapeError: the arrays do not fit together.
        NotFiniteError: a vector or score is NaN or infinite.

    Source: Qin and Van Durme 2023, sec. 3.1 (arXiv:2310.01732).
    """
    tokens = as_matrix(tokens, name="tokens")
    score = np.asarray(scores, np.float32)
    if (k is None) == (ratio is None) or (k is not None and k < 1) or (ratio is not None and not 0 < ratio <= 1):
        raise InputError(f"give k, 1 or more, or ratio, above 0 and at most 1, got k={k} and ratio={ratio}.")
    starts = np.asarray(offsets)
    ends = starts.ndim == 1 and len(starts) and starts[0] == 0 and starts[-1] == len(tokens)
    if not ends or (np.diff(starts) < 0).any():
        raise ShapeError(f"offsets must rise from 0 to {len(tokens)}, got shape {starts.shape} and {starts[:5]}.")
    if score.shape != (len(tokens),):
        raise ShapeError(f"scores must be [{len(tokens)}], one a token, got shape {score.shape}.")
    if not np.isfinite(score).all():
        raise NotFiniteError(f"scores must be finite, got {np.count_nonzero(~np.isfinite(score))} that are not.")
    counts = np.diff(starts)
    kept = np.minimum(counts, k) if k is not None else np.ceil(counts * np.float64(ratio) - 1e-9).astype(np.int64)
    owner = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((-score, owner))  # by item, best first; lexsort keeps the order of equal ones
    rank = np.arange(len(tokens)) - np.repeat(starts[:-1], counts)
    rows = np.sort(order[rank < kept[owner]])
    return tokens[rows], np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
