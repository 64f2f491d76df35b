"""Whether pairs that belong together lie close, and all the rest far apart, on the sphere."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import ArrayLike, Float64, Matrix

_AT_ONCE = 4_096  # pairs whose vectors are copied out at a time


def alignment(x: ArrayLike, y: ArrayLike) -> Float64[np.ndarray, " n"]:
    """The squared distance of each pair on the unit sphere: ``|x_i - y_i|^2``. Its mean is the alignment loss.

    Args:
        x: ``[n, d]`` float, one side of each pair; brought to length 1.
        y: ``[n, d]`` float, the other side.

    Returns:
        ``[n]`` from 0 (the same direction) to 4 (opposite); lower is better.

    Raises:
        ShapeError: the two differ in shape.
        NotFiniteError: a value is NaN or infinite.

    Source: Wang and Isola 2020, eq. 3 with alpha = 2 (arXiv:2005.10242).
    """
    a, b = as_matrix(x, name="x"), as_matrix(y, name="y")
    if a.shape != b.shape:
        raise ShapeError(f"x and y must have the same shape, one row a pair, got {a.shape} and {b.shape}.")
    difference = _sphere(a) - _sphere(b)
    return np.asarray((difference**2).sum(axis=1))


def uniformity(x: ArrayLike, *, t: float = 2.0, pairs: int = 1_000_000, seed: int = 0) -> float:
    """How evenly vectors cover the unit sphere: ``ln mean exp(-t |x_i - x_j|^2)`` over pairs ``i < j``.

    Args:
        x: ``[n, d]`` float; brought to length 1.
        t: the paper's; larger looks at closer pairs.
        pairs: where there are more than these, so many are drawn at random with replacement.
        seed: of the draw.

    Returns:
        From ``-4 t`` to 0; lower is more even, and random directions in many dimensions give ``-2 t``. NaN for fewer
        than two vectors.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.
        InputError: ``t`` or ``pairs`` is not positive.

    A vector of zeros stands at a distance of ``sqrt(2)`` from all others, as if it were orthogonal to them.

    Cost: one inner product a pair.

    Source: Wang and Isola 2020, eq. 4 (arXiv:2005.10242).
    """
    values = as_matrix(x, name="x")
    if not t > 0 or pairs < 1:
        raise InputError(f"t must be above 0 and pairs at least 1, got {t} and {pairs}.")
    n = len(values)
    if n < 2:
        return float("nan")
    if n * (n - 1) // 2 <= pairs:
        first, second = np.triu_indices(n, 1)
    else:
        rng = np.random.default_rng(seed)
        first = rng.integers(n, size=pairs)
        second = (first + rng.integers(1, n, size=pairs)) % n  # any other row
    length = np.linalg.norm(values, axis=1)
    length[length == 0] = 1
    total = 0.0
    for lo in range(0, len(first), _AT_ONCE):
        a, b = first[lo : lo + _AT_ONCE], second[lo : lo + _AT_ONCE]
        cosines = np.einsum("nd,nd->n", values[a], values[b]).astype(np.float64) / length[a] / length[b]
        total += float(np.exp(-2 * t * (1 - cosines)).sum())
    return float(np.log(total / len(first)))


def _sphere(x: Matrix) -> Float64[np.ndarray, "n d"]:
    wide = x.astype(np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    return np.asarray(wide / np.where(length > 0, length, 1))
