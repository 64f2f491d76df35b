"""What every figure of a cloud of vectors must do. Runs over the catalogue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import NotFiniteError, ShapeError
from nestvec.metrics import GEOMETRY

pytestmark = pytest.mark.parametrize("figure", [GEOMETRY[name] for name in GEOMETRY], ids=list(GEOMETRY))


@st.composite
def clouds(draw):
    """Vectors off the origin, stretched along some directions."""
    n, d = draw(st.integers(3, 40)), draw(st.integers(2, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    stretch = rng.uniform(0.2, 3, d)
    return (rng.standard_normal((n, d)) * stretch + rng.uniform(-1, 1, d)).astype(np.float32)


def close(a, b):
    return a == pytest.approx(b, rel=2e-3, abs=1e-4)


@given(x=clouds())
def test_a_finite_float_and_the_input_untouched(figure, x):
    kept = x.copy()
    x.setflags(write=False)
    value = figure(x)
    assert isinstance(value, float)
    assert np.isfinite(value)
    assert (x == kept).all()
    assert figure(x) == value


@given(x=clouds(), seed=st.integers(0, 99))
def test_order_turning_and_scale_change_nothing(figure, x, seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((x.shape[1],) * 2))[0].astype(np.float32)
    value = figure(x)
    assert close(figure(x[rng.permutation(len(x))]), value)
    assert close(figure(x @ turn), value)
    assert close(figure(4 * x), value)


@given(x=clouds())
def test_the_type_that_comes_in_does_not_matter(figure, x):
    assert figure(x.astype(np.float64)) == figure(x)
    assert close(figure(x.tolist()), figure(x))


@pytest.mark.parametrize(
    ("x", "error"),
    [(np.zeros(3), ShapeError), (np.zeros((2, 2, 2)), ShapeError), (np.array([[1.0, np.nan]]), NotFiniteError)],
)
def test_what_is_no_cloud_is_refused(figure, x, error):
    with pytest.raises(error, match="must"):
        figure(x)
