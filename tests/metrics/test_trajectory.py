"""Series of vectors, against the definitions written out (nestvec.metrics.trajectory)."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, NotFiniteError
from nestvec.metrics.trajectory import novelty, self_similarity, successive_similarity


def cloud(n=30, d=6, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def checkerboard(matrix, width):
    """Foote's kernel with a Gaussian taper along the diagonal, cell by cell; ends are weighted by what is there."""
    n = len(matrix)
    found = []
    for i in range(n - 1):
        after = {m: np.exp(-((2 * (m + 0.5) / width) ** 2) / 2) for m in range(width) if i + 1 + m < n}
        before = {m: np.exp(-((2 * (m + 0.5) / width) ** 2) / 2) for m in range(width) if i - m >= 0}
        cells = [(i + 1 + m, g / sum(after.values())) for m, g in after.items()]
        cells += [(i - m, -g / sum(before.values())) for m, g in before.items()]
        found.append(sum(g * h * matrix[a, b] for a, g in cells for b, h in cells))
    return np.array(found)


@pytest.mark.parametrize("width", [1, 2, 5, 40])
def test_novelty_is_the_checkerboard_kernel_on_the_matrix(width):
    x = cloud(17)
    np.testing.assert_allclose(novelty(x, width=width), checkerboard(self_similarity(x), width), atol=1e-5)


def test_similarities_are_cosines():
    x = cloud(9)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    np.testing.assert_allclose(successive_similarity(x * 3), [u[i] @ u[i + 1] for i in range(8)], atol=1e-6)
    np.testing.assert_allclose(self_similarity(x), u @ u.T, atol=1e-6)


def test_a_turn_is_where_novelty_is_highest():
    x = np.repeat(np.eye(2, 5, dtype=np.float32), 10, axis=0)
    found = novelty(x, width=4)
    assert int(found.argmax()) == 9
    assert found[9] == pytest.approx(2)
    assert found[:5].max() == pytest.approx(0, abs=1e-9)


def test_reading_backwards_gives_the_same_joints():
    x = cloud()
    np.testing.assert_allclose(novelty(x[::-1], width=5), novelty(x, width=5)[::-1], atol=1e-9)
    np.testing.assert_allclose(successive_similarity(x[::-1]), successive_similarity(x)[::-1])


def test_few_vectors_zeros_and_bad_input():
    for n in (0, 1):
        assert successive_similarity(cloud(n)).shape == novelty(cloud(n)).shape == (0,)
    assert novelty(cloud(2), width=9).shape == (1,)
    assert np.isfinite(novelty(np.zeros((4, 3), np.float32))).all()
    with pytest.raises(InputError, match="at least 1, got 0"):
        novelty(cloud(), width=0)
    with pytest.raises(NotFiniteError):
        novelty(np.full((3, 2), np.nan, np.float32))
