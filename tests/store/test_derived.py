import pytest

from nestvec.core.errors import CorruptError, InputError
from nestvec.store import Store, verify


def test_a_derived_file_is_kept_replaced_and_dropped(path, store, put):
    assert store.get_derived("index") is None
    store.put_derived("index", b"one", {"k": [1, None]})
    assert store.get_derived("index") == (b"one", {"k": [1, None], "version": 1})
    put("a")
    store.put_derived("index", memoryview(b"two"), {})
    store.put_derived("other", b"", {})
    assert store.get_derived("index") == (b"two", {"version": 2})
    assert store.get_derived("other") == (b"", {"version": 2})
    assert len(list((path / "derived").iterdir())) == 2
    store.drop_derived("index")
    store.drop_derived("index")
    assert store.get_derived("index") is None
    assert len(list((path / "derived").iterdir())) == 1
    store.close()
    with Store.open(path) as reader:
        assert reader.get_derived("other") == (b"", {"version": 2})


@pytest.mark.parametrize("name", ["", "../up", "a b", "a/b", "1"])
def test_its_name_is_a_plain_word(store, name):
    with pytest.raises(InputError, match="plain word"):
        store.put_derived(name, b"", {})


@pytest.mark.parametrize("damage", ["flip", "cut", "longer", "gone"])
def test_damage_stops_nothing_else(path, store, put, damage):
    put("a")
    store.put_derived("index", b"data" * 100, {})
    (file,) = (path / "derived").iterdir()
    data = file.read_bytes()
    new = {"flip": data[:-1] + b"A", "cut": data[:-1], "longer": data + b"a", "gone": None}[damage]
    file.unlink() if new is None else file.write_bytes(new)
    with pytest.raises(CorruptError, match="is missing or damaged; it can be made again"):
        store.get_derived("index")
    with store.read() as snapshot:
        assert snapshot.get(["a"])[0].id == "a"
    (problem,) = verify(path).problems
    assert problem.derived
    assert problem.file == f"derived/{file.name}"
    store.put_derived("index", b"new", {})
    assert verify(path).ok


def test_a_reader_takes_the_new_file_when_the_old_is_replaced_under_it(path, store, monkeypatch):
    store.put_derived("index", b"old", {})
    from nestvec.store import derived

    plain = derived.Path.read_bytes
    replaced = []

    def late(self):
        if self.parent.name == "derived" and not replaced:
            replaced.append(True)
            store.put_derived("index", b"new", {})
        return plain(self)

    with Store.open(path) as reader:
        monkeypatch.setattr(derived.Path, "read_bytes", late)
        assert reader.get_derived("index")[0] == b"new"
