"""Bounds that hold for all finalists at once: nestvec.planner.bounds."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError
from nestvec.planner.bounds import queries_needed, simultaneous
from tests.planner.conftest import simulated


def test_shares_and_means_are_what_they_are_called():
    scores = simulated([1.0, 0.9, 0.7], 200, rng=np.random.default_rng(1))
    kept = simultaneous(scores, scores[0])
    np.testing.assert_allclose(kept.share, scores.mean(axis=1) / scores[0].mean())
    np.testing.assert_allclose(kept.mean, scores.mean(axis=1))
    assert (kept.low <= kept.share).all()
    assert ((kept.mean_low < kept.mean) & (kept.mean < kept.mean_high)).all()


def test_where_nothing_was_lost_a_loss_may_have_been_missed():
    """A rule of three: 1.35 losses of half a query's score, and 1.645 times their spread."""
    full = np.random.default_rng(0).random(50)
    kept = simultaneous(np.stack([full, full]), full)
    w = 1.6449**2 / 2
    np.testing.assert_allclose(kept.low, 1 - 0.5 * (w + 1.6449 * np.sqrt(w)) / 50, atol=1e-4)


def test_more_candidates_widen_the_bounds_and_more_queries_narrow_them():
    rng = np.random.default_rng(2)
    full, *many = simulated([1.0] + [0.9] * 12, 400, rng=rng)
    alone, among = simultaneous(np.stack(many[:1]), full), simultaneous(np.stack(many), full)
    assert among.low[0] < alone.low[0]
    few = simultaneous(np.stack(many)[:, :100], full[:100])
    assert (few.share - few.low).mean() > 1.5 * (among.share - among.low).mean()


def test_all_lower_bounds_are_true_at_once_nearly_as_often_as_promised():
    truth, broken, trials = np.linspace(0.8, 0.99, 10), 0, 80
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        scores = simulated([1.0, *truth], 150, rng=rng)
        kept = simultaneous(scores[1:], scores[0], confidence=0.9, seed=trial)
        broken += bool((kept.low > truth).any())
    assert broken <= 0.1 * trials + 3 * np.sqrt(0.09 * trials)  # three standard errors of a share of .1


def test_the_interval_of_new_queries_holds_as_often_as_promised():
    inside, trials = 0, 80
    for trial in range(trials):
        rng = np.random.default_rng(trial)
        scores = simulated([1.0, 0.9], 240, rng=rng)
        kept = simultaneous(scores[:, :120], scores[0, :120], fresh=120, seed=trial)
        fresh = scores[1, 120:].mean()
        inside += bool(kept.mean_low[1] <= fresh <= kept.mean_high[1])
    assert inside >= 0.9 * trials


def test_how_many_queries_are_needed():
    rng = np.random.default_rng(5)
    scores = simulated([1.0, 0.97], 100, rng=rng)
    kept = simultaneous(scores, scores[0])
    keep = float(kept.share[1]) - 0.01
    needed = queries_needed(kept, 1, keep=keep)
    assert needed is not None
    again = simultaneous(np.tile(scores, needed // 100 + 1), np.tile(scores[0], needed // 100 + 1))
    assert again.low[1] >= keep  # as many as that do show it, where nothing else changes
    assert again.low[1] - keep < 0.006  # and not far more than that are asked for
    assert queries_needed(kept, 1, keep=float(kept.share[1]) + 0.01) is None


@pytest.mark.parametrize(
    ("scores", "full", "confidence", "error"),
    [
        (np.ones((2, 3)), np.ones(4), 0.95, ShapeError),
        (np.ones((2, 1)), np.ones(1), 0.95, ShapeError),
        (np.zeros((2, 5)), np.zeros(5), 0.95, InputError),
        (np.ones((2, 5)), np.ones(5), 1.0, InputError),
    ],
)
def test_what_cannot_be_judged(scores, full, confidence, error):
    with pytest.raises(error):
        simultaneous(scores, full, confidence=confidence)
