"""What is special about each reducer. tests/contracts/test_reducers.py has what they share."""

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.reducers.affine import Affine, compose
from nestvec.reducers.pca import PCA
from nestvec.reducers.rotate import Rotate
from nestvec.reducers.truncate import Truncate
from nestvec.reducers.whiten import Whiten


def sample(n=500, d=10, seed=0):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(np.random.default_rng(7).standard_normal((d, d)))[0]
    return ((rng.standard_normal((n, d)) * np.geomspace(2, 0.1, d)) @ turn + 0.5).astype(np.float32)


def test_truncating_keeps_the_first_at_length_one():
    x = sample()
    y = Truncate.fit(x, dim=4).transform(x)
    assert np.allclose(y, x[:, :4] / np.linalg.norm(x[:, :4], axis=1, keepdims=True), atol=1e-6)
    assert (Truncate(10, 4, unit=False).transform(x) == x[:, :4]).all()
    with pytest.raises(InputError, match="dim of truncate@1"):
        Truncate(10, 11)


def test_pca_loses_the_least_and_is_that_of_scikit_learn():
    x = sample()
    made = PCA.fit(x, dim=3, centre=True, unit=False)
    assert np.allclose(made.matrix.T @ made.matrix, np.eye(3), atol=1e-5)
    held = [np.square(r.fit(x, dim=3, unit=False).transform(x)).sum() for r in (PCA, Truncate)]
    assert held[0] > held[1]
    theirs = pytest.importorskip("sklearn.decomposition").PCA(3).fit(x)
    assert np.allclose(np.abs(made.transform(x)), np.abs(theirs.transform(x)), atol=1e-3)


def test_inner_products_outlive_all_of_pca_and_any_rotation():
    x = sample()
    for made in (PCA.fit(x, unit=False), Rotate.fit(x)):
        y = made.transform(x)
        assert np.allclose(y @ y.T, x @ x.T, atol=1e-3)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_whitening_evens_out_as_far_as_asked(power):
    x = sample(5000)
    spread = Whiten.fit(x, power=power, unit=False).transform(x).var(axis=0)
    plain = PCA.fit(x, centre=True, unit=False).transform(x).var(axis=0)
    assert np.allclose(spread, plain ** (1 - power), rtol=0.05)
    with pytest.raises(InputError, match="power of whiten@1"):
        Whiten.fit(x, power=1.5)


def test_a_random_projection_is_right_on_average():
    x = sample(2)
    short = (Rotate.fit(x, dim=4, seed=s).transform(x) for s in range(800))
    guesses = [y[0] @ y[1] for y in short]
    assert abs(np.mean(guesses) - x[0] @ x[1]) < 4 * np.std(guesses) / np.sqrt(800)


def test_what_is_no_affine_map_is_not_composed():
    x = sample()
    with pytest.raises(InputError, match="Set unit on the last only"):
        compose(PCA.fit(x, dim=4), Whiten.fit(sample(d=4)))
    with pytest.raises(InputError, match="what the first gives, got 4 and 10"):
        compose(PCA.fit(x, dim=4), Rotate.fit(x))
    lost = Affine(np.ones((10, 2), np.float32), np.zeros(10, np.float32))
    centred = Affine(np.eye(2, dtype=np.float32), np.array([1, -1], np.float32))
    with pytest.raises(InputError, match="reachable"):
        compose(lost, centred)


def test_lengths_in_between_make_no_difference():
    x = sample()
    first, then = PCA.fit(x, dim=6), Truncate.fit(np.zeros((1, 6)), dim=3)
    assert np.allclose(compose(first, then).transform(x), then.transform(first.transform(x)), atol=1e-5)


def test_the_identity_keeps_all():
    with pytest.raises(InputError, match="dim of affine@1"):
        Affine.fit(sample(), dim=3)
