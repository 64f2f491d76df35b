"""How well clusters agree with known classes. What either is called does not matter."""

from __future__ import annotations

import math

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64
from nestvec.kernels.assignment import assign


def homogeneity(truth: ArrayLike, clusters: ArrayLike) -> float:
    """How far each cluster holds one class only: ``1 - H(class | cluster) / H(class)``.

    Args:
        truth: ``[n]`` classes, whole numbers or names.
        clusters: ``[n]`` the cluster of the same items.

    Returns:
        In [0, 1]; 1 if there is one class only; NaN for no items.

    Raises:
        ShapeError: the two differ in length, or are not one-dimensional.
        InputError: a label is NaN.

    Source: Rosenberg and Hirschberg 2007.
    """
    mutual, of_classes, _ = _information(truth, clusters)
    return mutual / of_classes if of_classes != 0 else 1.0


def completeness(truth: ArrayLike, clusters: ArrayLike) -> float:
    """How far each class lies in one cluster only: ``1 - H(cluster | class) / H(cluster)``.

    Args:
        truth: ``[n]`` classes, whole numbers or names.
        clusters: ``[n]`` the cluster of the same items.

    Returns:
        In [0, 1]; 1 if there is one cluster only; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`homogeneity`.

    Source: Rosenberg and Hirschberg 2007.
    """
    return homogeneity(clusters, truth)


def v_measure(truth: ArrayLike, clusters: ArrayLike) -> float:
    """The harmonic mean of homogeneity and completeness: the usual figure for clusters of embeddings.

    It is not corrected for chance and rises with the number of clusters; compare at equal numbers only.

    Args:
        truth: ``[n]`` classes, whole numbers or names.
        clusters: ``[n]`` the cluster of the same items.

    Returns:
        In [0, 1]; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`homogeneity`.

    Source: Rosenberg and Hirschberg 2007.
    """
    a, b = homogeneity(truth, clusters), completeness(truth, clusters)
    return 2 * a * b / (a + b) if a + b != 0 else 0.0


def nmi(truth: ArrayLike, clusters: ArrayLike) -> float:
    """Mutual information over the mean of the two entropies, ``2 I / (H(class) + H(cluster))``.

    With this mean, the arithmetic one, it is the same number as :func:`v_measure`; both names are in use.

    Args:
        truth: ``[n]`` classes, whole numbers or names.
        clusters: ``[n]`` the cluster of the same items.

    Returns:
        In [0, 1]; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`homogeneity`.

    Source: Vinh, Epps and Bailey 2010.
    """
    mutual, a, b = _information(truth, clusters)
    return 2 * mutual / (a + b) if a + b != 0 else 1.0


def ari(truth: ArrayLike, clusters: ArrayLike) -> float:
    """The share of pairs of items that both treat alike, together or apart, corrected for chance (adjusted Rand index).

    Args:
        truth: ``[n]`` classes, whole numbers or names.
        clusters: ``[n]`` the cluster of the same items.

    Returns:
        At most 1; 0 on average for clusters made at random, below 0 for worse. 1 where both put everything together
        or everything apart; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`homogeneity`.

    Source: Hubert and Arabie 1985.
    """
    table = _table(truth, clusters)
    n = table.sum()
    if not n:
        return math.nan
    together, of_classes, of_clusters = (
        float((x * (x - 1) / 2).sum()) for x in (table, table.sum(axis=1), table.sum(axis=0))
    )
    by_chance = of_classes * of_clusters / max(n * (n - 1) / 2, 1.0)
    most = (of_classes + of_clusters) / 2
    return (together - by_chance) / (most - by_chance) if most != by_chance else 1.0


def clustering_accuracy(truth: ArrayLike, clusters: ArrayLike) -> float:
    """The share of items in the right place when each cluster is named after one class in the best possible way.

    No two clusters get the same class; with more clusters than classes, all items of those left over are wrong.

    Args:
        truth: ``[n]`` classes, whole numbers or names.
        clusters: ``[n]`` the cluster of the same items.

    Returns:
        In (0, 1]; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`homogeneity`.

    Cost: ``O(c^3)`` for ``c`` clusters; 300 take a twentieth of a second.

    Source: Yang et al. 2010; the assignment: Kuhn 1955.
    """
    table = _table(truth, clusters)
    if not table.size:
        return math.nan
    return float(table[assign(table)].sum() / table.sum())


def _table(truth: ArrayLike, clusters: ArrayLike) -> Float64[np.ndarray, "c k"]:
    """How many items each class and each cluster have in common."""
    a, b = np.asarray(truth), np.asarray(clusters)
    if a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(f"truth and clusters must both be [n], got shapes {a.shape} and {b.shape}.")
    for name, x in (("truth", a), ("clusters", b)):
        if x.dtype.kind == "f" and np.isnan(x).any():
            raise InputError(f"{name} must have a label for every item, got NaN at {np.isnan(x).argmax()}.")
    rows, columns = np.unique(a, return_inverse=True), np.unique(b, return_inverse=True)
    shape = len(rows[0]), len(columns[0])
    counts = np.bincount(rows[1] * shape[1] + columns[1], minlength=shape[0] * shape[1])
    return counts.reshape(shape).astype(np.float64)


def _information(truth: ArrayLike, clusters: ArrayLike) -> tuple[float, float, float]:
    """Mutual information, and the entropy of each; NaN for no items."""
    joint = _table(truth, clusters)
    if not joint.size:
        return math.nan, math.nan, math.nan
    joint = joint / joint.sum()
    a, b, both = _entropy(joint.sum(axis=1)), _entropy(joint.sum(axis=0)), _entropy(joint.ravel())
    return max(0.0, a + b - both), a, b


def _entropy(p: Array) -> float:
    p = p[p > 0]
    return 0.0 if len(p) == 1 else -float(p @ np.log(p))
