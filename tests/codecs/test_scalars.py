"""Error bounds of the scalar codecs."""

import numpy as np
import pytest

from nestvec.codecs.int4 import ScalarInt4
from nestvec.codecs.int8 import ScalarInt8
from nestvec.codecs.int8_rows import RowInt8
from nestvec.core.errors import InputError


def sample(n=300, d=9):
    return (np.random.default_rng(0).standard_normal((n, d)) * np.geomspace(0.01, 10, d)).astype(np.float32)


def test_int8_is_within_half_a_step_inside_the_fitted_range():
    x, codec = sample(), ScalarInt8.fit(sample())
    assert (np.abs(codec.decode(codec.encode(x)) - x) <= codec.scale * 0.5001).all()
    assert (np.abs(codec.encode(x)).max(axis=0) == 127).all()
    far = codec.decode(codec.encode(100 * x))
    assert np.allclose(np.abs(far).max(axis=0), 127 * codec.scale)  # clipped


def test_int8_quantile_leaves_the_largest_out():
    tight = ScalarInt8.fit(sample(), quantile=0.9)
    assert (tight.scale < ScalarInt8.fit(sample()).scale).all()
    for wrong in (0.0, 1.5):
        with pytest.raises(InputError, match="quantile"):
            ScalarInt8.fit(sample(), quantile=wrong)


def test_int8_rows_is_within_half_a_step_of_each_vector():
    x = sample() * np.geomspace(1e-6, 1e6, 300, dtype=np.float32)[:, None]
    codec = RowInt8.fit(x)
    step = np.abs(x).max(axis=1, keepdims=True) / 127
    assert (np.abs(codec.decode(codec.encode(x)) - x) <= step * 0.5001).all()
    assert codec.decode(codec.encode(np.zeros((1, 9)))).tolist() == [[0.0] * 9]


def test_int4_uses_the_range_with_the_least_error():
    x, codec = sample(2000), ScalarInt4.fit(sample(2000))
    low, high = x.min(axis=0), x.max(axis=0)
    plain = ScalarInt4(low, (high - low) / 15)
    error, of_plain = (np.square(c.decode(c.encode(x)) - x).sum(axis=0) for c in (codec, plain))
    assert (error <= of_plain * 1.0001).all()
    assert (error < 0.9 * of_plain).sum() >= 5  # a bell is worth clipping
    inside = (x >= codec.low) & (x <= codec.low + 15 * codec.step)
    wrong = np.abs(codec.decode(codec.encode(x)) - x)
    assert (wrong <= codec.step * 0.5001)[inside].all()
