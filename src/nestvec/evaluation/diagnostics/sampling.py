"""How far a figure of a sample may be from that of everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nestvec.core.types import Array, Matrix

_GROUPS = 10
_T = 2.262  # 97.5 % point of Student's t with nine degrees of freedom


def wilson(share: float, n: int) -> tuple[float, float]:
    """95 % interval around a share of ``n``, which is honest for a share of 0 or 1 as well.

    Source: Wilson 1927, JASA 22(158).
    """
    z2 = 1.96**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = 1.96 / (1 + z2 / n) * float(np.sqrt(share * (1 - share) / n + z2 / (4 * n * n)))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def jackknife(measure: Callable[[Matrix], Sequence[float]], x: Matrix) -> list[tuple[float, float]]:
    """95 % intervals around smooth figures of a sample: leave out one tenth at a time.

    ``theta ± 2.262 sqrt(9 / 10 sum_g (theta_(g) - mean)^2)``. The figures themselves are those of the whole sample.

    Args:
        measure: vectors to figures.
        x: ``[n, d]`` in random order or not; tenths are interleaved.

    Returns:
        ``(low, high)`` for each figure.

    Cost: eleven times the measure's.

    Source: Efron and Tibshirani 1993, ch. 11, An Introduction to the Bootstrap.
    """
    whole = np.array(measure(x), np.float64)
    group = np.arange(len(x)) % _GROUPS
    without: Array = np.array([measure(x[group != g]) for g in range(_GROUPS)])
    spread = _T * np.sqrt((_GROUPS - 1) / _GROUPS * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return list(zip((whole - spread).tolist(), (whole + spread).tolist(), strict=True))
