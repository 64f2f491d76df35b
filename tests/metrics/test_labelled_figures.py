"""Neural collapse and ICNN."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError
from nestvec.metrics.collapse import collapse
from nestvec.metrics.icnn import icnn


def simplex(classes=4, each=6, noise=0.0, seed=0):
    """Points at the corners of a regular simplex, off the origin, with noise."""
    rng = np.random.default_rng(seed)
    corners = np.eye(classes) + 3
    x = np.repeat(corners, each, axis=0) + noise * rng.standard_normal((classes * each, classes))
    return x.astype(np.float32), np.repeat(np.arange(classes), each)


def test_full_collapse_is_all_zeros():
    x, labels = simplex()
    weights = np.eye(4) - 0.25
    found = collapse(x, labels, weights=weights)
    assert (found.nc1, found.cdnv, found.nc2_norm, found.nc2_angle, found.gnc2, found.nc3) == pytest.approx(
        [0] * 6, abs=1e-6
    )
    assert found.nc4 == 1


def test_figures_follow_their_definitions():
    x, labels = simplex(3, 50, noise=0.6)
    found = collapse(x, labels)
    x = x.astype(np.float64)
    means = np.stack([x[labels == i].mean(axis=0) for i in range(3)])
    centred = means - x.mean(axis=0)
    within = sum(np.cov(x[labels == i].T, ddof=0) for i in range(3)) / 3
    between = centred.T @ centred / 3
    assert found.nc1 == pytest.approx(np.trace(np.linalg.pinv(between) @ within) / 3, rel=1e-4)
    v = [((x[labels == i] - means[i]) ** 2).sum(axis=1).mean() for i in range(3)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert found.cdnv == pytest.approx(
        np.mean([(v[i] + v[j]) / 2 / ((means[i] - means[j]) ** 2).sum() for i, j in pairs]), rel=1e-4
    )
    size = np.linalg.norm(centred, axis=1)
    assert found.nc2_norm == pytest.approx(size.std() / size.mean(), rel=1e-4)
    cosines = [centred[i] @ centred[j] / size[i] / size[j] for i, j in pairs]
    assert found.nc2_angle == pytest.approx(np.mean(np.abs(np.array(cosines) + 0.5)), rel=1e-3)
    nearest = ((x[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert found.nc4 == pytest.approx((nearest == labels).mean())
    assert np.isnan(found.nc3)


def test_noise_takes_collapse_away_and_names_do_not_matter():
    tight, loose = (collapse(*simplex(noise=s)) for s in (0.05, 0.5))
    assert tight.nc1 < loose.nc1
    assert tight.cdnv < loose.cdnv
    x, labels = simplex(noise=0.3)
    order = np.random.default_rng(0).permutation(len(x))
    named = np.array(["d", "a", "c", "b"])[labels]
    assert collapse(x[order], named[order]).nc1 == pytest.approx(collapse(x, labels).nc1, rel=1e-6)


def test_blocks_do_not_show():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20_000, 3)).astype(np.float32)
    labels = rng.integers(0, 2, 20_000)
    x[labels == 1] += 2
    found = collapse(x, labels)
    means = np.stack([x[labels == i].mean(axis=0) for i in (0, 1)])
    variances = [x[labels == i].var(axis=0).sum() for i in (0, 1)]
    assert found.cdnv == pytest.approx(np.mean(variances) / ((means[0] - means[1]) ** 2).sum(), rel=1e-4)


def test_equal_means_are_infinitely_far_from_collapse():
    x = np.array([[1, 0], [-1, 0], [0, 1], [0, -1], [5, 5], [6, 5]], np.float32)
    found = collapse(x, [0, 0, 1, 1, 2, 2])
    assert found.cdnv == np.inf
    assert found.gnc2 == np.inf
    # all means at one place have no directions to compare
    assert np.isnan(collapse(x[:4], [0, 0, 1, 1]).gnc2)


@pytest.mark.parametrize(
    ("labels", "weights", "error"),
    [([0, 0, 0], None, InputError), ([0, 1], None, ShapeError), ([0, 1, 1], [[1.0, 0, 0]], ShapeError)],
)
def test_what_cannot_be_measured_is_refused(labels, weights, error):
    with pytest.raises(error, match="must"):
        collapse(np.eye(3), labels, weights=weights)


def test_icnn_of_classes_apart_and_mixed():
    apart, labels = simplex(3, 20, noise=0.01)
    mixed = np.random.default_rng(0).permutation(labels)
    assert icnn(apart, labels) > 0.8
    assert icnn(apart, mixed) < 0.65
    assert icnn(apart, np.zeros(60)) == pytest.approx(icnn(apart, ["x"] * 60))
    with pytest.raises(ShapeError, match="more than k"):
        icnn(apart[:7], labels[:7])
    with pytest.raises(InputError, match="k must"):
        icnn(apart, labels, k=0)


def test_icnn_by_hand():
    """On a line at 0, 1 and 3, with the two nearest of each: worked out on paper."""
    value = icnn([[0.0], [1.0], [3.0]], ["a", "a", "b"], k=2)
    # 0: 1 (own, r 0), 3 (other, r 1): l = sqrt(2/2); g = sqrt(1/2); the same for 1; 3: 1 (other, 0), 0 (other, 1): l =
    # sqrt(1/2), g = 0
    near, share = (1 + 1 + np.sqrt(0.5)) / 3, (np.sqrt(0.5) * 2) / 3
    assert value == pytest.approx((near + share) / 2)
