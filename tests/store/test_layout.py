import json

import pytest

from nestvec.core.errors import CorruptError, FormatError, InputError, NoCollectionError, StoreError
from nestvec.store import Store
from nestvec.store.layout import _with_sum

SETTINGS = {"arrays": {"dense": 4}, "model": "mini", "ü": [1, None]}


def change(path, **fields):
    content = json.loads((path / "collection.json").read_text().rpartition("\nxxh3")[0])
    (path / "collection.json").write_bytes(_with_sum(content | fields))


def test_settings_are_kept(path):
    with Store.create(path, settings=SETTINGS) as store:
        assert store.settings == SETTINGS
        assert store.arrays == {"dense": 4}
    with Store.open(path) as store:
        assert store.settings == SETTINGS
    names = {p.name for p in path.iterdir()}
    assert names == {"collection.json", "space.db", "HEAD", "writer.lock", "segments", "derived", "quarantine"}


@pytest.mark.parametrize(
    "settings", [{}, {"arrays": []}, {"arrays": {"a b": 4}}, {"arrays": {"a": 0}}, {"arrays": {"a": "4"}}]
)
def test_settings_must_name_their_arrays(path, settings):
    with pytest.raises(InputError, match="name their arrays"):
        Store.create(path, settings=settings)
    assert not path.exists()


@pytest.mark.parametrize(
    "bands", [["dense"], {"dense": [1, 2]}, {"dense": [4, 0]}, {"dense": []}, {"dense": "4"}, {"other": [4]}]
)
def test_bands_must_fit_their_array(path, bands):
    with pytest.raises(InputError, match="widths that add up to its dim"):
        Store.create(path, settings={"arrays": {"dense": 4}, "bands": bands})
    with pytest.raises(InputError, match="at most 16 widths"):
        Store.create(path, settings={"arrays": {"dense": 17}, "bands": {"dense": [1] * 17}})
    assert not path.exists()


def test_a_folder_with_something_in_it_is_left_alone(path):
    path.mkdir()
    (path / "thesis.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"must be a new or empty folder, but it holds thesis\.txt"):
        Store.create(path, settings=SETTINGS)
    assert [p.name for p in path.iterdir()] == ["thesis.txt"]


def test_a_collection_is_not_created_twice(path, store):
    with pytest.raises(StoreError, match="must be a new or empty folder"):
        Store.create(path, settings=SETTINGS)


def test_a_creation_that_was_interrupted_goes_on(path, store, put):
    store.close()
    for name in ("space.db", "HEAD"):
        (path / name).unlink()
    with Store.open(path, write=True) as again, again.read() as snapshot:
        assert len(snapshot) == 0
        assert snapshot.version == 1
    (path / "HEAD").unlink()
    with Store.open(path, write=True) as again:
        again.commit(remove=["x"])
    (path / "HEAD").unlink()  # not an interrupted creation any more
    with pytest.raises(CorruptError, match="HEAD is damaged or missing"):
        Store.open(path, write=True)


def test_a_lost_database_is_no_new_collection(path, store):
    store.close()
    (path / "space.db").unlink()
    with pytest.raises(CorruptError):
        Store.open(path, write=True)


@pytest.mark.parametrize("fields", [{"format": 2}, {"reader_features": ["x"]}])
def test_a_newer_format_is_refused(path, store, fields):
    store.close()
    change(path, **fields)
    with pytest.raises(FormatError, match="Upgrade nestvec"):
        Store.open(path)


def test_what_only_writers_must_know_does_not_keep_readers_out(path, store):
    store.close()
    change(path, writer_features=["x"])
    Store.open(path).close()
    with pytest.raises(FormatError, match="Upgrade nestvec"):
        Store.open(path, write=True)


def test_a_newer_database_is_refused(path, store):
    store.writer.db.pragma("user_version", 9)
    store.close()
    with pytest.raises(FormatError, match="has format 9, and this nestvec reads 1 and 2"):
        Store.open(path)


def test_any_changed_byte_of_the_settings_is_noticed(path, store):
    store.close()
    file = path / "collection.json"
    data = file.read_bytes()
    for at in range(len(data)):
        for bad in (data[:at], data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]):
            file.write_bytes(bad)
            with pytest.raises(CorruptError, match="does not match its checksum"):
                Store.open(path)
    file.write_bytes(data + b"\n")
    with pytest.raises(CorruptError):
        Store.open(path)


def test_where_there_is_no_collection(tmp_path):
    with pytest.raises(NoCollectionError, match="nothing there"):
        Store.open(tmp_path / "absent")
    with pytest.raises(NoCollectionError, match=r"no collection\.json in it"):
        Store.open(tmp_path)
    (tmp_path / "file").write_text("x")
    with pytest.raises(NoCollectionError):
        Store.open(tmp_path / "file")
    with pytest.raises(NoCollectionError):
        Store.open(tmp_path, write=True)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]  # asking leaves nothing behind
