"""The small kernels that codecs and reducers are made of."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError
from nestvec.kernels import affine
from nestvec.kernels.adam import Adam
from nestvec.kernels.blocks import as_codes, rows_times, scores_by_decoding
from nestvec.kernels.jit import Kernel
from nestvec.kernels.kmeans import kmeans, nearest
from nestvec.kernels.listwise import listnet, softmax
from nestvec.kernels.rotations import random_rotation


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("n", [0, 1, 127, 128, 300])
def test_rows_are_multiplied_the_same_way_wherever_they_stand(n):
    x, matrix = normal(n, 37), normal(37, 21, seed=1)
    y = rows_times(x, matrix)
    assert np.allclose(y, x.astype(np.float64) @ matrix, atol=1e-4)
    for i in range(0, n, 13):
        assert (rows_times(x[i : i + 1], matrix)[0] == y[i]).all()
        assert (rows_times(x[i:], matrix)[0] == y[i]).all()


def test_codes_are_looked_at_once():
    codes = np.zeros((2, 3), np.uint8)
    assert as_codes(codes, width=3) is codes
    for wrong in (codes[0], codes[:, 1:], codes.astype(np.int8)):
        with pytest.raises(ShapeError, match=r"codes must be \[n, 3\] uint8"):
            as_codes(wrong, width=3)


def test_scores_by_decoding_go_block_by_block():
    held = normal(5000, 300)
    seen = []

    def decode(some):
        seen.append(len(some))
        return some

    assert np.allclose(scores_by_decoding(held[:2], held, decode, dim=300), held[:2] @ held.T, atol=1e-3)
    assert max(seen) < 5000


@pytest.mark.parametrize("dim", [1, 2, 33])
def test_a_rotation_keeps_lengths_and_its_seed_is_all_it_is(dim):
    turn = random_rotation(dim, seed=4)
    assert np.allclose(turn @ turn.T, np.eye(dim), atol=1e-5)
    assert (turn == random_rotation(dim, seed=4)).all()
    assert dim == 1 or (turn != random_rotation(dim, seed=5)).any()


def test_kmeans_finds_clusters_that_are_far_apart():
    centres = 10 * normal(3, 5)
    x = np.repeat(centres, 40, axis=0) + 0.01 * normal(120, 5, seed=1)
    best = min((kmeans(x, 3, seed=s) for s in range(20)), key=lambda c: np.square(x - c[nearest(x, c)]).sum())
    assert np.square(x - best[nearest(x, best)]).sum(axis=1).max() < 0.01


def test_kmeans_never_makes_the_error_larger_and_loses_no_centroid():
    x = normal(500, 6)
    errors = [np.square(x - c[nearest(x, c)]).sum() for c in (kmeans(x, 20, rounds=r) for r in (0, 1, 3, 10))]
    assert errors == sorted(errors, reverse=True)
    assert len(np.unique(kmeans(np.concatenate([np.zeros((90, 2), np.float32), normal(10, 2)]), 9), axis=0)) == 9
    with pytest.raises(InputError, match="at least 5 sample rows, got 3"):
        kmeans(x[:3], 5)


def test_nearest_is_by_distance_and_ties_go_to_the_smaller_number():
    x, centres = normal(200, 4), normal(9, 4, seed=1)
    slow = np.square(x[:, None].astype(np.float64) - centres).sum(axis=2).argmin(axis=1)
    assert (nearest(x, centres) == slow).all()
    assert (nearest(x, np.repeat(centres[:1], 3, axis=0)) == 0).all()


def test_listnet_is_the_cross_entropy_of_two_softmaxes_and_so_is_its_slope():
    teacher, student = normal(3, 5), normal(3, 5, seed=1)
    loss, slope = listnet(teacher, student, temperature=0.5)
    p = np.exp(2.0 * teacher.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    r = np.exp(2.0 * student.astype(np.float64))
    r /= r.sum(axis=1, keepdims=True)
    assert loss == pytest.approx(-(p * np.log(r)).sum(axis=1).mean(), rel=1e-5)
    for i, j in np.ndindex(3, 5):
        moved = student.copy()
        moved[i, j] += 1e-2
        up = listnet(teacher, moved, temperature=0.5)[0]
        moved[i, j] -= 2e-2
        assert (up - listnet(teacher, moved, temperature=0.5)[0]) / 2e-2 == pytest.approx(slope[i, j], abs=2e-3)
    assert np.allclose(listnet(teacher, teacher + 3, temperature=0.5)[1], 0, atol=1e-6)
    assert np.allclose(softmax(1000 * teacher).sum(axis=1), 1)


def test_adam_goes_down_hill_as_its_paper_says():
    x = {"a": np.array([1.0, -2.0], np.float32)}
    adam = Adam(x, {"a": 0.1})
    adam.step({"a": np.array([3.0, -0.01], np.float32)})
    assert x["a"] == pytest.approx([0.9, -1.9], abs=1e-4)  # the first step is the rate, whatever the gradient
    for _ in range(300):
        adam.step({"a": 2 * x["a"]})
    assert np.abs(x["a"]).max() < 0.05


def test_a_kernel_is_compiled_when_that_has_paid_for_itself():
    pytest.importorskip("numba")
    built = []
    kernel = Kernel(lambda: built.append(1) or (lambda: None))
    kernel.spend(0.1)
    assert (kernel.compiled, built) == (None, [])
    kernel.spend(60.0)
    assert (kernel.compile_now(), built) == ("numba", [1])
    kernel.spend(60.0)
    kernel.forked()
    assert built == [1]


def test_without_numba_a_kernel_stays_plain(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    kernel = Kernel(lambda: pytest.fail("built"))
    assert (kernel.compile_now(), kernel.compiled) == ("numpy", None)


def test_principal_directions_are_those_of_the_variance():
    x = normal(400, 3) * np.array([3, 1, 0.1], np.float32)
    directions, variance = affine.principal(x, np.zeros(3, np.float32))
    assert np.allclose(np.abs(np.diag(directions)), 1, atol=0.05)
    assert np.allclose(variance, np.square(x @ directions).mean(axis=0), rtol=1e-3)
    assert affine.normalised(np.zeros((1, 3), np.float32)).tolist() == [[0, 0, 0]]
    y = affine.AffineMap(directions, x.mean(axis=0)).transform(x)
    assert np.allclose(np.linalg.norm(y, axis=1), 1, atol=1e-6)
