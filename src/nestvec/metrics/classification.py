"""How good predicted classes are. Classes may be whole numbers or names."""

from __future__ import annotations

import numpy as np

from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Bool, Float64


def correct(truth: ArrayLike, predicted: ArrayLike) -> Bool[np.ndarray, " n"]:
    """``[n]`` whether each prediction is right; :func:`accuracy` is its mean, and what a bootstrap needs.

    Args:
        truth: ``[n]`` classes.
        predicted: ``[n]`` classes of the same items.

    Raises:
        ShapeError: the two differ in length, or are not one-dimensional.
        InputError: a class is NaN.
    """
    a, b = _classes(truth, predicted)
    right: Array = a == b
    return right


def accuracy(truth: ArrayLike, predicted: ArrayLike) -> float:
    """The share of items whose class is predicted right.

    Args:
        truth: ``[n]`` classes.
        predicted: ``[n]`` classes of the same items.

    Returns:
        In [0, 1]; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`correct`.

    Source: Manning, Raghavan and Schütze 2008, sec. 8.3.
    """
    right = correct(truth, predicted)
    return float(right.mean()) if len(right) else float("nan")


def f1(truth: ArrayLike, predicted: ArrayLike, *, average: str = "macro") -> float:
    """Harmonic mean of precision and recall, over all classes that are true or predicted anywhere.

    ``F1 = 2 tp / (2 tp + fp + fn)`` of a class.

    Args:
        truth: ``[n]`` classes.
        predicted: ``[n]`` classes of the same items.
        average: ``macro``, the mean over classes, in which a rare class counts as much as a common one; ``weighted``,
            each class by the number of its items; ``micro``, over all items together, which equals the accuracy.

    Returns:
        In [0, 1]; NaN for no items.

    Raises:
        ShapeError, InputError: as for :func:`correct`; an unknown ``average``.

    Source: van Rijsbergen 1979, ch. 7; macro and micro: Manning, Raghavan and Schütze 2008, sec. 13.6.
    """
    if average not in ("macro", "micro", "weighted"):
        raise InputError(f"average must be macro, micro or weighted, got {average!r}.")
    if average == "micro":
        return accuracy(truth, predicted)
    values, items = f1_by_class(truth, predicted)
    if not len(values):
        return float("nan")
    return float(values.mean() if average == "macro" else values @ items / items.sum())


def f1_by_class(truth: ArrayLike, predicted: ArrayLike) -> tuple[Float64[np.ndarray, " c"], Float64[np.ndarray, " c"]]:
    """F1 of each class that is true or predicted anywhere, in the order of the sorted classes, and its true items.

    Args:
        truth: ``[n]`` classes.
        predicted: ``[n]`` classes of the same items.

    Raises:
        ShapeError, InputError: as for :func:`correct`.

    Source: van Rijsbergen 1979, ch. 7.
    """
    a, b = _classes(truth, predicted)
    classes, which = np.unique(np.concatenate([a, b]), return_inverse=True)
    true, guessed = np.split(which, 2)
    of_truth, of_guess, hits = (
        np.bincount(x, minlength=len(classes)).astype(np.float64) for x in (true, guessed, true[true == guessed])
    )
    return 2 * hits / (of_truth + of_guess), of_truth


def _classes(truth: ArrayLike, predicted: ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(truth), np.asarray(predicted)
    if a.ndim != 1 or a.shape != b.shape:
        raise ShapeError(f"truth and predicted must both be [n], got shapes {a.shape} and {b.shape}.")
    if len(a) and (a.dtype.kind in "US") != (b.dtype.kind in "US"):
        raise InputError(f"classes must be of one kind, got {a.dtype} in truth and {b.dtype} in predicted.")
    for name, x in (("truth", a), ("predicted", b)):
        if x.dtype.kind == "f" and np.isnan(x).any():
            raise InputError(f"{name} must have a class for every item, got NaN at {np.isnan(x).argmax()}.")
    return a, b
