"""Codecs with codewords: each is better than the one it builds on, and gradients are what they should be."""

import numpy as np
import pytest

from nestvec.codecs.distill_vq import DistillVQ, loss_and_gradient
from nestvec.codecs.lr2vq import LR2VQ
from nestvec.codecs.opq import OPQ
from nestvec.codecs.pq import PQ
from nestvec.core.errors import InputError
from nestvec.kernels import product
from nestvec.kernels.listwise import listnet


@pytest.fixture(scope="module")
def clustered():
    """2,000 unit vectors of 24 unlike dimensions, and 200 more like them."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((24, 24)))[0]
    spread = np.geomspace(1, 0.05, 24)
    x = (
        rng.standard_normal((40, 24))[rng.integers(0, 40, 2200)] * spread
        + 0.7 * rng.standard_normal((2200, 24)) * spread
    )
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)) @ turn
    return x[:2000].astype(np.float32), x[2000:].astype(np.float32)


def error(codec, x):
    return float(np.square(codec.decode(codec.encode(x)) - x).sum())


def test_opq_is_better_than_pq_at_equal_bytes(clustered):
    x, more = clustered
    settings = {"parts": 4, "bits": 4}
    assert error(OPQ.fit(x, **settings), more) < 0.85 * error(PQ.fit(x, **settings), more)


def test_lr2vq_is_better_than_pq_at_equal_bytes_and_chooses_its_rank(clustered):
    x, more = clustered
    low = LR2VQ.fit(x, parts=4, bits=4)
    assert error(low, more) < 0.85 * error(PQ.fit(x, parts=4, bits=4), more)
    assert low.forth.shape[1] in (6, 12, 18, 24)
    assert LR2VQ.fit(x, parts=4, bits=4, rank=8).back.shape == (8, 24)
    with pytest.raises(InputError, match="rank must be from parts=4 to d=24, got 3"):
        LR2VQ.fit(x, parts=4, bits=4, rank=3)


def test_two_numbers_share_a_byte_with_four_bits(clustered):
    x, _ = clustered
    assert PQ.fit(x, parts=5, bits=4).bytes_per_vector == 3
    assert PQ.fit(x, parts=5, bits=8).bytes_per_vector == 5


def test_the_gradient_of_distillation_is_that_of_its_loss():
    rng = np.random.default_rng(0)
    books = rng.standard_normal((3, 16, 2)).astype(np.float32)
    queries = rng.standard_normal((4, 6)).astype(np.float32)
    numbers = rng.integers(0, 16, (4, 10, 3)).astype(np.uint8)
    teacher = rng.standard_normal((4, 10)).astype(np.float32)
    _, gradient = loss_and_gradient(queries, numbers, teacher, books, temperature=1.0)
    for at in [(0, 3, 1), (1, 7, 0), (2, 15, 1), (0, int(numbers[0, 0, 0]), 0)]:
        ends = []
        for move in (1e-2, -1e-2):
            moved = books.copy()
            moved[at] += move
            ends.append(loss_and_gradient(queries, numbers, teacher, moved, temperature=1.0)[0])
        assert (ends[0] - ends[1]) / 2e-2 == pytest.approx(float(gradient[at]), abs=1e-3)


def test_distilled_codewords_rank_more_like_the_vectors(clustered):
    x, queries = clustered
    lists = np.argsort(-(queries @ x.T), axis=1)[:, :100]
    teacher = np.take_along_axis(queries @ x.T, lists, axis=1)

    def loss(codec):
        student = np.take_along_axis(codec.scores(queries, codec.encode(x)), lists, axis=1)
        return listnet(teacher, student, temperature=0.1)[0]

    settings = {"parts": 4, "bits": 4, "temperature": 0.1}
    plain, trained = (DistillVQ.fit(x, steps=steps, **settings) for steps in (0, 60))
    assert np.array_equal(plain.codebooks, OPQ.fit(x, parts=4, bits=4).codebooks)
    entropy = listnet(teacher, teacher, temperature=0.1)[0]
    assert loss(trained) - entropy < 0.95 * (loss(plain) - entropy)
    asked = DistillVQ.fit(x, queries=queries, steps=60, **settings)
    assert loss(asked) - entropy < 0.95 * (loss(plain) - entropy)


def test_settings_out_of_range_are_refused(clustered):
    x, _ = clustered
    with pytest.raises(InputError, match="steps must be"):
        DistillVQ.fit(x, parts=4, bits=4, steps=-1)
    with pytest.raises(InputError, match="codebooks must be"):
        PQ(np.zeros((4, 16, 5), np.float32), 24)
    assert product.width(5, 16) == 3
