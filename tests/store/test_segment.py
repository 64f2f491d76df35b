import json

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import CorruptError, FormatError
from nestvec.store.disk import Disk
from nestvec.store.segment import Segment, recover_segment, write_segment


def write(folder, rows, values, pieces=1, widths=None):
    blocks = iter(np.array_split(values, pieces))
    widths = widths or (values.shape[1],)
    return write_segment(folder / "a.seg", "dense", rows, blocks, widths=widths, disk=Disk())


@settings(max_examples=30)
@given(
    n=st.integers(1, 40),
    dim=st.sampled_from([1, 3, 65_536]),
    gaps=st.booleans(),
    pieces=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_what_is_written_is_read_whatever_the_pieces(tmp_path_factory, n, dim, gaps, pieces, seed):
    folder = tmp_path_factory.mktemp("segments")
    rng = np.random.default_rng(seed)
    rows = np.cumsum(rng.integers(1, 4 if gaps else 2, n)).astype(np.int64)
    values = rng.standard_normal((n, dim), dtype=np.float32)
    info = write(folder, rows, values, pieces)
    segment = Segment.open(folder, info)
    segment.touch(0, n)
    np.testing.assert_array_equal(segment.rows, rows)
    np.testing.assert_array_equal(segment.values, values)
    assert (info.n, info.first, info.last) == (n, rows[0], rows[-1])
    assert info.length == (folder / "a.seg").stat().st_size
    assert len(segment.bad_positions()) == 0
    assert recover_segment(folder / "a.seg") == info
    with pytest.raises((ValueError, RuntimeError)):
        segment.values[0, 0] = 1


def test_the_layout_is_the_documented_one(tmp_path):
    values = np.arange(6, dtype=np.float32).reshape(3, 2)
    write(tmp_path, np.array([5, 6, 7]), values)
    data = (tmp_path / "a.seg").read_bytes()
    assert data[:8] == b"NVSEG\0\0\1"
    assert json.loads(data[8:504].rstrip(b"\0"))["first"] == 5
    assert data[504:512] == xxhash.xxh3_64_digest(data[:504])
    assert data[512 : 512 + 24] == values.tobytes()
    assert data[536:] == xxhash.xxh3_64_digest(values.tobytes())
    (tmp_path / "a.seg").unlink()
    write(tmp_path, np.array([5, 6, 9]), values)
    data = (tmp_path / "a.seg").read_bytes()
    assert np.frombuffer(data[536:560], "<i8").tolist() == [5, 6, 9]
    assert data[560:568] == xxhash.xxh3_64_digest(values.tobytes())
    assert data[568:] == xxhash.xxh3_64_digest(data[536:560])


def test_touch_checks_the_blocks_it_is_asked_for_and_no_other(tmp_path):
    n, dim = 40, 65_536  # four rows a block
    info = write(tmp_path, np.arange(n), np.ones((n, dim), np.float32))
    with (tmp_path / "a.seg").open("r+b") as file:
        file.seek(512 + 4 * dim * 21)  # row 21 is in block 5, rows 20 to 23
        file.write(b"\xff")
    segment = Segment.open(tmp_path, info)
    segment.touch(0, 20)
    segment.touch(24, 40)
    segment.touch(24, 24)
    for start, stop in ((20, 21), (23, 24), (19, 25), (0, 40)):
        with pytest.raises(CorruptError, match="block 5 does not match its checksum"):
            segment.touch(start, stop)
    assert segment.bad_positions().tolist() == [20, 21, 22, 23]


@pytest.mark.parametrize(
    ("at", "what"),
    [(100, "header"), (3, "header"), (-1, "table of checksums"), (-9, "table of checksums"), (-30, "row ids")],
)
def test_a_damaged_frame_is_noticed_when_it_is_opened(tmp_path, at, what):
    info = write(tmp_path, np.array([1, 2, 9, 11]), np.ones((4, 4), np.float32))
    data = bytearray((tmp_path / "a.seg").read_bytes())
    data[at] ^= 4
    (tmp_path / "a.seg").write_bytes(data)
    with pytest.raises(CorruptError, match=what):
        Segment.open(tmp_path, info)
    assert recover_segment(tmp_path / "a.seg") is None or what == "table of checksums"


@pytest.mark.parametrize("length", [0, 1, 511, 512, 600])
def test_a_cut_file_is_noticed(tmp_path, length):
    info = write(tmp_path, np.arange(9), np.ones((9, 4), np.float32))
    data = (tmp_path / "a.seg").read_bytes()
    (tmp_path / "a.seg").write_bytes(data[:length])
    with pytest.raises(CorruptError, match=f"has {length} bytes instead of {len(data)}"):
        Segment.open(tmp_path, info)
    assert recover_segment(tmp_path / "a.seg") is None


def test_a_sound_segment_in_the_place_of_another_is_noticed(tmp_path):
    info = write(tmp_path, np.arange(9), np.ones((9, 4), np.float32))
    (tmp_path / "a.seg").unlink()
    write(tmp_path, np.arange(9), np.zeros((9, 4), np.float32))
    with pytest.raises(CorruptError, match="table of checksums"):
        Segment.open(tmp_path, info)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"dtype": "<f2"}, "layout rows/<f2"), ({"layout": "columns"}, "layout columns"), (None, "segment of format 1")],
)
def test_a_newer_layout_is_refused_not_misread(tmp_path, change, message):
    info = write(tmp_path, np.arange(2), np.ones((2, 4), np.float32))
    data = (tmp_path / "a.seg").read_bytes()
    known = json.loads(data[8:504].rstrip(b"\0")) | (change or {})
    magic = data[:8] if change else b"NVSEG\0\0\2"
    body = (magic + json.dumps(known).encode()).ljust(504, b"\0")
    (tmp_path / "a.seg").write_bytes(body + xxhash.xxh3_64_digest(body) + data[512:])
    with pytest.raises(FormatError, match=message):
        Segment.open(tmp_path, info)


# ---------------------------------------------------------------------- bands


@settings(max_examples=30)
@given(
    n=st.integers(1, 40),
    widths=st.lists(st.sampled_from([1, 2, 7, 40_000]), min_size=2, max_size=4),
    gaps=st.booleans(),
    pieces=st.integers(1, 9),
    seed=st.integers(0, 9),
)
def test_bands_hold_what_rows_hold_in_every_way_of_reading(tmp_path_factory, n, widths, gaps, pieces, seed):
    folder = tmp_path_factory.mktemp("bands")
    rng = np.random.default_rng(seed)
    rows = np.cumsum(rng.integers(1, 4 if gaps else 2, n)).astype(np.int64)
    values = rng.standard_normal((n, sum(widths)), dtype=np.float32)
    info = write(folder, rows, values, pieces, tuple(widths))
    segment = Segment.open(folder, info)
    segment.touch(0, n)
    assert segment.widths == tuple(widths)
    assert len(segment.bad_positions()) == 0
    assert info.length == (folder / "a.seg").stat().st_size
    assert recover_segment(folder / "a.seg") == info
    np.testing.assert_array_equal(segment.rows, rows)
    np.testing.assert_array_equal(segment.values, values)
    some = rng.integers(0, n, 5)
    for width in (1, widths[0], widths[0] + 1, sum(widths[:2]), sum(widths)):
        leading = segment.leading(width)
        np.testing.assert_array_equal(np.concatenate(leading, axis=1), values[:, :width])
        assert all(np.shares_memory(a, b) for a, b in zip(leading, segment.bands, strict=False))
        np.testing.assert_array_equal(segment.take(some, width=width), values[some, :width])
    np.testing.assert_array_equal(segment.take(slice(0, n)), values)


def test_the_layout_of_bands_is_the_documented_one(tmp_path):
    values = np.arange(9, dtype=np.float32).reshape(3, 3)
    write(tmp_path, np.array([5, 6, 9]), values, widths=(1, 2))
    data = (tmp_path / "a.seg").read_bytes()
    header = json.loads(data[8:504].rstrip(b"\0"))
    assert (header["layout"], header["widths"], header["dim"]) == ("bands", [1, 2], 3)
    narrow, wide = values[:, :1].tobytes(), values[:, 1:].tobytes()
    ids = np.array([5, 6, 9], "<i8").tobytes()
    assert data[512:] == narrow + wide + ids + b"".join(map(xxhash.xxh3_64_digest, (narrow, wide, ids)))


def test_a_prefix_is_read_without_touching_the_rest(tmp_path):
    n, widths = 40, (16_384, 49_152)  # four rows a block
    info = write(tmp_path, np.arange(n), np.ones((n, sum(widths)), np.float32), widths=widths)
    with (tmp_path / "a.seg").open("r+b") as file:
        file.seek(512 + 4 * widths[0] * n + 4 * widths[1] * 21)  # row 21 of the second band
        file.write(b"\xff")
    segment = Segment.open(tmp_path, info)
    segment.touch(0, n, width=widths[0])
    segment.touch(24, n)
    for width in (widths[0] + 1, None):
        with pytest.raises(CorruptError, match="block 5 of band 1 does not match its checksum"):
            segment.touch(0, n, width=width)
    assert segment.bad_positions().tolist() == [20, 21, 22, 23]


def test_a_flipped_bit_in_any_band_is_noticed(tmp_path):
    values = np.ones((5, 6), np.float32)
    info = write(tmp_path, np.array([1, 2, 3, 7, 9]), values, widths=(1, 2, 3))
    whole = (tmp_path / "a.seg").read_bytes()
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        (tmp_path / "a.seg").write_bytes(data)
        with pytest.raises(CorruptError):  # noqa: PT012  # opening sees the frame, touching the values
            segment = Segment.open(tmp_path, info)
            assert len(segment.bad_positions()) == 5
            segment.touch(0, 5)
