"""Half precisions, beside the definition and beside other libraries."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.codecs.bfloat16 import BFloat16
from nestvec.codecs.float16 import Float16
from nestvec.core.errors import InputError

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(value=finite.filter(lambda v: abs(v) < 65000))
def test_float16_is_the_nearest(value):
    codec = Float16(1)
    x = np.array([[value]], np.float32)
    error = abs(float(codec.decode(codec.encode(x))[0, 0]) - value)
    assert error <= max(2**-11 * abs(value), 2**-25)


@given(value=finite.filter(lambda v: abs(v) < 3e38))
def test_bfloat16_is_the_nearest_and_the_even_one_between(value):
    codec = BFloat16(1)
    x = np.array([[value]], np.float32)
    back = float(codec.decode(codec.encode(x))[0, 0])
    assert abs(back - value) <= max(2**-8 * abs(value), 2.0**-133)
    bits = int(x.view(np.uint32)[0, 0])
    low, up = bits >> 16, (bits >> 16) + 1
    rest = bits & 0xFFFF
    expected = low if rest < 0x8000 or (rest == 0x8000 and low % 2 == 0) else up
    assert int(codec.encode(x)[0, 0]) == expected


@pytest.mark.parametrize(("codec", "value"), [(Float16(2), 65520.0), (BFloat16(2), 3.4e38)])
def test_what_would_become_infinite_is_refused(codec, value):
    with pytest.raises(InputError, match="values must be below"):
        codec.encode(np.array([[0, -value]]))


@pytest.mark.text
def test_bfloat16_is_that_of_torch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((50, 9)).astype(np.float32)
    theirs = torch.from_numpy(x).bfloat16().float().numpy()
    assert (BFloat16(9).decode(BFloat16(9).encode(x)) == theirs).all()
