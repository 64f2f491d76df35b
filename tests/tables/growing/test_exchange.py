"""Tables as files and arrays, and two tables as one."""

import numpy as np
import pytest

from nestvec.core.errors import FormatError, InputError
from nestvec.tables.growing import UNKNOWN, GrowingSpec, GrowingTable, export, merge, spec_for, take_in, to_arrays


@pytest.fixture
def two(tmp_path):
    spec = GrowingSpec(dim=3, cap=1 << 20, admit_after=1)
    with GrowingTable.create(tmp_path / "a", spec) as a, GrowingTable.create(tmp_path / "b", spec) as b:
        a.put(a.admit(["x", "y"], field="word"), np.array([[1, 1, 1], [2, 2, 2]], np.float32))
        b.put(b.admit(["y"], field="word"), np.full((1, 3), 4, np.float32))
        b.put(b.admit([7, 8], field="user"), np.full((2, 3), 5, np.float32))
        yield a, b


@pytest.mark.parametrize(("weight", "y"), [(0.0, 2), (0.5, 3), (1.0, 4)])
def test_two_tables_become_one(two, weight, y):
    a, b = two
    before = to_arrays(b)
    assert merge(a, b, weight=weight) == 3
    assert a.vectors(["x", "y"], field="word").values[:, 0].tolist() == [1, y]
    assert a.vectors([7, 8], field="user").values[:, 0].tolist() == [5, 5]
    assert a.occupancy.fields == {"word": 2, "user": 2}
    assert all((to_arrays(b)[name] == value).all() for name, value in before.items())


def test_a_file_brings_the_same_as_a_merge_and_any_library_reads_it(two, tmp_path):
    from safetensors.numpy import load_file

    a, b = two
    assert export(b, tmp_path / "b.safetensors") == 3
    arrays = load_file(tmp_path / "b.safetensors")
    for name, value in to_arrays(b).items():
        assert (arrays[name] == value).all()
    assert take_in(a, tmp_path / "b.safetensors") == 3
    assert a.vectors(["x", "y"], field="word").values[:, 0].tolist() == [1, 4]
    assert a.lookup([7, "7"], field="user").tolist() == [4, UNKNOWN]


def test_a_full_table_takes_what_it_has_room_for(two, tmp_path):
    a, b = two
    most = a.spec.most_rows
    a.admit(np.arange(most - 5), field="other")
    assert merge(a, b) == 2  # y, which it had, and one of the two users: one row was left
    assert a.occupancy.refused == 1


def test_what_does_not_fit_is_refused(two, tmp_path):
    a, b = two
    other = GrowingSpec(dim=3, cap=1 << 20, seed=1)
    with GrowingTable.create(tmp_path / "c", other) as c, pytest.raises(InputError, match="one dim and one seed"):
        merge(a, c)
    with pytest.raises(InputError, match="0 to 1"):
        merge(a, b, weight=2.0)
    with pytest.raises(FormatError, match="as export writes"):
        take_in(a, next(b.path.glob("*.safetensors")))
    from safetensors.numpy import load_file, save_file

    export(a, tmp_path / "a.safetensors")
    arrays = load_file(tmp_path / "a.safetensors")
    save_file(arrays, tmp_path / "bare.safetensors")
    with pytest.raises(FormatError, match="as export writes"):
        take_in(a, tmp_path / "bare.safetensors")
    notes = {"seed": "0", "fields": "[]"}
    save_file(arrays, tmp_path / "other.safetensors", metadata=notes)
    with pytest.raises(FormatError, match="fields of rows must be below 0, got 0"):
        take_in(a, tmp_path / "other.safetensors")
    assert spec_for(tmp_path / "a.safetensors") == (3, 0)
    empty = to_arrays(GrowingTable.create(tmp_path / "d", a.spec))
    assert empty["values"].shape == (0, 3)
