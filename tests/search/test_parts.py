"""The parts of a Collection one by one: results, settings, what changed, answers, and the graph beside the truth."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from nestvec import Collection, Place, Record, Space, Vectors
from nestvec.core.errors import InputError
from nestvec.inputs import Fields
from nestvec.search.answers import answer
from nestvec.search.finder import GRAPH, IndexWarning
from nestvec.search.indexing import IndexReport, from_items, from_sources
from nestvec.search.result import Result
from nestvec.search.settings import Settings, as_searched
from nestvec.search.upkeep import describe, encode_missing
from nestvec.store import Store

SPACE = Space("mine", weights="v1", pooling="none", dim=16)


# ---------------------------------------------------------------- results


def result(text, **fields):
    return Result(Record("a", text, **fields), 0.5, 1)


def test_a_snippet_shows_where_the_words_are():
    text = "The first sentence is about tea.\nThe second tells of rockets and fuel. The third one is short."
    assert result(text).snippet("fuel for ROCKETS").startswith("The second tells of rockets and fuel.")
    assert result(text).snippet("").startswith("The first")
    assert result("word " * 200).snippet("x", width=50).endswith("…")
    assert len(result("word " * 200).snippet("x", width=50)) <= 50
    assert result(" \n ").snippet("x") == ""


def test_a_result_knows_its_document():
    assert result("x").document == "a"
    passage = result("x", place=Place("book", 3, 4, ("One",), 7), title="T", metadata={"y": 1})
    assert passage.document == "book"
    assert passage.to_json() == {
        "id": "a",
        "document": "book",
        "score": 0.5,
        "title": "T",
        "text": "x",
        "place": {"start": 3, "end": 4, "number": 7, "heading": ["One"]},
        "metadata": {"y": 1},
    }


# ---------------------------------------------------------------- settings


def test_settings_survive_the_disk():
    settings = Settings(SPACE, "sentence-transformer@1", "default", 254, 32)
    assert Settings.from_json(settings.to_json()) == settings
    with pytest.raises(InputError, match="overlap must be less than half"):
        Settings(SPACE, None, "", 20, 10)


def test_vectors_are_made_unit_only_where_the_cosine_asks_for_it():
    values = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    loose = Space("m", weights="w", pooling="none", dim=2, unit=False)
    np.testing.assert_allclose(as_searched(values, loose), [[0.6, 0.8], [0, 0]], atol=1e-7)
    dot = Space("m", weights="w", pooling="none", dim=2, unit=False, metric="dot")
    assert as_searched(values, dot) is values


# ---------------------------------------------------------------- indexing


def test_items_with_one_text_are_kept_and_files_with_one_text_are_not(tmp_path):
    report = IndexReport()
    assert len(list(from_items([Record("a", "same"), Record("b", "same")])(report.read))) == 2
    for name in ("x.txt", "y.txt"):
        (tmp_path / name).write_text("same")
    report = IndexReport()
    assert len(list(from_sources(tmp_path, limits=None, fields=None)(report.read))) == 1
    assert report.read.duplicates == 1


def test_columns_can_be_named(tmp_path, encoder):
    (tmp_path / "t.csv").write_text("sku,blurb,price\n7,A fine kettle.,30\n")
    with Collection.create(tmp_path / "c", encoder=encoder) as collection:
        report = collection.index(tmp_path / "t.csv", fields=Fields(id="sku", text=("blurb",)))
        assert report.to_json()["encoded"] == 1
        assert report.encoding >= 0 <= report.committing
        (record,) = collection.records()
        assert (record.id, record.text) == ("7", "A fine kettle.")


# ---------------------------------------------------------------- answers


def test_asking_for_documents_goes_deeper_until_there_are_enough(tmp_path):
    rows = [Record(f"p{i}", f"t{i}", place=Place("big" if i < 30 else f"d{i}", 0, 1, (), i)) for i in range(40)]
    asked = []
    with Store.create(tmp_path / "c", settings={"arrays": {"dense": 1}}) as store:
        store.commit(rows, {"dense": np.zeros((40, 1))})

        def rank(n):
            asked.append(n)
            return [[(i + 1, 1.0 - i / 100) for i in range(min(n, 40))]]

        with store.read() as snapshot:
            (found,) = answer(snapshot, rank, 3, per_document=True)
            assert [r.document for r in found] == ["big", "d30", "d31"]
            assert asked == [3, 12, 40]
            (found,) = answer(snapshot, rank, 100, per_document=True)
            assert len(found) == 11
            (found,) = answer(snapshot, lambda n: [[(1, 1.0), (-1, -np.inf)]], 3, per_document=False)
            assert [r.id for r in found] == ["p0"]


# ---------------------------------------------------------------- the graph


@pytest.fixture
def clouds(tmp_path):
    """6,000 rows around 60 centres."""
    pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    values = np.repeat(rng.normal(size=(60, 16)), 100, axis=0) + rng.normal(size=(6000, 16)) * 0.3
    values = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    with Collection.create(tmp_path / "c", encoder=None, space=SPACE) as collection:
        collection.add([Record(f"r{i}", f"row {i}", {"i": i}) for i in range(6000)], vectors=Vectors(values, SPACE))
        yield collection, values


def recall(found, truth):
    return np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found.tolist(), truth.tolist(), strict=True)])


def test_a_graph_is_kept_found_again_and_measured(clouds):
    collection, values = clouds
    queries = Vectors(values[::300], SPACE)
    truth = collection.find(queries, 10).ids
    report = collection.build_graph(recall=0.95)
    assert report.rows == 6000
    assert report.recall >= 0.95
    assert collection.info()["graph"]["ef"] == report.ef > 0
    assert recall(collection.find(queries, 10).ids, truth) >= 0.9
    with Collection.open(collection.path) as again:
        assert recall(again.find(queries, 10).ids, truth) >= 0.9
        assert recall(again.find(queries, 10, where={"i": {"$lt": 60}}).ids, np.sort(truth)) >= 0  # filtered: no error
        assert set(again.find(queries, 100, where={"i": {"$lt": 60}}).ids.ravel()) - {-1} == set(range(1, 61))


def test_rows_added_after_the_graph_are_found_and_deleted_ones_are_not(clouds):
    collection, values = clouds
    collection.build_graph(recall=0.95)
    new = np.zeros((1, 16), np.float32)
    new[0, 3] = 1
    collection.add([Record("new", "new row")], vectors=Vectors(new, SPACE))
    assert collection.find(Vectors(new, SPACE), 1).ids[0, 0] == 6001
    nearest = int(collection.find(Vectors(values[:1], SPACE), 1).ids[0, 0])
    collection.delete([f"r{nearest - 1}"])
    assert nearest not in collection.find(Vectors(values[:1], SPACE), 50).ids


def test_a_damaged_graph_is_passed_over_with_a_warning_and_built_again(clouds):
    collection, values = clouds
    queries = Vectors(values[::300], SPACE)
    truth = collection.find(queries, 10)
    collection.build_graph(recall=0.95)
    (file,) = (collection.path / "derived").iterdir()
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with Collection.open(collection.path) as reader, pytest.warns(IndexWarning, match="every row is searched"):
        found = reader.find(queries, 10)
    assert (found.ids == truth.ids).all()
    assert [p.derived for p in collection.verify().problems] == [True]
    collection.compact()
    assert collection.verify().ok
    with Collection.open(collection.path) as reader, warnings.catch_warnings():
        warnings.simplefilter("error")
        reader.find(queries, 10)


def test_a_graph_is_built_again_when_much_has_changed(clouds):
    collection, _ = clouds
    before = collection.build_graph(recall=0.95)
    collection.delete([f"r{i}" for i in range(2000)])
    collection.compact()
    assert collection.info()["graph"]["rows"] == 4000 < before.rows


def test_no_graph_over_nothing(tmp_path):
    pytest.importorskip("faiss")
    with Collection.create(tmp_path / "c", encoder=None, space=SPACE) as collection:
        with pytest.raises(InputError, match="must hold records"):
            collection.build_graph()
        assert collection.info()["graph"] is None
        assert collection._store.derived_info(GRAPH) is None


# ---------------------------------------------------------------- upkeep


def test_what_is_whole_needs_no_upkeep(tmp_path, encoder):
    with Collection.create(tmp_path / "c", encoder=encoder) as collection:
        collection.add(["one", "two"])
        assert encode_missing(collection._store, collection.settings, encoder) == 0
        assert describe(collection._store, collection.settings, collection._finder) == collection.info()
        assert [r.text for r in collection.passages(next(collection.records()).id)] == ["one"]
        assert collection.passages("nobody") == []
