"""Isotropy by the partition function: nestvec.metrics.partition."""

import numpy as np
import pytest

from nestvec.core.errors import NotFiniteError, ShapeError
from nestvec.metrics.partition import partition_isotropy


def test_it_is_the_ratio_of_the_sums_along_the_axes():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((300, 5)) * [2, 1, 1, 0.5, 0.1] + 0.3).astype(np.float32)
    u = x.astype(np.float64) / np.linalg.norm(x, axis=1, keepdims=True)
    _, axes = np.linalg.eigh(u.T @ u)
    sums = [np.exp(u @ (sign * axis)).sum() for axis in axes.T for sign in (1, -1)]
    assert partition_isotropy(x) == pytest.approx(min(sums) / max(sums), rel=1e-6)


def test_a_ball_is_even_and_a_leaning_cloud_is_not():
    rng = np.random.default_rng(1)
    ball = rng.standard_normal((20_000, 8))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    assert partition_isotropy(ball) > 0.97
    assert partition_isotropy(ball @ np.linalg.qr(rng.standard_normal((8, 8)))[0]) == pytest.approx(
        partition_isotropy(ball), abs=0.02
    )
    leaning = ball + 2 * np.eye(8)[0]
    assert partition_isotropy(leaning) < 0.25


def test_one_direction_gives_the_least_and_nothing_is_even():
    assert partition_isotropy(np.ones((5, 4))) == pytest.approx(np.exp(-2))
    assert partition_isotropy(np.zeros((3, 4))) == 1
    with pytest.raises(ShapeError):
        partition_isotropy(np.zeros((0, 4)))
    with pytest.raises(NotFiniteError):
        partition_isotropy([[1.0, np.nan]])
