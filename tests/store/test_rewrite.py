"""Settings and vectors replaced together (nestvec.store.rewrite): what may be asked, and what is left behind."""

import json

import numpy as np
import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError, ShapeError
from nestvec.store import Store, verify
from nestvec.store.schema import RESIZED


@pytest.fixture
def filled(tmp_path):
    with Store.create(tmp_path / "c", settings={"arrays": {"dense": 4}, "note": "old"}) as store:
        store.commit([Record(f"r{i}", "text") for i in range(6)], {"dense": np.eye(6, 4)})
        store.commit(remove=["r2"])
        store.put_derived("index", b"of the old vectors", {})
        yield store


def twos(rids):
    return np.repeat(rids[:, None], 2, axis=1).astype(np.float32)


def on_disk(store):
    body = (store.path / "collection.json").read_bytes().rpartition(b"\nxxh3 ")[0]
    return json.loads(body)["settings"]


def test_all_is_new_in_one_version(filled):
    done = filled.rewrite({"arrays": {"dense": 2}, "note": "new"}, {"dense": twos})
    assert (done.what, done.version, done.count) == ("resize", 4, 5)
    with filled.read() as snapshot:
        rids = np.array([rid for rid, _ in snapshot.rows()])
        assert rids.tolist() == [1, 2, 4, 5, 6]  # rows keep their ids, and the dead one is gone
        assert (snapshot.vectors("dense", rids) == twos(rids)).all()
        assert snapshot.state.settings["note"] == "new"
    assert filled.derived_names() == []
    assert filled.settings == on_disk(filled) == {"arrays": {"dense": 2}, "note": "new", "generation": 1}
    assert len(list((filled.path / "segments").iterdir())) == 1
    assert verify(filled.path).ok
    filled.commit([Record("more", "text")], {"dense": np.ones((1, 2))})
    filled.compact()
    assert verify(filled.path).ok


def test_settings_alone_leave_vectors_versions_and_derived_files(filled):
    done = filled.change_settings({"arrays": {"dense": 4}, "note": "new"})
    assert (done.what, done.version) == ("settings", 4)
    assert [v.version for v in filled.versions()] == [1, 2, 3, 4]
    assert filled.get_derived("index")[0] == b"of the old vectors"
    filled.close()
    with Store.open(filled.path) as again:
        assert again.settings["note"] == "new"
    assert verify(filled.path).ok


def test_an_older_nestvec_refuses_it(filled):
    assert filled.writer.db.pragma("user_version") == 1
    filled.change_settings({"arrays": {"dense": 4}, "note": "new"})
    assert filled.writer.db.pragma("user_version") == RESIZED


def test_what_does_not_fit_changes_nothing(filled):
    with pytest.raises(InputError, match="must stay"):
        filled.change_settings({"arrays": {"dense": 2}})
    with pytest.raises(InputError, match="must come for the arrays"):
        filled.rewrite({"arrays": {"dense": 2}}, {"other": twos})
    with pytest.raises(ShapeError, match="one new vector a row"):
        filled.rewrite({"arrays": {"dense": 2}}, {"dense": lambda rids: twos(rids)[1:]})
    with pytest.raises(ShapeError):
        filled.rewrite({"arrays": {"dense": 3}}, {"dense": twos})
    assert filled.versions()[-1].version == 3
    assert filled.settings["note"] == "old"
    assert len(list((filled.path / "segments").iterdir())) == 1
    assert verify(filled.path).ok


def test_an_empty_collection_can_be_rewritten(tmp_path):
    with Store.create(tmp_path / "c", settings={"arrays": {"dense": 4}}) as store:
        store.rewrite({"arrays": {"dense": 2}}, {"dense": twos})
        store.commit([Record("a", "text")], {"dense": np.ones((1, 2))})
    assert verify(tmp_path / "c").ok


def test_a_copy_of_the_settings_that_was_not_written_is_made_up_for(filled):
    before = (filled.path / "collection.json").read_bytes()
    filled.rewrite({"arrays": {"dense": 2}, "note": "new"}, {"dense": twos})
    filled.close()
    (filled.path / "collection.json").write_bytes(before)  # as if the writer had died before it came to that
    with Store.open(filled.path) as reader:
        assert reader.settings["note"] == "new"
    with Store.open(filled.path, write=True) as writer:
        assert on_disk(writer)["note"] == "new"
