"""Signs: Hamming distance, wide rotations, and the scan that gives what scores give."""

import numpy as np
import pytest

from nestvec.codecs.sign import Sign
from nestvec.core.errors import InputError


def sample(n=500, d=24, seed=0):
    return (np.random.default_rng(seed).standard_normal((n, d)) + 1).astype(np.float32)


def test_hamming_is_zero_to_itself_and_all_bits_to_the_opposite():
    codec = Sign.fit(sample())
    codes = codec.encode(sample(10))
    assert np.diag(codec.hamming(codes, codes)).tolist() == [0] * 10
    opposite = codec.encode(2 * codec.centre - sample(10))
    assert np.diag(codec.hamming(codes, opposite)).tolist() == [24] * 10


def test_more_bits_than_dimensions_say_more():
    x, queries = sample(2000), sample(50, seed=1)
    true = queries @ x.T
    wrong = []
    for wide in (24, 48, 96):
        codec = Sign.fit(x, wide=wide)
        assert codec.bytes_per_vector == wide // 8
        assert np.allclose(codec.rotation @ codec.rotation.T, np.eye(24), atol=1e-5)
        scores = codec.scores(queries, codec.encode(x))
        wrong.append(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(scores, true, strict=True)]))
    assert wrong == sorted(wrong)
    with pytest.raises(InputError, match="wide must be"):
        Sign.fit(x, wide=23)
    with pytest.raises(InputError, match="wide must be"):
        Sign.fit(x, wide=25, rotate=False)


def test_the_centre_saves_bits_that_all_vectors_share():
    x = sample() + 10
    held = [len(np.unique(Sign.fit(x, rotate=False, centre=c).encode(x), axis=0)) for c in (False, True)]
    assert held[0] < 10
    assert held[1] > 490


def test_a_scan_finds_what_scores_find():
    x, queries = sample(3000), sample(5, seed=1)
    codec = Sign.fit(x)
    codes = codec.encode(x)
    positions, found = codec.scanner(codes).nearest(queries, 300)
    best = np.argsort(-codec.scores(queries, codes), axis=1)[:, :100]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(best, positions, strict=True)]) > 0.97
    exact = np.take_along_axis(codec.scores(queries, codes), positions, axis=1)
    assert np.sqrt(np.square(found - exact).mean()) < 0.2 * codec.scores(queries, codes).std()
