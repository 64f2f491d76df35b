"""Isotropy as word embeddings were first judged by: whether a softmax over all vectors cares for the direction."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.types import ArrayLike, Float64

_BLOCK = 4096  # rows whose products are held at a time


def partition_isotropy(x: ArrayLike) -> float:
    """How evenly the partition function spreads over directions: ``min_c Z(c) / max_c Z(c)``.

    ``Z(c) = sum_i exp(<c, u_i>)`` over the directions ``u_i = x_i / |x_i|``, with ``c`` the unit eigenvectors of
    ``U'U`` and their opposites, for the sign of an eigenvector is nobody's choice. Vectors that lean one way, or
    stretch along one line, give little. Of directions it is at least ``exp(-2)``.

    Args:
        x: ``[n, d]`` float, at least one row; ``n`` should be several times ``d``.

    Returns:
        0.135 to 1; 1 for vectors of which no direction is special, and for vectors of zeros.

    Raises:
        ShapeError, NotFiniteError: see :func:`~nestvec.core.arrays.as_matrix`.

    Cost: ``2 n d^2`` multiplications and one eigenvalue problem of ``[d, d]``.

    Source: Mu and Viswanath 2018, sec. 2.2 (arXiv:1702.01417), who take vectors as long as they are, and each
    eigenvector with one sign.
    """
    values = as_matrix(x, name="x", at_least=1).astype(np.float64)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    values /= np.where(length > 0, length, 1)
    axes: Float64[np.ndarray, "d d"] = np.linalg.eigh(values.T @ values)[1]
    sums = np.zeros(2 * len(axes))
    for start in range(0, len(values), _BLOCK):
        along = np.exp(values[start : start + _BLOCK] @ axes)
        sums += np.hstack([along.sum(axis=0), (1 / along).sum(axis=0)])
    return float(sums.min() / sums.max()) if len(sums) else 1.0
