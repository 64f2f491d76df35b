"""Lexical and fused scores (nestvec.kernels.forms)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Space, SparseVectors
from nestvec.core.errors import InputError, ShapeError, SpaceMismatchError
from nestvec.kernels import forms
from nestvec.kernels.forms import fused, lexical

SPACE = Space("m", "w", "sparse", 20, metric="dot", unit=False)


def sparse(dense, space=SPACE):
    rows, columns = np.nonzero(dense)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(dense)))]).astype(np.int64)
    return SparseVectors(dense[rows, columns].astype(np.float32), columns.astype(np.int64), offsets, space)


def draw(rng, n):
    return rng.random((n, 20)) * (rng.random((n, 20)) < 0.2)


@given(st.integers(0, 5), st.integers(0, 8), st.integers(0, 99))
def test_it_is_the_product_of_the_dense_forms(q, n, seed):
    rng = np.random.default_rng(seed)
    queries, documents = draw(rng, q), draw(rng, n)
    got = lexical(sparse(queries), sparse(documents))
    assert got.shape == (q, n)
    np.testing.assert_allclose(got, queries @ documents.T, atol=1e-5)


def test_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    queries, documents = sparse(draw(rng, 4)), sparse(draw(rng, 30))
    whole = lexical(queries, documents)
    monkeypatch.setattr(forms, "_ENTRIES", 12)  # three products a query at a time, so that documents are cut in two
    np.testing.assert_allclose(lexical(queries, documents), whole, rtol=1e-6)


def test_two_vocabularies_do_not_meet():
    with pytest.raises(SpaceMismatchError):
        lexical(sparse(np.zeros((1, 20))), sparse(np.zeros((1, 20)), Space("m", "other", "sparse", 20, metric="dot")))


def test_fused_is_the_weighted_mean_of_what_is_there():
    a, b, c = np.random.default_rng(0).random((3, 2, 4))
    np.testing.assert_allclose(fused(a, b, c), (a + 0.3 * b + c) / 2.3, rtol=1e-6)
    np.testing.assert_allclose(fused(a, None, c), (a + c) / 2, rtol=1e-6)
    np.testing.assert_allclose(fused(None, b, None), b, rtol=1e-6)
    np.testing.assert_allclose(fused(a, b, c, weights=(0.0, 1.0, 1.0)), (b + c) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    ("parts", "weights", "error"),
    [
        ((None, None, None), (1.0, 1.0, 1.0), InputError),
        ((np.zeros((2, 2)), None, None), (0.0, 1.0, 1.0), InputError),
        ((np.zeros((2, 2)), None, None), (1.0, 1.0), InputError),
        ((np.zeros((2, 2)), None, None), (1.0, -1.0, 1.0), InputError),
        ((np.zeros((2, 2)), np.zeros((2, 3)), None), (1.0, 1.0, 1.0), ShapeError),
        ((np.zeros(2), None, None), (1.0, 1.0, 1.0), ShapeError),
    ],
)
def test_what_does_not_fit_is_refused(parts, weights, error):
    with pytest.raises(error):
        fused(*parts, weights=weights)
