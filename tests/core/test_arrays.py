import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nestvec.core import as_matrix
from nestvec.core.arrays import as_scores, as_values
from nestvec.core.errors import InputError, NotFiniteError, ShapeError


@given(
    hnp.arrays(
        st.sampled_from([np.float16, np.float32, np.int8, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=6),
        elements=st.integers(0, 1),
    )
)
def test_any_matrix_of_numbers_comes_out_as_float32_rows(x):
    kept = x.copy()
    got = as_matrix(x, name="x")
    assert got.dtype == np.float32
    assert got.flags.c_contiguous
    assert got.shape == x.shape
    assert (got == x).all()
    assert (x == kept).all()


def test_what_is_right_already_is_not_copied():
    x = np.ones((3, 2), np.float32)
    assert np.shares_memory(as_matrix(x, name="x"), x)
    x.setflags(write=False)
    assert np.shares_memory(as_matrix(x, name="x"), x)


def test_strided_input_is_made_contiguous():
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert (as_matrix(x.T, name="x") == x.T).all()
    assert as_matrix(x[:, ::2], name="x").flags.c_contiguous


def test_lists_and_empty_input_are_legal():
    assert as_matrix([[1, 2]], name="x").shape == (1, 2)
    assert as_matrix(np.empty((0, 7)), name="x", dim=7).shape == (0, 7)


def test_one_vector_gets_a_hint():
    with pytest.raises(
        ShapeError, match=r"queries must be \[n, d\], got shape \(8,\)\. For one vector pass queries\[None, :\]"
    ):
        as_matrix(np.ones(8), name="queries")


@pytest.mark.parametrize("x", [np.array(3.0), np.ones((2, 2, 2))])
def test_other_ranks_are_refused_with_their_shape(x):
    with pytest.raises(ShapeError) as caught:
        as_matrix(x, name="x")
    assert str(np.shape(x)) in str(caught.value)
    assert "For one vector" not in str(caught.value)


def test_width_and_number_of_rows_are_checked():
    with pytest.raises(ShapeError, match=r"d=3, got shape \(1, 2\)"):
        as_matrix([[1, 2]], name="x", dim=3)
    with pytest.raises(ShapeError, match=r"at least 1 row"):
        as_matrix(np.empty((0, 2)), name="x", at_least=1)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_is_found_with_its_row(bad):
    x = np.zeros((5, 2))
    x[3, 1] = bad
    with pytest.raises(NotFiniteError, match=r"1 of 5 rows .* first row 3"):
        as_matrix(x, name="x")


@pytest.mark.parametrize("x", [[["a", "b"]], [[1, 2], [3]], [[None, {}]]])
def test_what_is_no_number_is_refused_by_name(x):
    with pytest.raises(InputError, match="vectors must be"):
        as_matrix(x, name="vectors")


def test_values_are_float64_in_one_dimension():
    assert as_values([1, 2], name="x").dtype == np.float64
    assert as_values([], name="x", at_least=0).shape == (0,)
    for bad in (np.empty(0), [[1.0]], np.array(1.0)):
        with pytest.raises(ShapeError, match="x must be"):
            as_values(bad, name="x")
    with pytest.raises(NotFiniteError, match="got 2 that are not, the first at 1"):
        as_values([1.0, np.nan, np.inf], name="x")
    with pytest.raises(InputError, match="x must be numbers"):
        as_values(["a"], name="x")


def test_scores_are_items_by_systems():
    x = as_scores([[1, 2], [3, 4], [5, 6]], name="x")
    assert (x.shape, x.dtype) == ((3, 2), np.float64)
    for bad in ([[1, 2]], [[1], [2]], [1, 2]):
        with pytest.raises(ShapeError, match="x must be"):
            as_scores(bad, name="x")
    with pytest.raises(NotFiniteError, match="1 values that are not"):
        as_scores([[1, 2], [3, np.nan]], name="x")
