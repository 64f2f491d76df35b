"""Bits flip, files are cut short, disks refuse: the answer is right, or an error, and `verify` sees all of it."""

import errno

import pytest

from benchmarks._faults import drive


@pytest.mark.parametrize(
    ("count", "seed"), [(1_000, 0), pytest.param(5_000, 1, marks=pytest.mark.slow)], ids=["fast", "long"]
)
def test_no_flipped_bit_and_no_lost_block_goes_unnoticed_or_changes_an_answer(tmp_path, count, seed):
    counts = drive("flips", tmp_path, count=count, truncated=100, zeroed=110, seed=seed)
    assert counts["flips"] == count
    assert counts["truncated"] == 100
    assert counts["zeroed"] >= 80  # a block of zeros that was one before is no damage
    assert counts["undetected"] == 0
    assert counts["silent_wrong"] == 0
    assert counts["refused"] > counts["unharmed"]


def test_no_damage_to_several_codes_a_row_goes_unnoticed_or_changes_an_answer(tmp_path):
    counts = drive("flips", tmp_path, count=100, truncated=10, zeroed=10, several=True)
    assert counts["flips"] == 100
    assert counts["undetected"] == counts["silent_wrong"] == 0
    assert counts["refused"] > counts["unharmed"]


def test_no_damage_to_any_band_goes_unnoticed_or_changes_an_answer(tmp_path):
    counts = drive("flips", tmp_path, count=200, truncated=20, zeroed=20, bands=True)
    assert counts["flips"] == 200
    assert counts["undetected"] == counts["silent_wrong"] == 0
    assert counts["refused"] > counts["unharmed"]


@pytest.mark.parametrize("count", [100, pytest.param(2_000, marks=pytest.mark.slow)])
def test_a_flipped_bit_in_the_log_of_a_killed_writer_is_noticed_or_harmless(tmp_path, count):
    counts = drive("log_flips", tmp_path, count=count)
    assert counts["flips"] == count
    assert counts["silent_wrong"] == 0
    assert counts["refused"] > 0


def test_a_disk_that_refuses_any_one_step_changes_nothing_or_everything(tmp_path):
    counts = drive("refusals", tmp_path)
    assert min(counts.values()) >= 5
    assert sum(counts.values()) >= 80


@pytest.mark.slow
def test_a_disk_that_refuses_any_one_step_in_any_way(tmp_path):
    codes = [errno.ENOSPC, errno.EIO, errno.EACCES, errno.EMFILE, errno.EROFS, errno.EDQUOT]
    assert sum(drive("refusals", tmp_path, errors=codes, rotate=False).values()) >= 480


def test_a_full_disk_is_said_and_survived(tmp_path):
    counts = drive("full", tmp_path)
    assert counts["refused"] >= 20


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_readers_see_only_states_that_there_were_in_order(tmp_path, seconds):
    counts = drive("readers", tmp_path, seconds=seconds)
    assert counts["batches"] > 10
    assert counts["snapshots"] > 30
