"""The way that a text, a talk or a stream takes through a space: vectors in an order that means something."""

from __future__ import annotations

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import ArrayLike, Float32, Float64
from nestvec.kernels.neighbours import unit


def successive_similarity(x: ArrayLike) -> Float64[np.ndarray, " m"]:
    """The cosine of each vector with the next one: ``u_i . u_{i+1}``.

    Args:
        x: ``[n, d]`` float, in order.

    Returns:
        ``[n - 1]``; empty for fewer than two vectors, and 0 beside a vector of zeros.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.

    Source: Mistry and Minai 2023 (arXiv:2308.04625).
    """
    u = unit(as_matrix(x, name="x")).astype(np.float64)
    return np.asarray((u[1:] * u[:-1]).sum(axis=1))


def self_similarity(x: ArrayLike) -> Float32[np.ndarray, "n n"]:
    """The cosine of every vector with every other one.

    Args:
        x: ``[n, d]`` float, in order.

    Returns:
        ``[n, n]`` float32, symmetric; segments are bright squares along its diagonal.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.

    Cost: ``n^2`` numbers.

    Source: Foote 1999.
    """
    u = unit(as_matrix(x, name="x"))
    return np.asarray(np.clip(u @ u.T, -1, 1))


def novelty(x: ArrayLike, *, width: int = 8) -> Float64[np.ndarray, " m"]:
    """How much what comes after each joint differs from what came before it.

    ``|a_i - b_i|^2``, with ``a_i`` the mean of the ``width`` directions after joint ``i``, ``b_i`` that of those before
    it, both weighted by ``exp(-(2 (m - 1/2) / width)^2 / 2)`` at distance ``m``. That is the checkerboard kernel
    with a Gaussian taper, moved along the diagonal of the self-similarity matrix: since this kernel is a product of one
    factor for each axis, its sum over inner products is the square of one sum of vectors, and the matrix is not needed.

    Args:
        x: ``[n, d]`` float, in order.
        width: vectors on each side; fewer near the ends, where weights are those of what is there.

    Returns:
        ``[n - 1]``, element ``i`` for the joint of vectors ``i`` and ``i + 1``; from 0 (both sides lie alike) to 4.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.
        InputError: ``width < 1``.

    Cost: ``2 n d width`` multiplications.

    Source: Foote 2000.
    """
    if width < 1:
        raise InputError(f"width must be at least 1, got {width}.")
    return novelty_of_directions(unit(as_matrix(x, name="x")).astype(np.float64), width=width)


def novelty_of_directions(u: Float64[np.ndarray, "n d"], *, width: int) -> Float64[np.ndarray, " m"]:
    """:func:`novelty` of vectors ``[n, d]`` that are of length 1 already."""
    n, joints = len(u), max(len(u) - 1, 0)
    before, after = np.zeros((joints, u.shape[1])), np.zeros((joints, u.shape[1]))
    weight = np.zeros((2, joints, 1))
    for m in range(1, min(width, joints) + 1):
        taper = np.exp(-((2 * (m - 0.5) / width) ** 2) / 2)
        before[m - 1 :] += taper * u[: n - m]  # joint i looks back to vector i + 1 - m
        after[: joints - m + 1] += taper * u[m:]  # and ahead to vector i + m
        weight[0, m - 1 :] += taper
        weight[1, : joints - m + 1] += taper
    return np.asarray(((after / weight[1] - before / weight[0]) ** 2).sum(axis=1)) if joints else np.zeros(0)
