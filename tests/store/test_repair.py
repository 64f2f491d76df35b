"""After any damage a repair leaves a collection that opens and verifies, and what it keeps is right."""

import random

import numpy as np
import pytest

from nestvec.core.errors import CorruptError, LockedError, NoCollectionError
from nestvec.core.record import Record
from nestvec.store import Store, repair, verify
from nestvec.store.pages import PAGE

N, DIM = 300, 2048  # 128 rows a block: three blocks


@pytest.fixture
def damaged(tmp_path):
    """A closed collection of 300 rows, to be damaged."""
    path = tmp_path / "c"
    with Store.create(path, settings={"arrays": {"dense": DIM}}) as store:
        records = [Record(f"id{i}", text(i), {"i": i}, f"Title {i}") for i in range(N)]
        store.commit(records, {"dense": np.repeat(np.arange(N, dtype=np.float32), DIM).reshape(N, DIM)})
        store.commit([Record("gone", "x")], {"dense": np.zeros((1, DIM))})
        store.commit(remove=["gone"])
        store.put_derived("index", b"data", {})
    return path


def text(i):
    return f"text {i} " + "word " * (i % 60)


def flip(file, at, bit=1):
    data = bytearray(file.read_bytes())
    data[at] ^= bit
    file.write_bytes(data)


def kept(path):
    """Check everything that is left; return how many rows, and how many of them without a vector."""
    problems = [p for p in verify(path).problems if "have no vector" not in p.what]
    assert problems == []
    with Store.open(path, write=True) as store:
        missing = set(store.missing("dense").tolist())
        with store.read() as snapshot:
            rows = list(snapshot.rows())
            for _, record in rows:
                i = record.metadata["i"]
                assert (record.id, record.text, record.title) == (f"id{i}", text(i), f"Title {i}")
            rids = np.array([rid for rid, _ in rows if rid not in missing], np.int64)
            if len(rids):
                want = [record.metadata["i"] for rid, record in rows if rid not in missing]
                assert snapshot.vectors("dense", rids)[:, 7].tolist() == want
            assert len(snapshot.match("text", 1000)) == len(snapshot) == len(rows)
            held = np.concatenate([rids[:0], *(s.rows for s in snapshot.segments("dense"))])
            assert np.setdiff1d(held, snapshot.state.dead).tolist() == rids.tolist()
        if missing:
            lost = np.array(sorted(missing), np.int64)
            store.restore("dense", lost, np.ones((len(lost), DIM)))
    assert verify(path).ok
    return len(rows), len(missing)


def test_what_is_whole_is_left_alone(damaged):
    before = {f.name: f.read_bytes() for f in damaged.rglob("*") if f.is_file()}
    done = repair(damaged)
    assert (done.actions, done.quarantined, done.lost_rows, done.missing) == ([], [], 0, {})
    after = {f.name: f.read_bytes() for f in damaged.rglob("*") if f.is_file()}
    assert {n for n in before if before[n] != after.get(n)} <= {"writer.lock"}
    assert kept(damaged) == (N, 0)


def test_a_damaged_block_costs_the_vectors_in_it_and_no_others(damaged):
    file = max((damaged / "segments").iterdir(), key=lambda f: f.stat().st_size)
    flip(file, 512 + 4 * DIM * 130)
    spoilt = file.read_bytes()
    done = repair(damaged)
    assert done.missing == {"dense": 128}
    assert [(damaged / "quarantine" / name).read_bytes() for name in done.quarantined] == [spoilt]
    assert kept(damaged) == (N, 128)


@pytest.mark.parametrize("how", ["gone", "header", "cut"])
def test_a_segment_that_cannot_be_read_costs_its_vectors(damaged, how):
    file = max((damaged / "segments").iterdir(), key=lambda f: f.stat().st_size)
    if how == "gone":
        file.unlink()
    elif how == "header":
        flip(file, 9)
    else:
        file.write_bytes(file.read_bytes()[:-5])
    assert repair(damaged).missing == {"dense": N}
    assert kept(damaged) == (N, N)


@pytest.mark.parametrize("data", [b"", bytes(128), None])
def test_head_is_written_anew(damaged, data):
    head = damaged / "HEAD"
    head.unlink() if data is None else head.write_bytes(data)
    with pytest.raises(CorruptError):
        Store.open(damaged)
    done = repair(damaged)
    assert len(done.actions) == 1
    assert done.actions[0].startswith("HEAD is written anew")
    assert kept(damaged) == (N, 0)


def test_a_damaged_derived_file_is_taken_off_the_list(damaged):
    (file,) = (damaged / "derived").iterdir()
    flip(file, 0)
    assert len(repair(damaged).quarantined) == 1
    with Store.open(damaged) as store:
        assert store.get_derived("index") is None
    assert kept(damaged) == (N, 0)


@pytest.mark.parametrize("seed", [*range(6), *(pytest.param(s, marks=pytest.mark.slow) for s in range(6, 200))])
def test_a_damaged_database_gives_up_what_can_still_be_read(damaged, seed):
    rng = random.Random(seed)
    file = damaged / "space.db"
    before = file.read_bytes()
    for _ in range(rng.choice([1, 1, 2, 5])):
        if rng.random() < 0.7:
            flip(file, rng.randrange(len(before)), 1 << rng.randrange(8))
        else:
            start = rng.randrange(len(before) // PAGE) * PAGE
            data = file.read_bytes()
            file.write_bytes(data[:start] + bytes(PAGE) + data[start + PAGE :])
    spoilt = file.read_bytes()
    done = repair(damaged)
    rows, missing = kept(damaged)
    assert missing == 0
    assert rows <= N
    assert any((damaged / "quarantine" / name).read_bytes()[:PAGE] == spoilt[:PAGE] for name in done.quarantined)
    if rows < N:
        assert done.actions


def test_a_lost_or_emptied_database_leaves_a_collection_that_opens(damaged):
    (damaged / "space.db").write_bytes(b"")
    done = repair(damaged)
    assert done.actions
    assert kept(damaged) == (0, 0)
    (damaged / "space.db").unlink()
    repair(damaged)
    assert kept(damaged) == (0, 0)


def test_what_a_repair_refuses(damaged, tmp_path):
    with Store.open(damaged, write=True), pytest.raises(LockedError):
        repair(damaged)
    flip(damaged / "collection.json", 5)
    with pytest.raises(CorruptError, match=r"collection\.json does not match"):
        repair(damaged)
    with pytest.raises(NoCollectionError):
        repair(tmp_path / "absent")
    with pytest.raises(NoCollectionError):
        verify(tmp_path / "absent")
