"""Hashes of ids."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.kernels.idhash import buckets, mix_seed, scramble, signs

MASK = (1 << 64) - 1


def mix(x):
    """SplitMix64's finaliser, in Python integers."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(0, 1000))
def test_equals_integers_of_python(number, salt):
    start = mix(((salt + 1) * 0x9E3779B97F4A7C15) & MASK)
    assert int(scramble(np.array([number], np.int64), salt=salt)[0]) == mix((number + start) & MASK)


def test_is_what_it_was():
    """A saved table depends on these bits for ever."""
    assert scramble(np.arange(3), salt=0).tolist() == [mix((i + mix(0x9E3779B97F4A7C15)) & MASK) for i in range(3)]
    assert buckets(np.arange(6), 100, salt=7).tolist() == [
        (mix((i + mix((8 * 0x9E3779B97F4A7C15) & MASK)) & MASK) >> 32) * 100 >> 32 for i in range(6)
    ]


def test_salts_that_count_up_from_mixed_seeds_never_meet():
    assert mix_seed(0) == 0
    assert mix_seed(3) == mix((3 * 0x9E3779B97F4A7C15) & MASK)
    starts = sorted(mix_seed(seed) for seed in range(2000))
    assert min(b - a for a, b in itertools.pairwise(starts)) > 10**6


@pytest.mark.parametrize("count", [1, 7, 1000])
def test_buckets_are_even_and_salts_independent(count):
    ids = np.arange(20_000)
    a, b = buckets(ids, count, salt=0), buckets(ids, count, salt=1)
    assert a.min() >= 0
    assert a.max() < count
    if count > 1:
        expected = len(ids) / count
        chi = (np.square(np.bincount(a, minlength=count) - expected) / expected).sum()
        assert chi < count + 6 * (2 * count) ** 0.5  # six standard deviations
        assert abs((a == b).mean() - 1 / count) < 6 * (1 / count / len(ids)) ** 0.5 + 1e-9


def test_a_number_of_buckets_an_id():
    at = buckets(np.arange(1000), np.repeat([3, 50], 500), salt=0)
    assert at[:500].max() == 2
    assert at[500:].max() == 49


def test_signs():
    found = signs(np.arange(10_000), salt=3)
    assert found.dtype == np.float32
    assert set(found.tolist()) == {-1.0, 1.0}
    assert abs(found.mean()) < 0.06
