"""Commits: nestvec.store.committing, and what a store makes of it."""

import re

import numpy as np
import pytest

from nestvec.core.errors import DiskError, InputError, NotFiniteError, ShapeError
from nestvec.core.record import Place, Record
from nestvec.store import Commit, Disk, Store, verify
from nestvec.store import compact as compaction

ONE = np.ones((1, 4), np.float32)


def ids(store):
    with store.read() as snapshot:
        return [record.id for _, record in snapshot.rows()]


def test_what_a_commit_returns(store, put):
    assert put("a", "b") == Commit(2, 2, 0)
    assert put("b", "c") == Commit(3, 2, 1)
    assert store.commit(remove=["a", "absent", "a"]) == Commit(4, 0, 1)
    assert store.commit() == Commit(5, 0, 0)
    assert ids(store) == ["b", "c"]


def test_a_commit_id_makes_a_retry_safe(store):
    first = store.commit([Record("a", "x")], {"dense": ONE}, commit_id="one")
    assert store.commit([Record("a", "x")], {"dense": ONE}, commit_id="one") == Commit(2, 1, 0, repeated=True)
    assert first == Commit(2, 1, 0)
    assert store.commit([Record("b", "x")], {"dense": ONE}, commit_id="two").version == 3
    store.compact()
    store.close()
    with Store.open(store.path, write=True) as again:
        assert again.commit([Record("c", "x")], {"dense": ONE}, commit_id="one").repeated
        assert ids(again) == ["a", "b"]


def test_of_two_with_one_id_the_later_wins(store):
    records = [Record("a", "1"), Record("b", "2"), Record("a", "3")]
    result = store.commit(records, {"dense": np.arange(12, dtype=np.float32).reshape(3, 4)})
    assert result == Commit(2, 2, 0)
    with store.read() as snapshot:
        found = snapshot.find(["a", "b"])
        assert [r.text for r in snapshot.get(["a", "b"])] == ["3", "2"]
        got = snapshot.vectors("dense", np.array([found["a"], found["b"]]))
    np.testing.assert_array_equal(got[:, 0], [8, 4])


def test_what_is_removed_and_added_in_one_commit_is_there(store, put):
    put("a")
    assert store.commit([Record("a", "new")], {"dense": ONE}, remove=["a"]) == Commit(3, 1, 1)
    with store.read() as snapshot:
        assert snapshot.get(["a"])[0].text == "new"


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ({}, InputError, "must bring the arrays ['dense'], got []"),
        ({"other": ONE}, InputError, "got ['other']"),
        ({"dense": ONE, "other": ONE}, InputError, "got ['dense', 'other']"),
        ({"dense": np.ones((2, 4))}, ShapeError, "one row per record, got 2 rows for 1 records"),
        ({"dense": np.ones((1, 3))}, ShapeError, "must have d=4, got shape (1, 3)"),
        ({"dense": np.ones(4)}, ShapeError, "For one vector pass dense[None, :]"),
        ({"dense": ONE * np.nan}, NotFiniteError, "must be finite, got 1 of 1 rows"),
        ({"dense": np.full((1, 4), 1e300)}, NotFiniteError, "must be finite"),
        ({"dense": [["x", "y", "z", "w"]]}, InputError, "must be an [n, d] array of numbers"),
    ],
)
def test_arrays_that_do_not_fit_change_nothing(store, put, arrays, error, message):
    put("a")
    with pytest.raises(error, match=re.escape(message)):
        store.commit([Record("b", "x")], arrays)
    assert ids(store) == ["a"]
    assert store.writer.sweep() == 0
    assert put("b").version == 3


@pytest.mark.parametrize(
    "record",
    [
        Record("b\ud800", "x"),
        Record("b", "x\ud800"),
        Record("b", "x", title="\ud800"),
        Record("b", "x", {"k": "\ud800"}),
        Record("b", "x", {"k\ud800": 1}),
        Record("b", "x", {"k": float("nan")}),
        Record("b", "x", {"k": [float("inf")]}),
        Record("b", "x", {"k": 2**63}),
        Record("b", "x", {"k": {"l": [-(2**63) - 1]}}),
        Record("b", "x", {"k": 10**5000}),
        Record("b", "x", {"k": [{1: 2}]}),
        Record("b", "x", {"k": [[{None: 2}]]}),
        Record("b", "x", {"k": [{1, 2}]}),
        Record("b", "x", {"k": [b"bytes"]}),
        Record("b", "x", {"k": [np.float32(1)]}),
        Record("b", "x", place=Place("p\ud800", 0, 1)),
        Record("b", "x", place=Place("p", 0, 1, ("\ud800",))),
    ],
)
def test_records_that_cannot_be_kept_change_nothing(store, put, record):
    put("a")
    with pytest.raises(InputError):
        store.commit([Record("fine", "x"), record], {"dense": np.ones((2, 4))})
    assert ids(store) == ["a"]
    assert store.writer.sweep() == 0
    assert verify(store.path).ok


def test_metadata_that_is_too_deep_is_refused(store):
    deep = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError):
        store.commit([Record("a", "x", {"k": deep})], {"dense": ONE})


def test_a_record_may_not_be_larger_than_a_row(store, monkeypatch):
    monkeypatch.setattr("nestvec.store.schema.MAX_ROW_BYTES", 1000)
    with pytest.raises(InputError, match="at most 1000 bytes, got 1001 in 'a'; split it"):
        store.commit([Record("a", "x" * 998, {})], {"dense": ONE})
    store.commit([Record("a", "x" * 997, {})], {"dense": ONE})


def test_ids_that_no_record_can_have_are_no_error_to_remove(store, put):
    put("a")
    assert store.commit(remove=["\ud800", "", "a\0"]).removed == 0


def test_a_commit_id_must_be_unicode(store, put):
    with pytest.raises(InputError):
        store.commit(commit_id="\ud800")
    put("a")


def test_tuples_come_back_as_lists_and_booleans_as_booleans(store):
    store.commit([Record("a", "x", {"t": [(1, (2,))], "b": True, "n": 1})], {"dense": ONE})
    with store.read() as snapshot:
        metadata = snapshot.get(["a"])[0].metadata
    assert metadata == {"t": [[1, [2]]], "b": True, "n": 1}
    assert metadata["b"] is True


def test_the_caller_keeps_its_arrays_and_any_order_of_memory_will_do(store):
    values = np.asfortranarray(np.arange(8, dtype=np.float64).reshape(2, 4))
    values.setflags(write=False)
    store.commit([Record("a", "x"), Record("b", "x")], {"dense": values})
    store.commit([Record("c", "x")], {"dense": [[1, 2, 3, 4]]})
    with store.read() as snapshot:
        got = snapshot.vectors("dense", np.array([1, 2, 3]))
    np.testing.assert_array_equal(got, [*values, [1, 2, 3, 4]])


def test_several_arrays_and_none(tmp_path):
    with Store.create(tmp_path / "two", settings={"arrays": {"a": 2, "b": 3}}) as store:
        store.commit([Record("x", "x")], {"a": np.ones((1, 2)), "b": np.zeros((1, 3))})
        with store.read() as snapshot:
            assert snapshot.vectors("a", np.array([1])).tolist() == [[1, 1]]
            assert snapshot.vectors("b", np.array([1])).tolist() == [[0, 0, 0]]
    with Store.create(tmp_path / "none", settings={"arrays": {}}) as store:
        store.commit([Record("x", "x")])
        assert ids(store) == ["x"]
        store.compact()
        assert verify(store.path).ok


def test_many_small_commits_do_not_leave_many_files(store, put):
    for i in range(100):
        put(f"id{i}", start=i)
        if i % 3 == 0:
            store.commit(remove=[f"id{i - 1}"])
    assert len(list((store.path / "segments").iterdir())) <= 34
    with store.read() as snapshot:
        live = [record.id for _, record in snapshot.rows()]
        found = snapshot.find(live)
        got = snapshot.vectors("dense", np.array([found[id_] for id_ in live]))[:, 0]
    assert got.tolist() == [float(id_[2:]) for id_ in live]
    with Store.open(store.path, version=60) as old, old.read() as snapshot:  # merging gives no version up
        rids = np.array([rid for rid, _ in snapshot.rows()])
        want = [float(record.id[2:]) for _, record in snapshot.rows()]
        assert snapshot.vectors("dense", rids)[:, 0].tolist() == want
    assert verify(store.path).ok


def test_a_merge_that_fails_does_not_fail_the_commit_that_set_it_off(path, put, store, monkeypatch):
    class NoMerge(Disk):
        full = False
        created = 0

        def point(self, name):
            self.created += name.startswith("create")
            if self.full and self.created > 1:
                raise OSError(28, "No space left on device")

    monkeypatch.setattr(compaction, "_MERGE_AT", 3)
    put("a")
    put("b")
    store.disk = store.writer.disk = NoMerge()
    store.disk.full = True
    assert put("c").version == 4  # durable, whatever became of the merge
    store.disk.created = 0
    assert put("d").version == 5
    store.disk.full = False
    put("e")
    assert len(list((path / "segments").iterdir())) < 5
    assert ids(store) == ["a", "b", "c", "d", "e"]


def test_a_failure_leaves_nothing_behind_and_says_what(path, store, put):
    class Full(Disk):
        def point(self, name):
            if name == "commit":
                raise OSError(28, "No space left on device")

    put("a")
    store.disk = store.writer.disk = Full()
    with pytest.raises(DiskError, match="the disk is full; free some space and try again"):
        put("b")
    store.disk = store.writer.disk = Disk()
    assert ids(store) == ["a"]
    assert put("b").version == 3
