"""Whether two lists of numbers rise and fall together: similarities by a model beside similarities by people.

All are NaN where a correlation has no meaning: fewer than two items, or a list whose values are all the same.
"""

from __future__ import annotations

import math

import numpy as np

from nestvec.core.arrays import as_values
from nestvec.core.errors import ShapeError
from nestvec.core.types import Array, ArrayLike, Float64
from nestvec.kernels.ranks import mean_ranks


def pearson(a: ArrayLike, b: ArrayLike) -> float:
    """How nearly ``b`` is a straight line over ``a``: ``sum x y / sqrt(sum x^2 sum y^2)`` of the centred values.

    Args:
        a: ``[n]`` numbers.
        b: ``[n]`` numbers of the same items.

    Returns:
        Between -1 and 1; NaN if ``n < 2`` or all values of one list are the same.

    Raises:
        ShapeError: the two differ in length, or are not one-dimensional.
        NotFiniteError: a value is NaN or infinite.

    Source: Rodgers and Nicewander 1988, on what it is and the ways to see it.
    """
    return _pearson(*_pair(a, b))


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """How nearly ``b`` puts items in the order of ``a``: the Pearson correlation of the ranks.

    Equal values share the mean of their ranks. This is the usual figure for semantic similarity (STS), as it does not
    ask a model's similarities to lie on the scale of people's.

    Args:
        a: ``[n]`` numbers.
        b: ``[n]`` numbers of the same items.

    Returns:
        Between -1 and 1; NaN if ``n < 2`` or all values of one list are the same.

    Raises:
        ShapeError, NotFiniteError: as for :func:`pearson`.

    Cost: two sorts.

    Source: Spearman 1904.
    """
    x, y = _pair(a, b)
    return _pearson(mean_ranks(x), mean_ranks(y))


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """How many more pairs of items stand in the same order in both lists than in the opposite one (tau-b).

    ``(same - opposite) / sqrt((pairs - tied in a) (pairs - tied in b))``.

    Args:
        a: ``[n]`` numbers.
        b: ``[n]`` numbers of the same items.

    Returns:
        Between -1 and 1; NaN if ``n < 2`` or all values of one list are the same.

    Raises:
        ShapeError, NotFiniteError: as for :func:`pearson`.

    Cost: ``log2(n)`` sorts.

    Source: Kendall 1945, with ties; counted in the way of Knight 1966.
    """
    x, y = _pair(a, b)
    order = np.lexsort((y, x))
    ranks = np.unique(y, return_inverse=True)[1][order]
    pairs = len(x) * (len(x) - 1) // 2
    tied_x, tied_y = _tied(x), _tied(y)
    tied_both = _tied(np.stack([x, y], axis=1))
    if pairs in (tied_x, tied_y):
        return math.nan
    opposite = _inversions(ranks)
    same = pairs - tied_x - tied_y + tied_both - opposite
    return (same - opposite) / math.sqrt((pairs - tied_x) * (pairs - tied_y))


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[Float64[np.ndarray, " n"], Float64[np.ndarray, " n"]]:
    x, y = as_values(a, name="a", at_least=0), as_values(b, name="b", at_least=0)
    if len(x) != len(y):
        raise ShapeError(f"a and b must be of the same items, got {len(x)} and {len(y)} values.")
    return x, y


def _pearson(x: Float64[np.ndarray, " n"], y: Float64[np.ndarray, " n"]) -> float:
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    x, y = (z / np.abs(z).max() for z in (x - x.mean(), y - y.mean()))  # squares must neither vanish nor overflow
    return float(np.clip((x @ y) / math.sqrt((x @ x) * (y @ y)), -1.0, 1.0))


def _tied(x: Array) -> int:
    """How many pairs of rows are equal."""
    counts = np.unique(x, axis=0, return_counts=True)[1]
    return int((counts * (counts - 1) // 2).sum())


def _inversions(ranks: Array) -> int:
    """How many pairs stand in falling order in whole numbers from 0: counted bit by bit, from the highest.

    Two numbers that agree in all higher bits are told apart by this one, so an inversion is a 1 before a 0 among them.
    """
    total = 0
    for bit in range(int(ranks.max(initial=0)).bit_length()):
        higher = ranks >> (bit + 1)
        order = np.argsort(higher, kind="stable")
        is_one = (ranks[order] >> bit) & 1
        ones_before = np.cumsum(is_one) - is_one
        first = np.searchsorted(higher[order], higher[order])  # where the numbers with these higher bits start
        total += int(((ones_before - ones_before[first]) * (1 - is_one)).sum())
    return total
