import sqlite3

import apsw
import numpy as np
import pytest

from nestvec.core.errors import CorruptError, NestvecError
from nestvec.core.record import Record
from nestvec.store import Store, verify
from nestvec.store.pages import PAGE, damaged_pages, page_sum


@pytest.fixture
def closed(path, store):
    records = [Record(f"id{i}", f"text {i} " * 20, {"i": i}) for i in range(200)]
    store.commit(records, {"dense": np.ones((200, 4), np.float32)})
    store.close()
    return path


def read_all(path):
    with Store.open(path) as store, store.read() as snapshot:
        snapshot.match("text", 10)
        found = snapshot.find([f"id{i}" for i in range(200)])
        return found, [record.text for _, record in snapshot.rows()]


def test_every_page_has_its_sum_and_a_flipped_byte_in_any_is_found(closed):
    file = closed / "space.db"
    data, right = file.read_bytes(), read_all(closed)
    assert len(data) % PAGE == 0
    assert len(data) // PAGE > 5
    for start in range(0, len(data), PAGE):
        assert page_sum(data[start : start + PAGE], start) == data[start + PAGE - 8 : start + PAGE]
    refused = 0
    for number in range(len(data) // PAGE):
        for inside in (100, PAGE // 2, PAGE - 20, PAGE - 1):
            at = number * PAGE + inside
            file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            assert list(damaged_pages(file)) == [number + 1]
            try:
                assert read_all(closed) == right
            except CorruptError:
                refused += 1
    assert refused > len(data) // PAGE
    file.write_bytes(data)
    assert verify(closed).ok


def test_two_pages_that_changed_places_are_found(closed):
    file = closed / "space.db"
    data = file.read_bytes()
    swapped = data[: 2 * PAGE] + data[3 * PAGE : 4 * PAGE] + data[2 * PAGE : 3 * PAGE] + data[4 * PAGE :]
    file.write_bytes(swapped)
    assert list(damaged_pages(file)) == [3, 4]
    assert not verify(closed).ok


def test_a_flipped_bit_in_a_page_that_nothing_uses_is_found_too(path, store):
    db = store.writer.db
    db.execute("CREATE TABLE big (x); INSERT INTO big VALUES (randomblob(200000)); DROP TABLE big")
    assert db.pragma("freelist_count") > 20
    store.close()
    file = path / "space.db"
    data = bytearray(file.read_bytes())
    data[-100] ^= 1
    file.write_bytes(data)
    assert [p.what for p in verify(path).problems] == [f"page {len(data) // PAGE} does not match its checksum"]


@pytest.mark.parametrize("less", [1, 8, 100, PAGE - 1, PAGE, PAGE + 1])
def test_a_file_cut_short_is_never_read_as_if_it_were_whole(closed, less):
    file = closed / "space.db"
    file.write_bytes(file.read_bytes()[:-less])
    assert not verify(closed).ok
    with pytest.raises(NestvecError):
        read_all(closed)


def test_any_sqlite_can_read_the_file(closed):
    db = sqlite3.connect(f"file:{closed / 'space.db'}?mode=ro", uri=True)
    try:
        assert db.execute("SELECT count(*), max(rid) FROM row").fetchone() == (200, 200)
        assert db.execute("SELECT id FROM row WHERE json_extract(meta, '$.i') = 7").fetchone() == ("id7",)
        if sqlite3.sqlite_version_info >= (3, 43):  # older ones do not know the kind of our full-text table
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        db.close()


def test_the_settings_of_the_database(closed):
    db = apsw.Connection(str(closed / "space.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert db.pragma("page_size") == PAGE
    assert db.pragma("journal_mode") == "wal"
    assert db.reserve_bytes("main") == 8
    db.close()
    with Store.open(closed, write=True) as store:
        assert store.writer.db.pragma("synchronous") == 2
        assert store.writer.db.pragma("secure_delete") == 1
