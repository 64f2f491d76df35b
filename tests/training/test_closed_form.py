"""Heads, leading dimensions, binariser and table by formula."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.training.closed_form import Ridge, choose_leading, fit_binariser, fit_table, principal_axes


def draw(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_ridge_finds_an_affine_map_from_a_stream():
    x, weight, bias = draw(300, 5), draw(3, 5, seed=1), draw(1, 3, seed=2)[0]
    ridge = Ridge(5, 3)
    for part in np.array_split(x, 7):
        ridge.add(part, part @ weight.T + bias)
    found, offset = ridge.solve(strength=1e-9)
    assert found == pytest.approx(weight, abs=1e-3)
    assert offset == pytest.approx(bias, abs=1e-3)
    assert found.dtype == offset.dtype == np.float32


def test_ridge_equals_the_normal_equations():
    x, y = draw(40, 6), draw(40, 2, seed=1)
    ridge = Ridge(6, 2)
    ridge.add(x, y)
    found, offset = ridge.solve(strength=0.1)
    a, b = (v - v.mean(axis=0) for v in (x.astype(np.float64), y.astype(np.float64)))
    strength = 0.1 * np.trace(a.T @ a) / 6
    slow = np.linalg.solve(a.T @ a + strength * np.eye(6), a.T @ b).T
    assert found == pytest.approx(slow, abs=1e-5)
    assert offset == pytest.approx(y.mean(axis=0) - slow @ x.mean(axis=0), abs=1e-5)


def test_ridge_stays_finite_where_a_dimension_is_constant():
    x = draw(50, 4)
    x[:, 2] = 3
    ridge = Ridge(4, 4)
    ridge.add(x, x)
    weight, bias = ridge.solve()
    assert np.isfinite(weight).all()
    assert x @ weight.T + bias == pytest.approx(x, abs=0.01)


def test_what_cannot_be_fitted_is_refused():
    ridge = Ridge(4, 2)
    with pytest.raises(InputError, match="at least 2"):
        ridge.solve()
    ridge.add(np.ones((10, 4)), np.ones((10, 2)))
    with pytest.raises(InputError, match="differ"):
        ridge.solve()
    with pytest.raises(NotFiniteError):
        ridge.add(np.full((3, 4), np.nan), np.ones((3, 2)))
    with pytest.raises(ShapeError):
        ridge.add(np.ones((3, 4)), np.ones((2, 2)))


def test_rotation_is_chosen_where_variance_is_spread_out_and_truncation_where_it_leads():
    x = draw(600, 32) * np.r_[np.full(4, 5.0), np.full(28, 0.3)].astype(np.float32)
    mixed = x @ np.linalg.qr(draw(32, 32, seed=1))[0]
    found = choose_leading(mixed, dims=(4,))
    assert found.kept["rotate"] > found.kept["truncate"] + 0.2
    assert found.rotation.T @ found.rotation == pytest.approx(np.eye(32), abs=1e-5)
    assert choose_leading(x, dims=(4,)).rotation is None


def test_axes_are_in_falling_order_and_the_same_every_time():
    x = draw(100, 8)
    axes = principal_axes(x)
    assert (np.diff(((x @ axes) ** 2).sum(axis=0)) <= 1e-2).all()
    assert (axes == principal_axes(x)).all()


def test_constant_vectors_have_no_axes_and_no_binariser():
    same = np.ones((20, 4), np.float32)
    with pytest.raises(InputError, match="differ"):
        principal_axes(same)
    with pytest.raises(InputError, match="differ"):
        fit_binariser(same)
    with pytest.raises(ShapeError):
        choose_leading(same[:5], dims=(2,))


def test_a_binariser_splits_evenly():
    x = draw(2000, 16) + 3
    centre, rotation = fit_binariser(x)
    ones = ((x - centre) @ rotation > 0).mean(axis=0)
    assert np.abs(ones - 0.5).max() < 0.06
    assert rotation.T @ rotation == pytest.approx(np.eye(16), abs=1e-5)


def test_a_table_of_full_rank_is_the_centred_vectors():
    x = draw(50, 8)
    codes, projection, weights = fit_table(x, np.zeros(50, np.int64), rank=8)
    assert codes @ projection == pytest.approx(x - x.mean(axis=0), abs=1e-4)
    assert (codes**2).mean() == pytest.approx(1, rel=1e-4)
    assert (weights == 1).all()


def test_frequent_tokens_weigh_less():
    counts = np.r_[1000, np.ones(49, np.int64)]
    _, _, weights = fit_table(draw(50, 8), counts, rank=4)
    assert weights[0] == pytest.approx(1e-3 / (1e-3 + 1000 / 1049))
    assert weights[0] < weights[1]
