"""Features in towers: hidden groups are found, sizes are even, and bytes are those of a count by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.tables.towers import interactions, partition_features, traffic


def grouped(groups, n=400, seed=0):
    """Rows of features that share what is hidden of their group."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n, max(groups) + 1, 6))
    return hidden[:, groups] + 0.7 * rng.normal(size=(n, len(groups), 6))


def test_hidden_groups_become_towers():
    groups = np.random.default_rng(1).permutation(np.repeat(np.arange(3), 4))
    found = partition_features(interactions(grouped(groups)), 3)
    assert {tuple(groups[found == t]) for t in range(3)} == {(g,) * 4 for g in range(3)}
    assert found[0] == 0


@given(st.integers(1, 7), st.integers(0, 100), st.data())
@settings(max_examples=25)
def test_sizes_are_even_and_no_exchange_gains(f, seed, data):
    towers = data.draw(st.integers(1, f))
    like = np.random.default_rng(seed).random((f, f))
    like = like + like.T
    found = partition_features(like, towers, seed=seed)
    sizes = np.bincount(found, minlength=towers)
    assert sizes.max() - sizes.min() <= 1

    def inside(tower):
        return sum(like[a, b] for a, b in itertools.combinations(range(f), 2) if tower[a] == tower[b])

    for a, b in itertools.combinations(range(f), 2):
        other = found.copy()
        other[[a, b]] = found[[b, a]]
        assert inside(other) <= inside(found) + 1e-9
    assert (partition_features(like, towers, seed=seed) == found).all()


def test_likeness_is_the_mean_absolute_cosine():
    rows = grouped(np.array([0, 0, 1]), n=5)
    found = interactions(rows)
    a, b = rows[:, 0], rows[:, 2]
    cosines = (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    assert found[0, 2] == pytest.approx(np.abs(cosines).mean())
    assert (found == found.T).all()
    assert (np.diag(found) == 0).all()
    assert (interactions(np.zeros((2, 3, 4))) == 0).all()


def test_bytes_are_counted():
    found = traffic(features=8, dim=16, towers=2, tower_dim=32, batch=10)
    assert found.flat == 2 * 10 * 8 * 16 * 4 // 2
    assert found.towers == 2 * 10 * 2 * 32 * 4 // 2
    assert found.ratio == 0.5


def test_nonsense_is_refused():
    with pytest.raises(ShapeError):
        interactions(np.ones((3, 3)))
    with pytest.raises(NotFiniteError):
        interactions(np.full((1, 2, 2), np.nan))
    with pytest.raises(ShapeError):
        partition_features(np.ones((2, 3)), 1)
    for like, towers in ((np.ones((3, 3)), 4), (np.ones((3, 3)), 0), (np.triu(np.ones((3, 3))), 2)):
        with pytest.raises(InputError, match="symmetric"):
            partition_features(like, towers)
    with pytest.raises(InputError, match="towers 2"):
        traffic(features=3, dim=4, towers=1, tower_dim=2, batch=1)
