import time

import numpy as np
import pytest

from nestvec.core.errors import CorruptError, NotFoundError, VersionError
from nestvec.core.record import Record
from nestvec.store import Store, verify
from nestvec.store import compact as compaction

MARK = "swordfish"


def everything(path):
    return b"".join(file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file())


def test_deleted_text_and_vectors_are_gone_from_every_byte(path, store, put):
    rng = np.random.default_rng(0)
    secret, kept = rng.standard_normal((40, 4), dtype=np.float32), rng.standard_normal((40, 4), dtype=np.float32)
    secrets = [Record(f"{MARK}{i}", f"{MARK} text", {MARK: f"{MARK}{i}"}, f"{MARK} title") for i in range(40)]
    store.commit(secrets, {"dense": secret})
    store.commit([Record(f"kept{i}", "kept text") for i in range(40)], {"dense": kept})
    assert MARK.encode() in everything(path)
    assert secret[3].tobytes() in everything(path)
    store.commit(remove=[record.id for record in secrets])
    result = store.compact()
    assert result.removed == 40
    for bytes_ in (everything(path), store.close() or everything(path)):
        assert MARK.encode() not in bytes_
        assert secret[3].tobytes() not in bytes_
        assert kept[3].tobytes() in bytes_
    with Store.open(path) as again, again.read() as snapshot:
        assert len(snapshot) == 40
        assert snapshot.match(MARK, 5) == []
        assert len(snapshot.match("kept", 50)) == 40


def test_space_is_given_back(path, store, put):
    rng = np.random.default_rng(0)
    words = ["".join(map(chr, rng.integers(97, 123, 3000))) for _ in range(300)]
    store.commit([Record(f"id{i}", word) for i, word in enumerate(words)], {"dense": np.ones((300, 4))})
    store.commit(remove=[f"id{i}" for i in range(290)])
    result = store.compact()
    assert result.removed == 290
    assert result.segments == (1, 1)
    assert result.bytes[1] < result.bytes[0] / 4
    assert sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) == result.bytes[1]
    assert store.compact().removed == 0
    assert verify(path).ok


def test_small_segments_become_one_and_an_empty_collection_has_none(path, store, put):
    for i in range(10):
        put(f"id{i}", start=i)
    assert store.compact().segments == (10, 1)
    store.commit(remove=[f"id{i}" for i in range(10)])
    assert store.compact().segments == (1, 0)
    assert list((path / "segments").iterdir()) == []
    put("new")
    with store.read() as snapshot:
        assert [rid for rid, _ in snapshot.rows()] == [11]  # row ids are not used twice


def test_older_versions_are_given_up_except_to_those_who_have_them_open(path, store, put):
    put("a", "b")
    put("b", start=7)
    store.commit(remove=["a"])
    with Store.open(path, version=2) as old:
        start = time.perf_counter()
        store.compact()
        assert time.perf_counter() - start < 5  # it does not wait for readers
        for version in (1, 2, 3, 4):
            with pytest.raises(VersionError, match=f"version must be 5 to 5, got {version}"):
                Store.open(path, version=version)
        put("c")
        with old.read() as snapshot:
            assert sorted(record.id for _, record in snapshot.rows()) == ["a", "b"]
            found = snapshot.find(["a", "b"])
            got = snapshot.vectors("dense", np.array([found["a"], found["b"]]))
            assert got[:, 0].tolist() == [0, 1]
            assert len(snapshot.match("text", 9)) == 2
    assert verify(path).ok


def test_a_reader_that_is_inside_a_snapshot_keeps_it(path, store, put):
    put("a", "b")
    with Store.open(path) as reader, reader.read() as before:
        store.commit(remove=["a"])
        store.compact()
        assert len(before) == 2
        assert [r.id for r in before.get(["a", "b"])] == ["a", "b"]
        assert before.vectors("dense", np.array([1, 2]))[:, 0].tolist() == [0, 1]
        with reader.read() as now:
            assert now.find(["a"]) == {}
            with pytest.raises(NotFoundError):
                now.get(["a"])


def test_a_compaction_that_was_interrupted_hides_what_is_gone_and_goes_on(path, store, put, monkeypatch):
    class StopError(Exception):
        pass

    def stop(*_, **__):
        raise StopError

    put("a", "b", "c")
    store.commit(remove=["b"])
    with monkeypatch.context() as patched:
        patched.setattr(compaction, "_replace", stop)
        with pytest.raises(StopError):
            store.compact()
    store.close()
    with Store.open(path, write=True) as again:
        with again.read() as snapshot:
            assert snapshot.state.dead.tolist() == [2]  # its vector is still in the segment, its row is not
            assert snapshot.segments("dense")[0].rows.tolist() == [1, 2, 3]
        assert verify(path).ok
        again.compact()
        with again.read() as snapshot:
            assert snapshot.segments("dense")[0].rows.tolist() == [1, 3]
            assert snapshot.state.dead.tolist() == []
            assert snapshot.vectors("dense", np.array([1, 3]))[:, 0].tolist() == [0, 2]


def test_vectors_that_were_restored_between_others_stay_with_their_rows(path, store, put, monkeypatch):
    put(*(f"id{i}" for i in range(9)))
    put("last", start=9)
    segment = store.writer.open_segment(compaction.segment_list(store.writer.db)[0])
    kept = store.writer.write_segment("dense", segment.rows[[0, 1, 5, 8]], iter([segment.values[[0, 1, 5, 8]]]))
    with store.writer.transaction():
        store.writer.list_segments([kept], instead_of=[segment.info])
    missing = store.missing("dense")
    assert missing.tolist() == [3, 4, 5, 7, 8]
    store.restore("dense", missing, np.repeat(missing - 1.0, 4).reshape(-1, 4))
    for step in (lambda: None, lambda: put("more", start=10), store.compact):
        step()
        with store.read() as snapshot:
            n = len(snapshot)
            assert snapshot.vectors("dense", np.arange(1, n + 1))[:, 0].tolist() == list(range(n))
            held = [s.rows for s in snapshot.segments("dense")]
            assert all((np.diff(rows) > 0).all() for rows in held)
        monkeypatch.setattr(compaction, "_MERGE_AT", 3)
    assert len(held) == 1
    assert verify(path).ok


def test_a_damaged_segment_is_not_compacted_away(path, store, put):
    put("a", "b")
    put("c")
    store.commit(remove=["a"])
    store.close()
    file = min((path / "segments").iterdir())
    data = bytearray(file.read_bytes())
    data[520] ^= 1
    file.write_bytes(data)
    with Store.open(path, write=True) as again, pytest.raises(CorruptError, match="block 0 does not match"):
        again.compact()
    assert file.exists()
