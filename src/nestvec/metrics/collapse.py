"""Neural collapse: how far the vectors of each class have gathered at one point, and the points at a simplex."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64

_BLOCK = 8192  # rows compared with all class means at a time


@dataclass(frozen=True)
class Collapse:
    """The four figures of neural collapse and two relatives. All but ``nc4`` are 0 at full collapse.

    Args:
        nc1: ``tr(pinv(S_B) S_W) / K``: scatter inside classes against scatter between them.
        cdnv: mean over pairs of classes of ``(v_i + v_j) / (2 |m_i - m_j|^2)``; needs no inverse.
        nc2_norm: coefficient of variation of the distances of class means from the global mean.
        nc2_angle: mean of ``|cos_ij + 1 / (K - 1)|`` over pairs of centred class means.
        gnc2: variance of ``-ln`` distance over pairs of normalised means; for more classes than dimensions too.
        nc3: 1 minus the mean cosine of each class weight and its centred mean; NaN without a classifier.
        nc4: share of vectors that the nearest class mean and the classifier (without one, the label) name alike.
    """

    nc1: float
    cdnv: float
    nc2_norm: float
    nc2_angle: float
    gnc2: float
    nc3: float
    nc4: float


def collapse(x: ArrayLike, labels: ArrayLike, *, weights: ArrayLike | None = None) -> Collapse:
    """Measure neural collapse of labelled vectors.

    Args:
        x: ``[n, d]`` float.
        labels: ``[n]`` a class each, of any type that sorts; at least two classes.
        weights: ``[K, d]`` of a linear classifier without bias, its rows in the order of the sorted classes.

    Returns:
        The figures; ``cdnv`` and ``gnc2`` are infinite where two class means are the same, and ``gnc2`` is NaN where
        one of them is the global mean.

    Raises:
        ShapeError: not one label a vector, or not one weight a class.
        InputError: fewer than two classes.
        NotFiniteError: a value is NaN or infinite.

    Cost: two passes, ``n d (d + K)`` multiplications, one pseudo-inverse of ``[d, d]``.

    Source: Papyan et al. 2020, sec. 3 (arXiv:2008.08186); cdnv: Galanti et al. 2022, sec. 4 (arXiv:2112.15121); gnc2:
    Wu and Papyan 2024, sec. 3 (arXiv:2405.17767).
    """
    values = as_matrix(x, name="x")
    names, group = _classes(labels, len(values))
    share = np.bincount(group) / len(values)
    means = _means(values, group, len(names))
    w = None if weights is None else _weights(weights, means.shape)
    within, variance, agree = _inside(values, group, means, w)
    centred = means - share @ means
    between = (centred * share[:, None]).T @ centred
    size = np.linalg.norm(centred, axis=1)
    first, second = np.triu_indices(len(names), 1)
    apart = ((means[first] - means[second]) ** 2).sum(axis=1)
    sphere = centred / np.where(size > 0, size, 1)[:, None]
    cosines = (sphere[first] * sphere[second]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        cdnv = float(((variance[first] + variance[second]) / (2 * apart)).mean())
        logs = -np.log(np.sqrt(np.maximum(2 - 2 * cosines, 0)))
    return Collapse(
        nc1=float(np.trace(np.linalg.pinv(between, hermitian=True) @ within)) / len(names),
        cdnv=cdnv,
        nc2_norm=float(size.std() / size.mean()) if size.mean() > 0 else float("nan"),
        nc2_angle=float(np.abs(cosines + 1 / (len(names) - 1)).mean()),
        gnc2=_variance(logs) if size.all() else float("nan"),
        nc3=float("nan") if w is None else 1 - float(_cosine(w, centred).mean()),
        nc4=agree,
    )


def _classes(labels: ArrayLike, n: int) -> tuple[Array, Array]:
    given = np.asarray(labels)
    if given.shape != (n,):
        raise ShapeError(f"there must be one label for each of the {n} vectors, got shape {given.shape}.")
    names, group = np.unique(given, return_inverse=True)
    if len(names) < 2:
        raise InputError(f"labels must name at least two classes, got {len(names)}.")
    return names, group


def _weights(weights: ArrayLike, shape: tuple[int, ...]) -> Array:
    w: Array = as_matrix(weights, name="weights").astype(np.float64)
    if w.shape != shape:
        raise ShapeError(f"weights must be [K, d] = {shape}, got {w.shape}.")
    return w


def _means(x: Array, group: Array, classes: int) -> Float64[np.ndarray, "k d"]:
    total, order = np.zeros((classes, x.shape[1])), np.argsort(group, kind="stable")
    for lo in range(0, len(x), _BLOCK):
        rows = order[lo : lo + _BLOCK]
        here, starts = np.unique(group[rows], return_index=True)  # sorted, so each class is one run
        total[here] += np.add.reduceat(x[rows].astype(np.float64), starts, axis=0)
    return np.asarray(total / np.bincount(group)[:, None])


def _inside(x: Array, group: Array, means: Array, weights: Array | None) -> tuple[Array, Array, float]:
    """Covariance inside classes ``[d, d]``, variance of each class ``[K]``, and how often nearest means agree."""
    within, squares, agree = np.zeros((x.shape[1],) * 2), np.zeros(len(means)), 0
    half = (means**2).sum(axis=1) / 2  # |x - m|^2 falls exactly where x m - |m|^2 / 2 rises
    for lo in range(0, len(x), _BLOCK):
        block, own = x[lo : lo + _BLOCK].astype(np.float64), group[lo : lo + _BLOCK]
        apart = block - means[own]
        within += apart.T @ apart
        squares += np.bincount(own, (apart**2).sum(axis=1), minlength=len(means))
        named = own if weights is None else (block @ weights.T).argmax(axis=1)
        agree += int(((block @ means.T - half).argmax(axis=1) == named).sum())
    return within / len(x), squares / np.bincount(group), agree / len(x)


def _variance(logs: Array) -> float:
    return float(logs.var()) if np.isfinite(logs).all() else float("inf")


def _cosine(a: Array, b: Array) -> Float64[np.ndarray, " k"]:
    length = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.where(length > 0, length, 1))
