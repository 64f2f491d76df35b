import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import CorruptError
from nestvec.store import Disk, Store, verify
from nestvec.store.head import Head, advance_head, create_head, newest, read_head


@given(st.integers(0, 2**64 - 1), st.binary(min_size=16, max_size=16))
def test_a_slot_round_trips_and_any_flipped_bit_spoils_it(version, digest):
    slot = Head(version, digest).to_bytes()
    assert len(slot) == 64
    assert Head.from_bytes(slot) == Head(version, digest)
    for bit in range(0, 512, 7):
        spoilt = bytearray(slot)
        spoilt[bit // 8] ^= 1 << bit % 8
        assert Head.from_bytes(bytes(spoilt)) is None


def test_slots_are_written_in_turn(tmp_path):
    path = tmp_path / "HEAD"
    create_head(path, Head(1, bytes(16)), Disk())
    assert read_head(path) == [Head(1, bytes(16))] * 2
    for version in (2, 3, 4):
        advance_head(path, Head(version, bytes([version] * 16)), Disk())
        slots = read_head(path)
        assert newest(slots) == Head(version, bytes([version] * 16))
        assert {slot.version for slot in slots} == {version, version - 1}
    assert not (tmp_path / "HEAD.new").exists()


@pytest.mark.parametrize("data", [b"", b"x" * 10, b"x" * 128, bytes(128)])
def test_a_damaged_head_says_nothing(tmp_path, data):
    (tmp_path / "HEAD").write_bytes(data)
    assert read_head(tmp_path / "HEAD") == [None, None]
    assert newest([None, None]) is None
    assert read_head(tmp_path / "absent") == [None, None]


def test_one_torn_slot_is_survived_and_mended_by_the_next_writer(path, store, put):
    put("a")
    put("b")
    store.close()
    head = path / "HEAD"
    data = head.read_bytes()
    head.write_bytes(data[:64] + bytes(32) + data[96:])  # the slot of version 3
    assert [p.file for p in verify(path).problems] == ["HEAD"]
    with Store.open(path) as reader, reader.read() as snapshot:
        assert len(snapshot) == 2
    Store.open(path, write=True).close()
    assert verify(path).ok


def test_without_a_good_slot_nothing_is_opened(path, store):
    store.close()
    (path / "HEAD").write_bytes(bytes(128))
    for write in (False, True):
        with pytest.raises(CorruptError, match="HEAD is damaged or missing"):
            Store.open(path, write=write)


def test_a_database_that_lost_acknowledged_versions_is_not_opened(path, store, put):
    put("a")
    store.close()
    old = (path / "space.db").read_bytes()
    with Store.open(path, write=True) as again:
        again.commit(remove=["a"])
    (path / "space.db").write_bytes(old)
    for write in (False, True):
        with pytest.raises(CorruptError, match="must hold version 3, which was acknowledged"):
            Store.open(path, write=write)
    assert any("3 was acknowledged" in p.what for p in verify(path).problems)


def test_versions_are_chained(path, store, put):
    put("a")
    put("b")
    digests = [d for (d,) in store.writer.db.execute("SELECT digest FROM version ORDER BY version")]
    assert len(set(digests)) == 3
    assert newest(read_head(path / "HEAD")) == Head(3, digests[-1])
