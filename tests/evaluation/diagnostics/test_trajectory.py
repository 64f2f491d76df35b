"""Where texts turn, and whether two models agree (nestvec.evaluation.diagnostics.trajectory)."""

import json

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation.diagnostics import agreement, trajectory
from nestvec.evaluation.diagnostics.trajectory import _matched


def topics(sizes, *, d=32, noise=1.0, seed=0):
    """Vectors of one topic after another."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((len(sizes), d))
    rows = [c + noise * rng.standard_normal((n, d)) for c, n in zip(centres, sizes, strict=True)]
    return np.concatenate(rows).astype(np.float32)


def test_topics_part_where_they_part():
    found = trajectory(topics([20, 15, 25]), name="a")
    assert [one.start for one in found.boundaries] == [20, 35]
    assert found.segments == ((0, 20), (20, 35), (35, 60))
    assert all(1 / 200 <= one.p <= 0.05 for one in found.boundaries)
    assert found.boundaries[0].novelty == pytest.approx(found.novelty[19])
    assert found.similarity.shape == (60, 60)
    assert json.loads(json.dumps(found.to_json()))["boundaries"][1]["start"] == 35


def test_texts_without_an_order_turn_as_rarely_as_promised():
    rng = np.random.default_rng(0)
    named = sum(
        bool(trajectory(rng.standard_normal((40, 16)).astype(np.float32), shuffles=39, seed=i).boundaries)
        for i in range(200)
    )
    assert named <= 20  # 5 % are expected, and 10 % seen once in a thousand runs


def test_a_slow_drift_is_no_turn():
    angle = np.linspace(0, np.pi / 2, 80)
    x = np.stack([np.cos(angle), np.sin(angle)], axis=1) + 0.01 * np.random.default_rng(0).standard_normal((80, 2))
    assert not trajectory(x.astype(np.float32)).boundaries


def test_wide_vectors_and_their_rotation_say_the_same():
    x = topics([12, 12], d=100)
    turned = x @ np.linalg.qr(np.random.default_rng(1).standard_normal((100, 100)))[0].astype(np.float32)
    a, b = trajectory(x), trajectory(turned)
    np.testing.assert_allclose(a.surprise, b.surprise, atol=1e-4)
    assert [one.start for one in a.boundaries] == [one.start for one in b.boundaries] == [12]


def test_equal_texts_have_no_turn():
    found = trajectory(np.ones((12, 4), np.float32))
    assert not found.boundaries
    assert not found.surprise.any()


def test_a_model_agrees_with_itself_and_less_with_another():
    x = topics([15, 15, 15])
    one, rotated = trajectory(x, name="a"), trajectory(x * 2, name="b")
    same = agreement(one, rotated)
    assert [same[name] for name in ("successive", "matrix", "novelty", "boundaries")] == pytest.approx([1] * 4)
    other = agreement(one, trajectory(topics([15, 15, 15], noise=4.0, seed=5), name="c"))
    assert abs(other["successive"]) < 0.5
    assert other["matrix"] < same["matrix"]
    low, high = other.figures[0].interval
    assert low <= other["successive"] <= high
    assert "0.005" in same.figures[1].note
    assert same.to_json()["first"] == "a"


def test_boundaries_meet_one_to_one():
    x = topics([15, 15, 15])
    late = np.concatenate([x[:15], x[15:16], x[15:]])[:45]  # every turn comes one text later but the first
    found = agreement(trajectory(x), trajectory(late))
    assert found["boundaries"] == 1.0
    nothing = trajectory(np.ones((45, 4), np.float32))
    assert np.isnan(agreement(nothing, nothing)["boundaries"])
    assert np.isnan(agreement(nothing, nothing)["matrix"])
    for mine, theirs, same in (([3, 9], [4, 20], 1), ([3], [2, 4], 1), ([5, 7], [6], 1), ([5], [8], 0), ([], [1], 0)):
        assert _matched(np.array(mine), np.array(theirs)) == same


def test_what_cannot_be_followed_is_said():
    with pytest.raises(InputError, match="4 texts or more, got 3"):
        trajectory(topics([3]))
    with pytest.raises(InputError, match=r"19 for \.95"):
        trajectory(topics([9]), shuffles=5)
    with pytest.raises(InputError, match="got 0"):
        trajectory(topics([9]), width=0)
    with pytest.raises(InputError, match="same texts, got 9 and 8"):
        agreement(trajectory(topics([9])), trajectory(topics([8])))
