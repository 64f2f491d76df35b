"""The fast scan of one-bit codes: all its ways give the same, and the query's rounding is small."""

import numpy as np
import pytest

from nestvec.kernels import bits, signscan
from nestvec.kernels.jit import Kernel
from nestvec.kernels.signscan import SignScan


@pytest.fixture(params=["numpy", "numba"])
def way(request, monkeypatch):
    kernel = Kernel(signscan._build)
    if request.param == "numba":
        pytest.importorskip("numba")
        kernel.compiled = compiled()
    monkeypatch.setattr(signscan, "kernel", kernel)
    return request.param


def compiled(cache=[]):  # noqa: B006  # one compilation for all tests
    if not cache:
        cache.append(signscan._build())
    return cache[0]


def case(n, d=40, seed=0, *, scaled=True):
    rng = np.random.default_rng(seed)
    packed = bits.pack(rng.integers(0, 2, (n, d)))
    factors = rng.uniform(0.5, 2, (3 if scaled else 0, n)).astype(np.float32)
    matrix = np.linalg.qr(rng.standard_normal((d, d)))[0].astype(np.float32)
    scale = rng.uniform(0.5, 1, d).astype(np.float32)
    offset = rng.uniform(0, 0.1, d).astype(np.float32)
    axis = rng.standard_normal(d).astype(np.float32)
    queries = rng.standard_normal((3, d)).astype(np.float32)
    scan = SignScan.of(packed, factors=factors, matrix=matrix, scale=scale, axis=axis, offset=offset, most=512)
    along = (queries @ axis)[:, None]
    scores = ((queries @ matrix - along * offset) * scale) @ bits.signs(packed, d).T
    scores = scores * factors[0] + factors[1] * along if scaled else scores + along
    return scan, queries, scores, packed, factors


@pytest.mark.parametrize("n", [1, 255, 256, 257, 1500])
@pytest.mark.parametrize("scaled", [True, False])
def test_estimates_are_close_and_the_best_are_found(way, n, scaled):
    scan, queries, scores, _, _ = case(n, scaled=scaled)
    positions, found = scan.nearest(queries, n)
    assert (np.sort(positions, axis=1) == np.arange(n)).all()
    assert (np.diff(found, axis=1) <= 0).all()
    wrong = found - np.take_along_axis(scores, positions, axis=1)
    # 16 levels for values of one standard deviation: an error of a tenth of that each, and so of the sum
    assert np.sqrt(np.square(wrong).mean()) <= 0.15 * 1.3 * np.sqrt(40)


def test_both_ways_agree_to_the_last_bit(monkeypatch):
    pytest.importorskip("numba")
    scan, queries, _, _, _ = case(1000)
    plain = Kernel(signscan._build)
    monkeypatch.setattr(signscan, "kernel", plain)
    monkeypatch.setattr(signscan, "_FIRST", 256)  # several ranges, each with a bound
    first = scan.nearest(queries, 7)
    plain.compiled = compiled()
    second = scan.nearest(queries, 7)
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    whole = scan.nearest(queries, 1000)
    assert np.array_equal(whole[0][:, :7], first[0])


def test_many_queries_go_through_blas(way, monkeypatch):
    scan, queries, scores, _, _ = case(5000)
    monkeypatch.setattr(signscan, "_BATCH", 2)
    positions, found = scan.nearest(queries, 20)
    assert np.allclose(found, -np.sort(-scores, axis=1)[:, :20], atol=1e-4)
    assert np.allclose(np.take_along_axis(scores, positions, axis=1), found, atol=1e-4)


@pytest.mark.parametrize("batch", [1, 1000])
def test_rows_that_are_not_shown_are_not_found(way, monkeypatch, batch):
    monkeypatch.setattr(signscan, "_BATCH", batch)
    scan, queries, _, _, _ = case(600)
    shown = np.arange(600) % 7 == 3
    positions, found = scan.nearest(queries, 100, shown=shown)
    assert (positions[:, :86] % 7 == 3).all()
    assert (positions[:, 86:] == -1).all()
    assert (found[:, 86:] == -np.inf).all()


def test_ties_go_to_the_smaller_position(way, monkeypatch):
    monkeypatch.setattr(signscan, "_FIRST", 256)
    packed = np.zeros((2000, 5), np.uint8)
    one, zero = np.ones(40, np.float32), np.zeros(40, np.float32)
    none = np.zeros((0, 2000))
    scan = SignScan.of(packed, factors=none, matrix=np.diag(one), scale=one, axis=zero, offset=zero)
    positions, _ = scan.nearest(np.ones((1, 40), np.float32), 9)
    assert positions.tolist() == [list(range(9))]


def test_a_query_of_zeros_and_no_rows_at_all(way):
    scan, _, _, _, _ = case(10)
    positions, found = scan.nearest(np.zeros((1, 40), np.float32), 3)
    assert (positions.tolist(), found.tolist()) == ([[0, 1, 2]], [[0, 0, 0]])
    same = {"matrix": scan.matrix, "scale": scan.scale, "axis": scan.axis, "offset": scan.offset}
    none = SignScan.of(np.zeros((0, 5), np.uint8), factors=np.zeros((3, 0)), **same)
    assert none.nearest(np.ones((2, 40), np.float32), 3)[0].tolist() == [[-1] * 3] * 2


def test_codes_come_back_as_they_went_in():
    scan, _, _, packed, factors = case(700)
    at = np.array([0, 3, 255, 256, 699])
    both = np.concatenate([packed[at], np.ascontiguousarray(factors.T[at]).view(np.uint8)], axis=1)
    assert (scan.codes(at) == both).all()
    assert scan.nbytes == 3 * 256 * 8 + factors.nbytes  # three blocks of one word a row
