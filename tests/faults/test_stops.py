"""A writer is stopped, at random and at every step; nothing that was acknowledged may be missing."""

import pytest

from benchmarks._faults import drive


def promise_kept(counts):
    return {name: counts[name] for name in ("unreadable", "lost_acked", "duplicated", "wrong")} == dict.fromkeys(
        ("unreadable", "lost_acked", "duplicated", "wrong"), 0
    )


@pytest.mark.parametrize(("count", "bands"), [(30, False), (10, True)])
def test_kills_lose_nothing_and_double_nothing(tmp_path, count, bands):
    counts = drive("kills", tmp_path, count=count, bands=bands)
    assert counts["kills"] == count
    assert counts["commits"] >= count // 3  # otherwise the writers were killed before they wrote anything
    assert promise_kept(counts), counts


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_five_hundred_kills_lose_nothing_and_double_nothing(tmp_path, seed):
    counts = drive("kills", tmp_path, count=500, seed=seed)
    assert counts["kills"] == 500
    assert counts["commits"] > 500
    assert counts["unknown"] > 0  # some died between the commit and its acknowledgement
    assert promise_kept(counts), counts


@pytest.mark.parametrize("layout", ["rows", "bands", "several"])
def test_dying_at_any_point_of_any_operation_leaves_the_old_or_the_new_state(tmp_path, layout):
    counts = drive("points", tmp_path, **{layout: True} if layout != "rows" else {})
    assert set(counts) == {"create", "add", "replace", "remove", "merge", "compact", "settings", "resize", "derived"}
    assert min(counts.values()) >= 5
    assert sum(counts.values()) >= 80


@pytest.mark.parametrize("layout", ["rows", "bands", pytest.param("several", marks=pytest.mark.slow)])
def test_a_power_cut_at_any_point_keeps_what_was_acknowledged(tmp_path, layout):
    counts = drive("power", tmp_path, **{layout: True} if layout != "rows" else {})
    assert sum(counts.values()) >= 100
