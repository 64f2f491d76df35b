"""Local intrinsic dimension: in how many directions the data goes on around a point."""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import ArrayLike, Float64


def local_dimension(distances: ArrayLike) -> Float64[np.ndarray, " n"]:
    """The maximum likelihood estimate of the dimension around each point.

    ``-((k - 1)^-1 sum_{i<k} ln(r_i / r_k))^-1`` over the distances ``r_1 … r_k`` to the ``k`` nearest others. A
    distance of 0, a duplicate, says nothing about dimension and is left out.

    Args:
        distances: ``[n, k]`` to the nearest others, rising; infinite where there are fewer. 20 to 100 of them are
            usual: fewer scatter, more look beyond the neighbourhood.

    Returns:
        ``[n]`` above 0; NaN where fewer than two different distances are left.

    Raises:
        ShapeError: not a matrix.
        InputError: a distance is negative or NaN, or a row is not rising.

    Source: Levina and Bickel 2004, eq. 8 (NeurIPS 17).
    """
    r = np.asarray(distances, np.float64)
    if r.ndim != 2:
        raise ShapeError(f"distances must be [n, k], got shape {r.shape}.")
    if np.isnan(r).any() or (r < 0).any() or (r[:, 1:] < r[:, :-1]).any():
        raise InputError("distances must be at least 0 and rise along each row; sort each row, nearest first.")
    used = np.isfinite(r) & (r > 0)
    count = used.sum(axis=1)
    farthest = np.max(r, axis=1, where=used, initial=0.0)
    ratios = np.log(np.divide(r, farthest[:, None], out=np.ones_like(r), where=used))
    total = -ratios.sum(axis=1)  # the farthest adds ln 1 = 0
    out = np.full(len(r), np.nan)
    np.divide(count - 1, total, out=out, where=(count > 1) & (total > 0))
    return out


def intrinsic_dimension(local: ArrayLike) -> float:
    """One dimension for the whole set: the harmonic mean of the local ones, as the likelihood asks for.

    Args:
        local: ``[n]`` from :func:`local_dimension`; NaN is left out.

    Returns:
        Above 0; NaN if nothing is left.

    Raises:
        ShapeError: not one-dimensional.

    Source: MacKay and Ghahramani 2005, comment on Levina and Bickel.
    """
    values = np.asarray(local, np.float64)
    if values.ndim != 1:
        raise ShapeError(f"local must be [n], got shape {values.shape}.")
    values = values[~np.isnan(values)]
    return float(1 / (1 / values).mean()) if len(values) else float("nan")
