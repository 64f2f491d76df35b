import threading

import numpy as np
import pytest

from nestvec.core.errors import CorruptError
from nestvec.core.record import Record
from nestvec.store import Store
from nestvec.store import compact as compaction


def test_threads_read_while_one_writes_and_compacts(path, store, monkeypatch):
    """Every commit replaces all rows by its own number: a mixture of two would show."""
    monkeypatch.setattr(compaction, "_MERGE_AT", 3)
    done, failures, seen = threading.Event(), [], []

    def write(number):
        records = [Record(f"id{i}", str(number), {"n": number}) for i in range(5)]
        store.commit(records, {"dense": np.full((5, 4), number, np.float32)})

    def read(reader):
        last = -1
        try:
            while not done.is_set():
                with reader.read() as snapshot:
                    rows = list(snapshot.rows())
                    numbers = {record.metadata["n"] for _, record in rows}
                    vectors = snapshot.vectors("dense", np.array([rid for rid, _ in rows]))
                    assert len(rows) == len(snapshot) == 5
                    assert numbers == set(vectors.ravel().tolist())
                    assert len(numbers) == 1
                    assert min(numbers) >= last
                    last = numbers.pop()
                    seen.append(last)
        except Exception as error:  # noqa: BLE001  # shown by the assertion below
            failures.append(error)

    write(0)
    with Store.open(path) as other:
        threads = [threading.Thread(target=read, args=(reader,)) for reader in (store, store, other, other)]
        for thread in threads:
            thread.start()
        for number in range(1, 40):
            write(number)
            if number % 10 == 0:
                store.compact()
        done.set()
        for thread in threads:
            thread.join()
    assert failures == []
    assert len(set(seen)) > 3


def test_threads_may_write_too(path, store):
    def write(name):
        for i in range(10):
            store.commit([Record(f"{name}{i}", "x")], {"dense": np.ones((1, 4))}, commit_id=f"{name}{i}")

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(store.versions()) == 31
    with store.read() as snapshot:
        assert len(snapshot) == 30


def test_a_merge_between_listing_files_and_opening_them_is_no_damage(path, store, put, monkeypatch):
    put("a")
    put("b", start=1)
    import nestvec.store.store as module

    plain, calls = module.open_segment, []

    def late(folder, info):
        calls.append(info)
        if len(calls) == 1:
            store.compact()
        return plain(folder, info)

    with Store.open(path) as reader:
        monkeypatch.setattr(module, "open_segment", late)
        with reader.read() as snapshot:
            assert snapshot.vectors("dense", np.array([1, 2]))[:, 0].tolist() == [0, 1]
    assert len(calls) > 1


def test_a_missing_segment_is_damage(path, store, put):
    put("a")
    store.close()
    for file in (path / "segments").iterdir():
        file.unlink()
    with (
        Store.open(path) as reader,
        pytest.raises(CorruptError, match=r"is missing. Run: nestvec repair"),
        reader.read(),
    ):
        pass


def test_a_writer_cleans_up_what_nothing_refers_to(path, store, put):
    put("a")
    store.close()
    for name in ("segments/dense-1-ff.seg", "derived/index-ff.bin"):
        (path / name).write_bytes(b"half")
    with Store.open(path) as reader, reader.read() as snapshot:
        assert len(snapshot) == 1
    assert (path / "segments/dense-1-ff.seg").exists()  # a reader changes nothing
    Store.open(path, write=True).close()
    assert not (path / "segments/dense-1-ff.seg").exists()
    assert not (path / "derived/index-ff.bin").exists()


def test_open_files_do_not_grow_with_the_number_of_reads(store, put):
    import os
    from pathlib import Path

    fds = Path("/proc/self/fd")
    if not fds.exists():
        pytest.skip("counts open files in /proc")
    put("a")
    with store.read():
        pass
    before = len(os.listdir(fds))  # noqa: PTH208
    for i in range(50):
        put(f"id{i % 3}")
        with store.read() as snapshot:
            assert len(snapshot) > 0
    assert len(os.listdir(fds)) <= before + 40  # noqa: PTH208  # memory maps hold none, connections are reused


def test_what_goes_wrong_inside_the_block_is_the_callers(path, store, put):
    put("a")
    for version in (None, 2):
        with Store.open(path, version=version) as reader:
            with pytest.raises(FileNotFoundError), reader.read():
                (path / "absent").read_bytes()
            with reader.read() as snapshot:
                assert len(snapshot) == 1
