"""A collection and a dictionary, treated the same at random, must stay the same."""

import os
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from nestvec.core.errors import NotFoundError, VersionError
from nestvec.core.filters import matches, parse_filter
from nestvec.core.record import Record
from nestvec.store import Store, verify
from nestvec.store import compact as compaction

IDS = st.sampled_from([f"id{i}" for i in range(8)] + ["ä", " ", "'"])
METADATA = st.dictionaries(
    st.sampled_from(["a", "b"]), st.none() | st.booleans() | st.integers(0, 3) | st.lists(st.integers(0, 3), max_size=2)
)
ROW = st.tuples(IDS, st.text(max_size=8) | st.just("long " * 60), METADATA, st.integers(-1000, 1000))
FILTER = st.sampled_from([{"a": 1}, {"a": {"$gt": 0}}, {"b": {"$ne": 2}}, {"a": {"$exists": True}, "b": None}, {}])


def as_vector(number):
    return np.array([number, number / 7, -number, 1], np.float32)


class Collection(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        memory = Path("/dev/shm")  # hundreds of collections, none of which has to survive a power cut
        self.folder = Path(tempfile.mkdtemp(dir=memory if os.access(memory, os.W_OK) else None))
        self.path = self.folder / "c"
        self.store = None
        self.model = {}
        self.history = {1: {}}
        self.oldest = 1
        self.ids = 0
        self.merge_at, compaction._MERGE_AT = compaction._MERGE_AT, 4

    @initialize()
    def create(self):
        self.store = Store.create(self.path, settings={"arrays": {"dense": 4}})

    def teardown(self):
        compaction._MERGE_AT = self.merge_at
        if self.store is not None:
            self.store.close()
            assert verify(self.path).ok, verify(self.path).problems
        shutil.rmtree(self.folder)

    def committed(self, result, version_before):
        assert result.version == version_before + 1
        self.history[result.version] = dict(self.model)

    @rule(rows=st.lists(ROW, max_size=6), remove=st.lists(IDS, max_size=3), again=st.booleans())
    def commit(self, rows, remove, again):
        records = [Record(id_, text, metadata) for id_, text, metadata, _ in rows]
        arrays = {"dense": np.array([as_vector(n) for *_, n in rows], np.float32).reshape(-1, 4)}
        before = max(self.history)
        self.ids += 1
        name = f"commit {self.ids}"
        result = self.store.commit(records, arrays, remove=remove, commit_id=name)
        new = {id_: (text, metadata, n) for id_, text, metadata, n in rows}
        gone = self.model.keys() & (set(remove) | new.keys())
        self.model = {id_: row for id_, row in self.model.items() if id_ not in gone} | new
        assert (result.added, result.removed, result.repeated) == (len(new), len(gone), False)
        self.committed(result, before)
        if again:
            twice = self.store.commit(records, arrays, remove=remove, commit_id=name)
            assert twice.repeated
            assert (twice.version, twice.added, twice.removed) == (result.version, result.added, result.removed)

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete(self, data):
        id_ = data.draw(st.sampled_from(sorted(self.model)))
        before = max(self.history)
        result = self.store.commit(remove=[id_])
        del self.model[id_]
        assert result.removed == 1
        self.committed(result, before)

    @rule()
    def compact(self):
        before = max(self.history)
        result = self.store.compact()
        self.committed(result, before)
        self.oldest = result.version

    @rule(write=st.booleans())
    def restart(self, write):
        self.store.close()
        if not write:
            with Store.open(self.path) as reader, reader.read() as snapshot:
                self.same(snapshot, self.model)
        self.store = Store.open(self.path, write=True)

    @rule(data=st.data())
    def open_an_older_version(self, data):
        version = data.draw(st.sampled_from(sorted(self.history)))
        if version < self.oldest:
            with pytest.raises(VersionError, match=f"got {version}"):
                Store.open(self.path, version=version)
            return
        with Store.open(self.path, version=version) as old, old.read() as snapshot:
            assert snapshot.version == version
            self.same(snapshot, self.history[version])

    @rule(id_=IDS)
    def get(self, id_):
        with self.store.read() as snapshot:
            if id_ in self.model:
                (record,) = snapshot.get([id_])
                assert (record.id, record.text, record.metadata) == (id_, *self.model[id_][:2])
            else:
                with pytest.raises(NotFoundError):
                    snapshot.get([id_])

    @rule(where=FILTER)
    def select(self, where):
        parsed = parse_filter(where)
        with self.store.read() as snapshot:
            found = {record.id for record in snapshot.records(snapshot.select(parsed))}
        assert found == {id_ for id_, (_, metadata, _) in self.model.items() if matches(parsed, metadata)}

    @rule()
    def quick_verify(self):
        assert verify(self.path, quick=True).ok

    @invariant()
    def holds_the_same(self):
        if self.store is not None:
            with self.store.read() as snapshot:
                self.same(snapshot, self.model)
            assert [v.version for v in self.store.versions()] == [v for v in sorted(self.history) if v >= self.oldest]

    @staticmethod
    def same(snapshot, model):
        rows = list(snapshot.rows())
        assert len(rows) == len(snapshot) == len(model)
        assert {r.id: (r.text, r.metadata) for _, r in rows} == {id_: row[:2] for id_, row in model.items()}
        rids = np.array([rid for rid, _ in rows], np.int64)
        assert snapshot.find(model) == {r.id: rid for rid, r in rows}
        if rows:
            want = np.stack([as_vector(model[r.id][2]) for _, r in rows])
            np.testing.assert_array_equal(snapshot.vectors("dense", rids), want)
        held = [segment.rows for segment in snapshot.segments("dense")]
        assert all((np.diff(rows_) > 0).all() for rows_ in held)
        np.testing.assert_array_equal(np.setdiff1d(np.concatenate([rids[:0], *held]), snapshot.state.dead), rids)


def test_a_collection_is_a_dictionary():
    short = settings(max_examples=40, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Collection, settings=short)


@pytest.mark.slow
def test_a_collection_is_a_dictionary_for_long():
    long = settings(max_examples=150, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Collection, settings=long)
