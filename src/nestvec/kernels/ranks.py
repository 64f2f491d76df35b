"""Ranks with ties."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Float64


def mean_ranks(x: Array) -> Float64[np.ndarray, " n"]:
    """``[n]`` -> the rank of each value, the smallest 1; equal values share the mean of their ranks.

    Cost: one sort.
    """
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]
