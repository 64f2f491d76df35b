"""The door: outside arrays are checked once, here, and trusted afterwards."""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import ArrayLike, Float64, Matrix


def as_matrix(x: ArrayLike, *, name: str, dim: int | None = None, at_least: int = 0) -> Matrix:
    """Return ``x`` as a finite, C-contiguous float32 matrix ``[n, d]``, or say what is wrong with it.

    Args:
        x: anything numpy can read as ``[n, d]``; ``n`` may be 0. Never modified, and not copied when it
            is what is asked for already.
        name: what the caller calls this array, for the message.
        dim: the ``d`` that is expected, if it is known.
        at_least: the smallest ``n`` that makes sense here.

    Raises:
        InputError: ``x`` is not numeric.
        ShapeError: ``x`` is not two-dimensional, ``d`` differs from ``dim``, or ``n < at_least``.
        NotFiniteError: ``x`` holds NaN or infinity (or a float64 that float32 cannot hold).
    """
    try:
        with np.errstate(over="ignore"):  # an overflow becomes infinity, and is reported below with its row
            a = np.ascontiguousarray(x, dtype=np.float32)
    except (TypeError, ValueError) as cause:
        raise InputError(f"{name} must be an [n, d] array of numbers, got {type(x).__name__}: {cause}.") from cause
    if np.ndim(x) != 2:  # ascontiguousarray makes a scalar 1-D, so ask x itself
        shape = np.shape(x)
        hint = f" For one vector pass {name}[None, :]." if len(shape) == 1 else ""
        raise ShapeError(f"{name} must be [n, d], got shape {shape}.{hint}")
    if dim is not None and a.shape[1] != dim:
        raise ShapeError(f"{name} must have d={dim}, got shape {a.shape}.")
    if len(a) < at_least:
        raise ShapeError(f"{name} must have at least {at_least} row(s), got shape {a.shape}.")
    bad = ~np.isfinite(a).all(axis=1)
    if bad.any():
        raise NotFiniteError(
            f"{name} must be finite, got {bad.sum()} of {len(a)} rows with NaN or infinity, first row {bad.argmax()}."
        )
    return a


def as_values(x: ArrayLike, *, name: str, at_least: int = 1) -> Float64[np.ndarray, " n"]:
    """Return ``x`` as finite float64 ``[n]``, or say what is wrong with it.

    Args:
        x: anything numpy can read as ``[n]``. Never modified.
        name: what the caller calls this array, for the message.
        at_least: the smallest ``n`` that makes sense here.

    Raises:
        InputError: ``x`` is not numeric.
        ShapeError: ``x`` is not one-dimensional, or ``n < at_least``.
        NotFiniteError: ``x`` holds NaN or infinity.
    """
    try:
        a = np.asarray(x, np.float64)
    except (TypeError, ValueError) as cause:
        raise InputError(f"{name} must be numbers [n], got {type(x).__name__}: {cause}.") from cause
    if a.ndim != 1 or len(a) < at_least:
        raise ShapeError(f"{name} must be [n] with n >= {at_least}, got shape {a.shape}.")
    bad = ~np.isfinite(a)
    if bad.any():
        raise NotFiniteError(
            f"{name} must be finite, got {np.count_nonzero(bad)} that are not, the first at {bad.argmax()}; "
            "decide first what an item without a value counts."
        )
    return a


def as_scores(x: ArrayLike, *, name: str) -> Float64[np.ndarray, "n s"]:
    """Return ``x`` as a finite float64 matrix of items by systems.

    Args:
        x: anything numpy can read as ``[n, s]``, ``n >= 2`` and ``s >= 2``. Never modified.
        name: what the caller calls this array, for the message.

    Raises:
        ShapeError: ``x`` is not such a matrix.
        NotFiniteError: ``x`` holds NaN or infinity.
    """
    a = np.asarray(x, np.float64)
    if a.ndim != 2 or min(a.shape) < 2:
        raise ShapeError(
            f"{name} must be [n, s], a row an item and a column a system, at least two of each, got shape {a.shape}."
        )
    if not np.isfinite(a).all():
        raise NotFiniteError(
            f"{name} must be finite, got {np.count_nonzero(~np.isfinite(a))} values that are not; "
            "leave out the items that not every system has a value for."
        )
    return a
