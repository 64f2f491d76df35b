import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nestvec.kernels.ranks import mean_ranks


@given(st.lists(st.integers(-3, 3), max_size=12))
def test_a_rank_is_one_more_than_those_below_and_half_of_those_equal(values):
    expected = [1 + sum(y < x for y in values) + (values.count(x) - 1) / 2 for x in values]
    assert mean_ranks(np.array(values, np.float64)).tolist() == expected
