"""RaBitQ keeps what its paper promises: unbiased, and within the bound at its rate."""

import numpy as np
import pytest

from nestvec.codecs.rabitq import EPSILON, RaBitQ
from nestvec.core.errors import InputError
from nestvec.kernels.signscan import SignScan


def unit(n, d, seed):
    x = np.random.default_rng(seed).standard_normal((n, d)) + 0.5
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("bits", range(1, 9))
def test_the_error_is_beyond_the_bound_as_seldom_as_it_should_be(bits):
    """A normal value is beyond 1.9 standard deviations in 5.7 % of cases."""
    x, queries = unit(800, 128, 0), unit(40, 128, 1)
    codec = RaBitQ.fit(x, bits=bits)
    estimates, errors = codec.bounds(queries, codec.encode(x))
    wrong = estimates - queries.astype(np.float64) @ x.T
    assert 0.045 < (np.abs(wrong) > errors).mean() < 0.07
    assert pytest.approx(1.9) == EPSILON


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_over_many_rotations_the_estimate_is_right_on_average(bits):
    x, query = unit(1, 32, 0), unit(1, 32, 1)
    true = (query @ x.T).item()
    guesses = []
    for seed in range(400):
        codec = RaBitQ.fit(np.zeros((1, 32)), bits=bits, seed=seed)
        guesses.append(codec.scores(query, codec.encode(x)).item())
    assert abs(np.mean(guesses) - true) < 4 * np.std(guesses) / np.sqrt(400)
    assert np.std(guesses) > 0


def test_every_bit_halves_the_error():
    x, queries = unit(500, 64, 0), unit(20, 64, 1)
    errors = []
    for bits in range(1, 9):
        codec = RaBitQ.fit(x, bits=bits)
        assert codec.bytes_per_vector == 8 * bits + 12
        errors.append(np.sqrt(np.square(codec.scores(queries, codec.encode(x)) - queries @ x.T).mean()))
    assert (np.array(errors[1:]) < 0.65 * np.array(errors[:-1])).all()
    assert errors[-1] < 0.002


def test_the_grid_point_is_nearly_the_best_in_direction():
    """Against all critical steps, where a dimension changes its level, as in the paper."""
    rng = np.random.default_rng(0)
    codec = RaBitQ.fit(np.zeros((1, 12)), bits=3)
    for r in rng.standard_normal((20, 12)).astype(np.float32):
        level = codec._levels(r[None])[0] - 3.5
        got = level @ r / np.linalg.norm(level)
        best = 0.0
        for step in np.unique(np.concatenate([np.abs(r) / i for i in (0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4)])):
            for nudge in (0.9999, 1.0001):
                g = np.clip(np.floor(r / (step * nudge)), -4, 3) + 0.5
                best = max(best, g @ r / np.linalg.norm(g))
        assert got >= 0.985 * best


def test_one_bit_has_a_fast_scan_and_more_bits_have_none_yet():
    x = unit(600, 40, 0)
    scan = RaBitQ.fit(x).scanner(RaBitQ.fit(x).encode(x))
    assert isinstance(scan, SignScan)
    assert (scan.codes(np.arange(600)) == RaBitQ.fit(x).encode(x)).all()
    assert RaBitQ.fit(x, bits=2).scanner(RaBitQ.fit(x, bits=2).encode(x)) is None


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_along_the_axis_there_is_no_error(bits):
    x = unit(50, 8, 0)
    codec = RaBitQ.fit(x, bits=bits)
    assert np.allclose(codec.axis, x.mean(axis=0) / np.linalg.norm(x.mean(axis=0)), atol=1e-6)
    estimates, errors = codec.bounds(x[:2], codec.encode(3 * codec.axis[None]))
    assert np.allclose(estimates[:, 0], 3 * x[:2] @ codec.axis, atol=1e-6)
    assert (errors < 1e-6).all()
    errors = codec.bounds(2 * codec.axis[None], codec.encode(x))[1]
    assert (errors < 1e-6).all()


def test_what_vectors_share_costs_no_precision():
    """The further from the origin, the more of the paper's estimate is noise along what all have in common."""
    rng = np.random.default_rng(0)
    x, queries = rng.standard_normal((500, 64)), rng.standard_normal((20, 64))
    errors = []
    for apart in (0.0, 10.0):
        near, asked = (x + apart).astype(np.float32), (queries + apart).astype(np.float32)
        codec = RaBitQ.fit(near)
        errors.append(np.sqrt(np.square(codec.scores(asked, codec.encode(near)) - asked @ near.T).mean()))
    assert errors[1] < 1.05 * errors[0]


@pytest.mark.parametrize("bits", [0, 9, -1])
def test_bits_beyond_eight_are_refused(bits):
    with pytest.raises(InputError, match=f"from 1 to 8, got {bits}"):
        RaBitQ.fit(unit(2, 8, 0), bits=bits)
