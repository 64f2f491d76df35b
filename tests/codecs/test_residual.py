"""What is special about residuals against centroids. tests/contracts/test_codecs.py has what codecs share."""

import numpy as np
import pytest

from nestvec.codecs import CODECS
from nestvec.codecs.residual import Residual, _levels
from nestvec.core.errors import InputError


def clustered(n=3000, d=24, seed=0):
    """As tokens are: many near each other, of length 1."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((60, d))[rng.integers(0, 60, n)] + 0.4 * rng.standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def lost(codec, x):
    return np.square(codec.decode(codec.encode(x)) - x).sum() / np.square(x - x.mean(axis=0)).sum()


def test_every_bit_helps_and_the_bytes_are_counted():
    x = clustered()
    made = [Residual.fit(x, bits=b, centroids=64) for b in (1, 2, 4)]
    assert [codec.bytes_per_vector for codec in made] == [2 + 3, 2 + 6, 2 + 12]
    assert [codec.bits for codec in made] == [1, 2, 4]
    errors = [lost(codec, x) for codec in made]
    assert errors[0] < 0.1
    assert errors[1] < 0.45 * errors[0]
    assert errors[2] < 0.2 * errors[1]


def test_clustered_vectors_are_kept_better_than_by_codes_without_centroids():
    x = clustered()
    for bits in (1, 2, 4):
        ours, plain = Residual.fit(x, bits=bits), CODECS["rabitq@1"].fit(x, bits=bits)
        assert ours.bytes_per_vector < plain.bytes_per_vector
        assert lost(ours, x) < 0.6 * lost(plain, x)


def test_unit_vectors_come_back_at_length_one_and_others_do_not():
    x = clustered()
    codec = Residual.fit(x)
    assert codec.unit
    assert np.allclose(np.linalg.norm(codec.decode(codec.encode(x)), axis=1), 1, atol=1e-5)
    assert not Residual.fit(2 * x).unit


def test_the_centroid_is_the_nearest_one():
    x = clustered(500)
    codec = Residual.fit(x, centroids=20)
    distance = np.square(x[:, None].astype(np.float64) - codec.centroids).sum(axis=2)
    assert (codec.centroid_of(codec.encode(x)) == distance.argmin(axis=1)).mean() > 0.999


def test_levels_are_those_that_suit_normal_values_best():
    """Max 1960, table I: levels of the least squared error for a normal value."""
    values = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    assert np.allclose(_levels(values, 2), [-0.798, 0.798], atol=0.01)
    assert np.allclose(_levels(values, 4), [-1.510, -0.453, 0.453, 1.510], atol=0.02)
    found = _levels(values, 16)
    error = np.square(values - found[np.abs(values[:, None] - found).argmin(axis=1)]).mean()
    assert error < 0.0125  # 0.0095 at best


def test_the_default_grows_with_the_sample():
    assert [len(Residual.fit(clustered(n)).centroids) for n in (1, 40, 1000)] == [1, 2, 32]


@pytest.mark.parametrize("centroids", [0, 11, -1])
def test_more_centroids_than_rows_are_refused(centroids):
    with pytest.raises(InputError, match=f"from 1 to 10 with 10 sample rows.*got {centroids}"):
        Residual.fit(clustered(10), centroids=centroids)
