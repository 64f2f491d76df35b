from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.kernels.assignment import assign


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 999), st.booleans())
def test_no_other_assignment_gains_more(n, m, seed, whole):
    rng = np.random.default_rng(seed)
    gain = rng.integers(-2, 3, (n, m)).astype(np.float64) if whole else rng.standard_normal((n, m))
    rows, columns = assign(gain)
    assert len(rows) == len(columns) == min(n, m)
    assert (np.diff(rows) > 0).all()
    assert len(set(columns.tolist())) == len(columns)
    small = gain if n <= m else gain.T
    sums = [sum(small[i, c] for i, c in enumerate(chosen)) for chosen in permutations(range(max(n, m)), min(n, m))]
    assert gain[rows, columns].sum() == pytest.approx(max(sums))


@pytest.mark.peer
@pytest.mark.parametrize("shape", [(1, 1), (30, 30), (40, 70), (70, 40)])
def test_it_agrees_with_scipy(shape):
    optimize = pytest.importorskip("scipy.optimize")
    for seed in range(5):
        gain = np.random.default_rng(seed).integers(0, 50, shape).astype(np.float64)
        best = optimize.linear_sum_assignment(gain, maximize=True)
        assert gain[assign(gain)].sum() == gain[best].sum()
