"""The door: outside arrays are checked once, here, and trusted afterwards."""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import ArrayLike, Matrix


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
