"""Packing and Hamming distance, against Python's own integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.kernels import bits


@given(n=st.integers(0, 9), d=st.integers(1, 70), seed=st.integers(0, 999))
def test_bits_come_back(n, d, seed):
    x = np.random.default_rng(seed).integers(0, 2, (n, d)).astype(np.uint8)
    packed = bits.pack(x)
    assert packed.shape == (n, -(-d // 8))
    assert (bits.unpack(packed, d) == x).all()
    assert (bits.signs(packed, d) == 2.0 * x - 1).all()


@given(n=st.integers(0, 5), d=st.integers(1, 40), b=st.integers(1, 8), seed=st.integers(0, 999))
def test_levels_come_back_and_a_leading_part_is_the_level_in_fewer_bits(n, d, b, seed):
    x = np.random.default_rng(seed).integers(0, 2**b, (n, d)).astype(np.uint8)
    packed = bits.pack_levels(x, b)
    assert packed.shape == (n, b * -(-d // 8))
    assert (bits.unpack_levels(packed, d, b) == x).all()
    for fewer in range(1, b):
        assert (bits.unpack_levels(packed[:, : fewer * -(-d // 8)], d, fewer) == x >> (b - fewer)).all()


@pytest.mark.parametrize("width", [1, 8, 13, 48])
def test_hamming_counts_bits_that_differ(width):
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (3, width), np.uint8), rng.integers(0, 256, (20, width), np.uint8)
    slow = [[(int.from_bytes(x.tobytes()) ^ int.from_bytes(y.tobytes())).bit_count() for y in b] for x in a]
    assert bits.hamming(a, b).tolist() == slow
    assert bits.hamming(a[:0], b).shape == (0, 20)
    assert bits.hamming(a, b[:0]).shape == (3, 0)
