"""Scores of items that have several forms: one vector, sparse weights, a vector a token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import ArrayLike, Float32
from nestvec.core.vectors import SparseVectors

_ENTRIES = 1 << 22  # products held at once, 16 MiB


def lexical(queries: SparseVectors, documents: SparseVectors) -> Float32[np.ndarray, "q n"]:
    """Inner products of sparse vectors: the sum over shared columns of the product of their weights.

    Args:
        queries: ``q`` of them.
        documents: ``n`` of them, of the same space.

    Returns:
        ``[q, n]``; 0 where nothing is shared.

    Raises:
        SpaceMismatchError: they are of two spaces.

    Cost: ``q`` products for each weight of a document whose column some query has.
    """
    queries.space.require(documents.space)
    out = np.zeros((len(queries), len(documents)), np.float32)
    columns, where = np.unique(queries.indices, return_inverse=True)
    if not len(columns):
        return out
    wide = np.zeros((len(queries), len(columns)), np.float32)
    np.add.at(wide, (np.repeat(np.arange(len(queries)), np.diff(queries.offsets)), where), queries.values)
    at = np.searchsorted(columns, documents.indices)
    met = columns[np.minimum(at, len(columns) - 1)] == documents.indices
    owner = np.repeat(np.arange(len(documents)), np.diff(documents.offsets))[met]
    at, weights = at[met], documents.values[met]
    step = max(1, _ENTRIES // len(queries))
    for start in range(0, len(at), step):
        some = slice(start, start + step)
        products = wide[:, at[some]] * weights[some]
        firsts = np.flatnonzero(np.diff(owner[some], prepend=-1))
        out[:, owner[some][firsts]] += np.add.reduceat(products, firsts, axis=1)
    return out


def fused(
    dense: ArrayLike | None,
    sparse: ArrayLike | None,
    multi: ArrayLike | None,
    *,
    weights: Sequence[float] = (1.0, 0.3, 1.0),
) -> Float32[np.ndarray, "q n"]:
    """One score of several forms, ``sum_f w_f s_f / sum_f w_f`` over the forms that are there.

    Args:
        dense: ``[q, n]`` inner products of single vectors; None for none.
        sparse: ``[q, n]`` of :func:`lexical`, or of any other lexical scorer.
        multi: ``[q, n]`` late interaction, averaged over the tokens of the query, so that it is in the range of dense.
        weights: of the three.

    Raises:
        InputError: no form is there, or the weights of those that are are not three of at least 0, one above.
        ShapeError: scores differ in shape.

    Source: Chen et al. 2024, sec. 3.2 (arXiv:2402.03216), for the sum; the weights are its authors' example.
    """
    if len(weights) != 3 or not all(np.isfinite(w) and w >= 0 for w in weights):
        raise InputError(f"weights must be three numbers of at least 0, got {weights}.")
    forms = zip((dense, sparse, multi), weights, strict=True)
    there = [(np.asarray(scores, np.float32), w) for scores, w in forms if scores is not None]
    total = sum(w for _, w in there)
    if not there or total <= 0:
        raise InputError(f"there must be scores of a form with a weight above 0, got {len(there)} with {weights}.")
    shape = there[0][0].shape
    if any(scores.shape != shape or scores.ndim != 2 for scores, _ in there):
        raise ShapeError(f"scores must all be [q, n], got shapes {[scores.shape for scores, _ in there]}.")
    found = np.zeros(shape, np.float32)
    for scores, w in there:
        found += np.float32(w / total) * scores
    return found
