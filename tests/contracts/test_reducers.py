"""What every reducer must do. Runs over the catalogue: a new reducer is tested by being listed."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nestvec.core.coding import Reducer
from nestvec.core.errors import FormatError, InputError, NotFiniteError, ShapeError
from nestvec.reducers import REDUCERS, compose, reducer_from_arrays

DIM = 12
pytestmark = pytest.mark.parametrize("name", list(REDUCERS))


def sample(n=200, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, DIM)) @ np.random.default_rng(7).standard_normal((DIM, DIM)) * 0.2 + 0.3
    return x.astype(np.float32)


def fit(name, **settings):
    return REDUCERS[name].fit(sample(), seed=3, **settings)


def rows(n=6):
    return hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, n), st.just(DIM)),
        elements=st.floats(-2, 2, width=32, allow_subnormal=False),
    )


def normalised(y):
    length = np.linalg.norm(y, axis=1, keepdims=True)
    return np.divide(y, length, out=np.zeros_like(y), where=length > 0)


def test_is_a_reducer(name):
    made = fit(name)
    assert isinstance(made, Reducer)
    assert made.id == name
    assert made.matrix.shape == (DIM, DIM)
    assert made.centre.shape == (DIM,)


@given(x=rows())
@settings(max_examples=30)
def test_transforming_is_its_affine_form(name, x):
    made = fit(name)
    x.setflags(write=False)
    expected = (x.astype(np.float64) - made.centre) @ made.matrix.astype(np.float64)
    got = made.transform(x)
    assert got.dtype == np.float32
    if made.unit:
        far = np.linalg.norm(expected, axis=1) > 1e-3  # the direction of next to nothing is noise
        assert np.allclose(got[far], normalised(expected)[far], atol=1e-3)
    else:
        assert np.allclose(got, expected, atol=1e-5)


@given(x=rows(), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_a_row_does_not_care_about_order_or_company(name, x, seed):
    made = fit(name)
    y = made.transform(x)
    order = np.random.default_rng(seed).permutation(len(x))
    assert np.array_equal(made.transform(x[order]), y[order])
    for i in range(len(x)):
        assert np.array_equal(made.transform(x[i : i + 1]), y[i : i + 1])


def test_saved_and_loaded_gives_the_same_bits(name):
    made = fit(name)
    file = io.BytesIO()
    np.savez(file, **made.arrays())
    file.seek(0)
    loaded = reducer_from_arrays(dict(np.load(file)))
    assert type(loaded) is type(made)
    assert loaded.fingerprint == made.fingerprint
    assert np.array_equal(loaded.transform(sample()), made.transform(sample()))


def test_fitting_is_repeatable(name):
    assert fit(name).fingerprint == fit(name).fingerprint


def test_a_fingerprint_tells_settings_apart(name):
    if name == "affine@1":
        pytest.skip("it has none")
    assert fit(name, dim=5).fingerprint != fit(name).fingerprint


@pytest.mark.parametrize("dim", [1, 5, DIM])
def test_it_keeps_as_many_dimensions_as_asked(name, dim):
    if name == "affine@1" and dim != DIM:
        pytest.skip("it keeps all")
    y = fit(name, dim=dim).transform(sample())
    assert y.shape == (200, dim)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("dim", [0, DIM + 1, -1])
def test_dimensions_that_are_not_there_are_refused(name, dim):
    with pytest.raises(InputError, match=f"dim of {name} must be .*got {dim}"):
        fit(name, dim=dim)


def test_nothing_at_all_is_a_batch(name):
    assert fit(name).transform(np.zeros((0, DIM))).shape == (0, DIM)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_a_tiny_sample_works_or_is_refused_in_words(name, n):
    if n < {"pca@1": 1, "whiten@1": 2}.get(name, 0):
        with pytest.raises(ShapeError, match="at least"):
            REDUCERS[name].fit(sample(n))
        return
    made = REDUCERS[name].fit(sample(n))
    assert np.isfinite(made.transform(sample(5))).all()


def test_constant_vectors_do_no_harm(name):
    same = np.full((20, DIM), 0.25, np.float32)
    assert np.isfinite(REDUCERS[name].fit(same).transform(same)).all()


def test_bad_input_is_refused(name):
    made, bad = fit(name), sample(3)
    bad[1, 2] = np.nan
    for call in (made.transform, REDUCERS[name].fit):
        with pytest.raises(NotFiniteError, match="row 1"):
            call(bad)
    with pytest.raises(ShapeError, match="d=12"):
        made.transform(np.zeros((2, DIM + 1)))
    with pytest.raises(FormatError, match="must have"):
        reducer_from_arrays({"id": made.arrays()["id"]})


@pytest.mark.parametrize("other", list(REDUCERS))
def test_two_are_one_matrix(name, other):
    """``first`` without renormalising, then the other at its own settings."""
    first = fit(name) if name == "affine@1" else fit(name, dim=9, unit=False)
    reduced = first.transform(sample())
    then = REDUCERS[other].fit(reduced, seed=1)
    both = compose(first, then)
    assert np.allclose(both.transform(sample(seed=4)), then.transform(first.transform(sample(seed=4))), atol=1e-4)
    assert both.unit == then.unit
    if not both.unit:
        again = compose(both, REDUCERS["affine@1"].fit(np.zeros((1, both.matrix.shape[1]))))
        assert np.allclose(again.matrix, both.matrix, atol=1e-6)
