"""Whether a few vectors are the neighbours of nearly all others, and many of none."""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import ArrayLike, Int64


def occurrences(neighbours: ArrayLike, *, n: int) -> Int64[np.ndarray, " n"]:
    """``N_k``: how often each of ``n`` rows is among the ``k`` nearest of another.

    Args:
        neighbours: ``[q, k]`` positions from 0 to ``n - 1``, the row itself left out; -1 is padding.
        n: how many rows there are.

    Returns:
        ``[n]`` counts; their mean is ``q k / n`` where nothing is padded.

    Raises:
        ShapeError: not a matrix.
        InputError: a position is out of range.
    """
    ids = np.asarray(neighbours, np.int64)
    if ids.ndim != 2:
        raise ShapeError(f"neighbours must be [q, k], got shape {ids.shape}.")
    if ids.size and (ids.min() < -1 or ids.max() >= n):
        raise InputError(f"neighbours must be positions from -1 to {n - 1}, got {ids.min()} to {ids.max()}.")
    return np.bincount(ids[ids >= 0], minlength=n).astype(np.int64)


def hubness_skewness(counts: ArrayLike) -> float:
    """The skewness of ``N_k``, ``mean (c - m)^3 / s^3``: near 0 without hubs, above 1 with strong ones.

    Args:
        counts: ``[n]`` from :func:`occurrences`.

    Returns:
        0 if all counts are equal; NaN if there are none.

    Raises:
        ShapeError: not one-dimensional.

    Source: Radovanović et al. 2010, eq. 1, JMLR 11.
    """
    c = _counts(counts)
    deviation = c - c.mean() if len(c) else c
    scale = float(np.sqrt((deviation**2).mean())) if len(c) else float("nan")
    return float((deviation**3).mean() / scale**3) if scale > 0 else scale


def antihubs(counts: ArrayLike) -> float:
    """The share of rows that are no other row's neighbour, and so are hardly ever found.

    Args:
        counts: ``[n]`` from :func:`occurrences`.

    Returns:
        0 to 1; NaN if there are none.

    Raises:
        ShapeError: not one-dimensional.

    Source: Radovanović et al. 2010, sec. 4, JMLR 11.
    """
    c = _counts(counts)
    return float((c == 0).mean()) if len(c) else float("nan")


def robin_hood(counts: ArrayLike) -> float:
    """The share of all places in neighbour lists that would have to change hands for every row to have as many.

    ``sum |c - m| / (2 sum c)``.

    Args:
        counts: ``[n]`` from :func:`occurrences`.

    Returns:
        0 (all equal) to 1; NaN if there are none, or all are 0.

    Raises:
        ShapeError: not one-dimensional.

    Source: Feldbauer et al. 2018, sec. 2.3, ICBK.
    """
    c = _counts(counts)
    total = c.sum()
    return float(np.abs(c - c.mean()).sum() / (2 * total)) if total else float("nan")


def _counts(counts: ArrayLike) -> np.ndarray:
    c = np.asarray(counts, np.float64)
    if c.ndim != 1:
        raise ShapeError(f"counts must be [n], got shape {c.shape}.")
    return c
