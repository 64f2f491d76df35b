"""Rows in a few bits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nestvec.tables.packing import FORMS, Floats, Packed, RowCodes, form_of, pack, packed, shapes, unpack

numbers = st.floats(-3, 3, width=32, allow_subnormal=False)
matrices = hnp.arrays(np.float32, st.tuples(st.integers(0, 9), st.integers(4, 19)), elements=numbers)


@given(st.integers(0, 7), st.integers(1, 21), st.sampled_from([2, 4, 8]), st.randoms())
def test_packing_is_undone(n, width, bits, random):
    given = np.random.default_rng(random.randint(0, 9**9)).integers(0, 2**bits, (n, width)).astype(np.uint8)
    codes = pack(given, bits)
    assert codes.shape == (n, -(-width * bits // 8))
    assert (unpack(codes, width, bits) == given).all()


@given(matrices, st.sampled_from([2, 4, 8]))
@settings(max_examples=60)
def test_the_error_is_at_most_a_step(x, bits):
    form = RowCodes.fit(x, bits=bits)
    got = form.take(np.arange(len(x)))
    assert got.dtype == np.float32
    span = (x.max(axis=1) - x.min(axis=1)) if len(x) else np.zeros(0)
    # half a step where nothing is clipped; clipping is chosen only where the squared error of the row is smaller
    rounded = span / (2**bits - 1) / 2 + 2e-3 * np.abs(x).max(initial=0)
    assert (np.square(got - x).sum(axis=1) <= x.shape[1] * np.square(rounded) + 1e-6).all()


@pytest.mark.parametrize("codec", ["float32", "float16", "int8", "int4", "int2"])
@pytest.mark.parametrize("width", [1, 3, 4, 16])
def test_arrays_are_as_planned_and_come_back(codec, width):
    x = np.random.default_rng(0).standard_normal((11, width)).astype(np.float32)
    form = packed(codec, x, whole=False)
    assert isinstance(form, Packed)
    assert {n: (v.dtype.name, v.shape) for n, v in form.arrays().items()} == dict(shapes(codec, 11, width, whole=False))
    again = form_of(form.id, form.arrays())
    assert (again.take(np.array([3, 0, 3])) == form.take(np.array([3, 0, 3]))).all()
    assert FORMS[form.id] is type(form)


def test_what_is_read_whole_stays_as_it_is():
    x = np.ones((3, 9), np.float32)
    assert isinstance(packed("int2", x, whole=True), Floats)
    assert packed("int2", x, whole=True).take(np.array([1])).tolist() == x[1:2].tolist()


def test_rows_of_very_different_sizes_and_constants():
    x = np.array([[1e-3, -1e-3, 0, 1e-3], [900, -900, 1, 3], [5, 5, 5, 5]], np.float32)
    got = RowCodes.fit(x, bits=8).take(np.arange(3))
    assert np.abs(got[0] - x[0]).max() < 2e-4  # half precision is relative to the largest row
    assert np.abs(got[1] - x[1]).max() < 900 / 127
    assert np.abs(got[2] - 5).max() < 0.01
    assert not RowCodes.fit(np.zeros((2, 4), np.float32), bits=4).take(np.arange(2)).any()
