"""Spectrum and uniformity against their definitions, and against known clouds."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError
from nestvec.metrics.spectrum import Spectrum, average_cosine, isoscore, participation_ratio, rankme, stable_rank
from nestvec.metrics.uniformity import alignment, uniformity


def cloud(n=3000, d=12, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal((n, d)) * np.linspace(0.1, 2, d) + rng.uniform(-1, 1, d)).astype(np.float32)


def test_figures_follow_their_definitions():
    x = cloud().astype(np.float64)
    s = np.linalg.svd(x, compute_uv=False)
    p = s / s.sum() + 1e-7
    assert rankme(x) == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-6)
    assert stable_rank(x) == pytest.approx((s**2).sum() / s[0] ** 2, rel=1e-6)
    variances = np.linalg.eigvalsh(np.cov(x.T))
    assert participation_ratio(x) == pytest.approx(variances.sum() ** 2 / (variances**2).sum(), rel=1e-6)


def test_isoscore_is_that_of_the_published_algorithm():
    """Step by step: normalise the variances to length sqrt(d), measure the defect, rescale."""
    x = cloud(500, 7).astype(np.float64)
    d = 7
    variances = np.linalg.eigvalsh(np.cov(x.T))
    scaled = np.sqrt(d) * variances / np.linalg.norm(variances)
    defect = np.linalg.norm(scaled - 1) / np.sqrt(2 * (d - np.sqrt(d)))
    phi = (d - defect**2 * (d - np.sqrt(d))) ** 2 / d**2
    assert isoscore(x) == pytest.approx((d * phi - 1) / (d - 1), rel=1e-6)


def test_average_cosine_is_that_over_all_pairs():
    x = cloud(200, 5)
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    both = u @ u.T
    assert average_cosine(x) == pytest.approx((both.sum() - 200) / (200 * 199), abs=1e-5)
    assert average_cosine(np.vstack([x, np.zeros((3, 5))])) == pytest.approx(average_cosine(x), abs=1e-6)
    assert np.isnan(average_cosine(x[:1]))


def test_known_clouds():
    rng = np.random.default_rng(0)
    ball = rng.standard_normal((20_000, 16)).astype(np.float32)
    assert rankme(ball) == pytest.approx(16, rel=0.01)
    assert isoscore(ball) == pytest.approx(1, abs=0.01)
    assert average_cosine(ball) == pytest.approx(0, abs=0.01)
    line = np.outer(rng.standard_normal(100), np.ones(16)).astype(np.float32)
    assert rankme(line) == pytest.approx(1, abs=0.01)
    assert isoscore(line) == pytest.approx(0, abs=1e-6)
    assert (rankme(np.zeros((5, 4))), participation_ratio(np.ones((5, 4))), stable_rank(np.zeros((5, 4)))) == (0, 0, 0)
    with pytest.raises(ShapeError, match="at least"):
        Spectrum.of(np.zeros((0, 4), np.float32))


def test_blocks_do_not_show_and_dead_dimensions_are_counted():
    x = cloud(20_000, 6)
    x[:, 2], x[:, 4] = 0.5, 0
    found = Spectrum.of(x)
    assert found.dead == 2
    assert np.allclose(
        found.variances, np.sort(np.linalg.eigvalsh(np.cov(x.T.astype(np.float64), ddof=0)))[::-1], atol=1e-6
    )


def test_uniformity_is_that_over_all_pairs_and_the_draw_comes_near():
    x = cloud(300, 5)
    u = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float64)
    first, second = np.triu_indices(300, 1)
    truth = np.log(np.exp(-2 * ((u[first] - u[second]) ** 2).sum(axis=1)).mean())
    assert uniformity(x) == pytest.approx(truth, abs=1e-5)
    assert uniformity(x, pairs=20_000, seed=1) == pytest.approx(truth, abs=0.05)
    assert uniformity(x, pairs=20_000, seed=1) != uniformity(x, pairs=20_000, seed=2)
    assert uniformity(np.ones((4, 3))) == pytest.approx(0, abs=1e-6)
    assert np.isnan(uniformity(x[:1]))
    with pytest.raises(InputError, match="above 0"):
        uniformity(x, t=0.0)


def test_alignment_of_equal_orthogonal_and_opposite_pairs():
    a = np.array([[2.0, 0], [1, 0], [1, 0]])
    b = np.array([[5.0, 0], [0, 3], [-1, 0]])
    assert alignment(a, b) == pytest.approx([0, 2, 4])
    with pytest.raises(ShapeError, match="same shape"):
        alignment(a, b[:2])


def test_the_default_model_on_abstracts(data_dir):
    """Figures measured once with another program; three dimensions of this model never move."""
    path = data_dir / "embeddings_minilm" / "scifact.npz"
    if not path.is_file():
        pytest.skip(f"no vectors at {path}")
    x = np.load(path)["doc_emb"].astype(np.float32)
    found = Spectrum.of(x)
    assert found.dead == 3
    s = np.linalg.svd(x.astype(np.float64), compute_uv=False)
    p = s / s.sum() + 1e-7
    assert found.rankme == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-5)
    assert found.isoscore == pytest.approx((found.participation_ratio - 1) / 383)
    # |mean|^2 of unit vectors is the average cosine but for each vector's own
    assert (found.mean**2).sum() == pytest.approx(found.cosine, abs=3e-4)
