"""Arrays in one file."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nestvec.core.errors import CorruptError, DiskError, FormatError
from nestvec.tables.saving import file_bytes, ordered, read, write

kinds = st.sampled_from([np.float32, np.float16, np.uint8, np.int8, np.int64, np.int32, np.uint16, np.uint32])
arrays = kinds.flatmap(lambda kind: hnp.arrays(kind, hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4)))


@given(st.dictionaries(st.text("abc.", min_size=1, max_size=4), arrays, max_size=5), st.text(max_size=9))
def test_arrays_and_notes_come_back(tmp_path_factory, found, note):
    path = tmp_path_factory.mktemp("saved") / "x"
    write(path, found, {"note": note})
    shapes = {name: (value.dtype.name, value.shape) for name, value in found.items()}
    assert path.stat().st_size == file_bytes(shapes, {"note": note})
    again, notes = read(path)
    assert notes == {"note": note}
    assert set(again) == set(found)
    for name, value in found.items():
        assert again[name].dtype == value.dtype
        assert again[name].shape == value.shape
        assert again[name].tobytes() == value.tobytes()
        assert again[name].ctypes.data % value.dtype.itemsize == 0  # aligned, so that kernels may read it in place


def test_every_flipped_byte_is_seen(tmp_path):
    path = tmp_path / "x"
    write(path, {"a": np.arange(6, dtype=np.float32), "b": np.arange(5, dtype=np.uint8)}, {"spec": "s"})
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        with pytest.raises((CorruptError, FormatError)):
            read(path)


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x"
    write(path, {"a": np.zeros(3, np.float32)}, {})
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nestvec.tables.saving.os.fsync", full)
    with pytest.raises(DiskError, match="No space left"):
        write(path, {"a": np.ones(3, np.float32)}, {})
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_another_safetensors_file_is_told_apart(tmp_path):
    text = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    (tmp_path / "x").write_bytes(len(text).to_bytes(8, "little") + text + bytes(4))
    with pytest.raises(FormatError, match="no description"):
        read(tmp_path / "x")
    write(tmp_path / "x", {}, {})
    assert read(tmp_path / "x") == ({}, {})


def test_larger_items_come_first():
    assert ordered({"b": 0, "a": 0, "c": 0}, {"a": 1, "b": 1, "c": 8}) == ["c", "a", "b"]
