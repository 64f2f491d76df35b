"""The Collection, with an encoder that needs no model; nestvec.search.creating makes its settings."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest

from nestvec import Collection, Record, Space, Vectors
from nestvec.core.errors import (
    FilterError,
    InputError,
    LockedError,
    NoCollectionError,
    NotFoundError,
    SpaceMismatchError,
    StoreError,
    VersionError,
)

PETS = [
    Record("cat", "The cat sleeps on the mat all day.", {"kind": "pet", "legs": 4, "tags": ["fur", "claws"]}),
    Record("dog", "The dog runs after the ball.", {"kind": "pet", "legs": 4, "tags": ["fur"]}),
    Record("parrot", "The parrot repeats words.", {"kind": "pet", "legs": 2, "tags": ["feathers"]}),
    Record("engine", "An engine burns fuel and turns a shaft.", {"kind": "machine"}),
]


@pytest.fixture
def pets(tmp_path, encoder):
    with Collection.create(tmp_path / "pets", encoder=encoder) as collection:
        collection.add(PETS)
        yield collection


def long_text(words: int, *, start: int = 0) -> str:
    return " ".join(f"word{i}." if i % 10 == 9 else f"word{i}" for i in range(start, start + words))


# ---------------------------------------------------------------- finding


def test_the_nearest_record_comes_first_and_scores_fall(pets):
    found = pets.search("cat sleeps", k=4)
    assert found[0].id == "cat"
    assert [r.score for r in found] == sorted((r.score for r in found), reverse=True)
    assert found[0].metadata == PETS[0].metadata


def test_scores_are_cosines(pets, encoder):
    found = pets.search("dog", k=4)
    query = encoder.encode_query(["dog"]).values[0]
    for result in found:
        own = encoder.encode([result.record]).values[0]
        assert result.score == pytest.approx(float(query @ own), abs=1e-5)


def test_fewer_than_k_is_no_error(pets):
    assert len(pets.search("cat", k=100)) == 4
    assert pets.search("cat", k=10, where={"kind": "nothing"}) == []


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"kind": "machine"}, {"engine"}),
        ({"legs": {"$lt": 4}}, {"parrot"}),
        ({"tags": "fur"}, {"cat", "dog"}),
        ({"tags": {"$in": ["feathers", "claws"]}}, {"cat", "parrot"}),
        ({"legs": {"$exists": False}}, {"engine"}),
        ({"$or": [{"kind": "machine"}, {"legs": 2}]}, {"engine", "parrot"}),
        ({"kind": "pet", "$not": {"tags": "fur"}}, {"parrot"}),
    ],
)
def test_filters(pets, where, expected):
    for _ in range(2):  # the second time from the cache
        assert {r.id for r in pets.search("anything", where=where)} == expected
        assert {r.id for r in pets.search("the an words fuel", where=where, mode="lexical")} <= expected


def test_a_filter_sees_what_was_added_after_it_was_first_used(pets):
    assert len(pets.search("x", where={"kind": "pet"})) == 3
    pets.add([Record("hamster", "The hamster runs in its wheel.", {"kind": "pet"})])
    assert len(pets.search("x", where={"kind": "pet"})) == 4


def test_lexical_search_needs_the_words(pets):
    assert [r.id for r in pets.search("parrots", mode="lexical")] == ["parrot"]  # stemmed
    assert pets.search("zebra", mode="lexical") == []
    assert pets.search('"(NEAR* ', mode="lexical") == []


def test_many_queries_give_what_one_by_one_gives(pets):
    queries = ["cat", "fuel shaft", "repeats words", ""]
    together = pets.search_many(queries, 3)
    assert [[r.id for r in some] for some in together] == [[r.id for r in pets.search(q, 3)] for q in queries]


def test_bad_questions_say_what_would_be_good(pets):
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        pets.search("cat", k=0)
    with pytest.raises(FilterError, match=r"did you mean \$gt"):
        pets.search("cat", where={"legs": {"$gt=": 1}})


def test_an_empty_collection_has_no_answers(tmp_path, encoder):
    with Collection.create(tmp_path / "empty", encoder=encoder) as collection:
        assert collection.search("anything") == []
        assert collection.search("anything", mode="lexical") == []
        assert collection.search("anything", where={"a": 1}) == []
        assert len(collection) == 0
        assert collection.verify().ok


def test_equal_scores_go_to_the_older_row(tmp_path, encoder):
    with Collection.create(tmp_path / "same", encoder=encoder) as collection:
        collection.add([Record(f"r{i}", "the same text") for i in range(20)])
        assert [r.id for r in collection.search("same text", k=5)] == [f"r{i}" for i in range(5)]


# ---------------------------------------------------------------- passages


def test_a_long_record_becomes_passages_that_know_their_place(tmp_path, encoder):
    text = long_text(200)
    with Collection.create(tmp_path / "long", encoder=encoder, overlap=5) as collection:
        report = collection.add([Record("book", text, {"shelf": 3}, title="Words")])
        assert report.passages > 4
        assert report.read.split == 1
        found = collection.search("word150 word151 word152", k=1)[0]
        assert found.document == "book"
        assert found.title == "Words"
        assert found.metadata["shelf"] == 3
        assert text[found.place.start : found.place.end] == found.text
        assert "word150" in found.text
        assert len(collection.search("word1", k=50, per_document=True)) == 1


def test_no_passage_is_longer_than_the_encoder_sees(tmp_path, make_encoder):
    encoder = make_encoder(window=25)
    with Collection.create(tmp_path / "long", encoder=encoder) as collection:
        collection.add([Record("book", long_text(500), title="a title of six words here")])
    assert max(encoder.count_tokens(encoder.encoded)) <= 25


def test_budget_zero_keeps_records_whole(tmp_path, encoder):
    with Collection.create(tmp_path / "whole", encoder=encoder, budget=0) as collection:
        collection.add([Record("book", long_text(200))])
        assert len(collection) == 1


def test_a_document_that_gets_shorter_loses_its_old_passages(tmp_path, encoder):
    with Collection.create(tmp_path / "long", encoder=encoder) as collection:
        collection.add([Record("book", long_text(300))])
        before = len(collection)
        collection.add([Record("book", long_text(90))])
        assert 1 < len(collection) < before
        collection.add([Record("book", "short now")])
        assert [r.id for r in collection.records()] == ["book"]


def test_documents_are_whole_over_the_edges_of_batches(tmp_path, make_encoder):
    encoder = make_encoder(window=10)
    with Collection.create(tmp_path / "long", encoder=encoder, overlap=0) as collection:
        collection.add(
            [Record("one", long_text(15_000)), Record("two", long_text(50, start=15_000))]
        )  # > 1024 passages
        assert len(collection) > 1100
        encoder.encoded.clear()
        again = collection.add([Record("one", long_text(15_000)), Record("two", long_text(50, start=15_000))])
        assert (again.encoded, again.removed, again.commits) == (0, 0, 0)
        collection.delete(["one"])
        assert {r.place.parent for r in collection.records()} == {"two"}


# ---------------------------------------------------------------- what changed


def test_adding_the_same_again_encodes_and_commits_nothing(pets, encoder):
    version = pets.version
    encoder.encoded.clear()
    report = pets.add(PETS)
    assert (report.unchanged, report.encoded, report.commits) == (4, 0, 0)
    assert encoder.encoded == []
    assert pets.version == version


def test_new_metadata_does_not_encode_again(pets, encoder):
    encoder.encoded.clear()
    report = pets.add([Record("cat", PETS[0].content, {"kind": "cat"})])
    assert (report.reused, report.encoded) == (1, 0)
    assert encoder.encoded == []
    assert pets.get("cat")[0].metadata == {"kind": "cat"}
    assert pets.search("cat sleeps", k=1)[0].id == "cat"


def test_the_same_text_under_another_id_does_not_encode_again(pets, encoder):
    before = pets.vectors(["dog"]).values
    encoder.encoded.clear()
    pets.add([Record("hound", PETS[1].content)])
    assert encoder.encoded == []
    assert (pets.vectors(["hound"]).values == before).all()


def test_records_with_the_same_text_are_all_kept(tmp_path, encoder):
    with Collection.create(tmp_path / "twins", encoder=encoder) as collection:
        collection.add([Record("a", "same"), Record("b", "same")])
        assert len(collection) == 2


def test_index_a_folder_then_again_then_prune(tmp_path, encoder):
    docs = tmp_path / "docs"
    docs.mkdir()
    for name in ("a", "b", "c"):
        (docs / f"{name}.txt").write_text(f"The file {name} is about {name * 3}.")
    with Collection.create(tmp_path / "c", encoder=encoder) as collection:
        assert collection.index(docs).encoded == 3
        (docs / "b.txt").write_text("Something else entirely.")
        (docs / "c.txt").unlink()
        (docs / "d.txt").write_text("A fourth one.")
        survey = collection.survey(docs)
        assert (survey.passages, survey.to_encode) == (3, 2)
        report = collection.index(docs)
        assert (report.encoded, report.unchanged, report.gone) == (2, 1, 1)
        assert "docs/c.txt" in collection
        report = collection.index(docs, prune=True)
        assert (report.encoded, report.gone, report.removed) == (0, 1, 1)
        assert sorted(r.id for r in collection.records()) == ["docs/a.txt", "docs/b.txt", "docs/d.txt"]


def test_a_run_that_stops_half_way_goes_on_where_it_stopped(tmp_path, make_encoder):
    class Stumbling(make_encoder):
        def encode(self, records, **settings):
            if len(self.encoded) >= 2048:
                raise KeyboardInterrupt
            return super().encode(records, **settings)

    records = [Record(f"r{i}", f"record number {i}") for i in range(3000)]
    with (
        Collection.create(tmp_path / "c", encoder=Stumbling()) as collection,
        pytest.raises(KeyboardInterrupt),
    ):
        collection.add(records)
    encoder = make_encoder()
    with Collection.open(tmp_path / "c", encoder=encoder, write=True) as collection:
        assert len(collection) == 2048
        report = collection.add(records)
        assert (report.unchanged, report.encoded) == (2048, 952)
        assert len(encoder.encoded) == 952
        assert len(collection) == 3000


# ---------------------------------------------------------------- spaces


def test_another_encoder_is_refused_by_name(pets, make_encoder):
    with pytest.raises(SpaceMismatchError, match=r"salt-0.*salt-7"):
        Collection.open(pets.path, encoder=make_encoder(salt=7))
    with pytest.raises(SpaceMismatchError):
        pets.find(make_encoder(salt=7).encode_query(["cat"]))
    with pytest.raises(SpaceMismatchError):
        pets.add(["x"], vectors=make_encoder(salt=7).encode(["x"]))


def test_a_renamed_encoder_is_the_same(pets, make_encoder):
    with Collection.open(pets.path, encoder=make_encoder(name="elsewhere")) as again:
        assert again.search("cat sleeps", k=1)[0].id == "cat"


def test_vectors_of_ones_own(tmp_path):
    space = Space("mine", weights="v1", pooling="none", dim=3)
    with Collection.create(tmp_path / "c", encoder=None, space=space) as collection:
        collection.add(
            [Record("x", "east"), Record("y", "north")], vectors=Vectors(np.eye(3, dtype=np.float32)[:2], space)
        )
        hits = collection.find(Vectors(np.array([[0.1, 1, 0]], np.float32), space), k=2)
        assert [collection.get(["x", "y"])[i - 1].id for i in hits.ids[0]] == ["y", "x"]
        with pytest.raises(InputError, match="encoder="):
            collection.search("north")
        with pytest.raises(InputError, match="one vector a record, got 2 and 1"):
            collection.add(["z"], vectors=Vectors(np.eye(3, dtype=np.float32)[:2], space))


def test_vectors_that_are_not_unit_are_compared_by_cosine_where_that_is_the_metric(tmp_path):
    for metric, first in (("cosine", "short"), ("dot", "long")):
        space = Space("mine", weights="v1", pooling="none", dim=2, metric=metric, unit=False)
        values = np.array([[0.1, 0.0], [9.0, 9.0]], np.float32)
        with Collection.create(tmp_path / metric, encoder=None, space=space) as collection:
            collection.add([Record("short", "s"), Record("long", "l")], vectors=Vectors(values, space))
            hits = collection.find(Vectors(np.array([[5.0, 0.0]], np.float32), space), k=2)
            names = {1: "short", 2: "long"}
            assert names[int(hits.ids[0, 0])] == first


def test_create_needs_an_encoder_or_a_space(tmp_path, encoder):
    with pytest.raises(InputError, match="either an encoder or a space"):
        Collection.create(tmp_path / "c", encoder=None)
    with pytest.raises(InputError, match="either an encoder or a space"):
        Collection.create(tmp_path / "c", encoder=encoder, space=encoder.space)
    with pytest.raises(InputError, match="budget must be 0 to 40"):
        Collection.create(tmp_path / "c", encoder=encoder, budget=41)
    assert not (tmp_path / "c").exists()


# ---------------------------------------------------------------- keeping


def test_get_delete_and_contains(pets):
    assert [r.id for r in pets.get(["dog", "cat"])] == ["dog", "cat"]
    assert "dog" in pets
    assert 3 not in pets
    assert pets.delete(["dog", "nobody"]) == 1
    assert "dog" not in pets
    assert all(r.id != "dog" for r in pets.search("dog runs", k=10))
    with pytest.raises(NotFoundError, match="'dog'"):
        pets.get("dog")
    assert pets.delete("cat") == 1  # one id is an id, not three letters


def test_older_versions_open_until_compaction(pets, encoder):
    pets.delete(["cat"])
    pets.add([Record("cow", "The cow gives milk.")])
    with Collection.open(pets.path, encoder=encoder, version=2) as old:
        assert {r.id for r in old.records()} == {r.id for r in PETS}
        assert old.search("cat sleeps", k=1)[0].id == "cat"
        assert "cow" not in old
        done = pets.compact()
        assert done.removed == 1
        assert old.search("cat sleeps", k=1)[0].id == "cat"  # its transaction began before
        with pytest.raises(StoreError, match="write=True"):
            old.delete(["dog"])
    with pytest.raises(VersionError, match="compacted"):
        Collection.open(pets.path, encoder=encoder, version=2)
    assert pets.verify().ok


def test_readers_follow_a_writer(pets, encoder):
    with Collection.open(pets.path, encoder=encoder) as reader:
        assert len(reader) == 4
        pets.add([Record("cow", "The cow gives milk.")])
        assert reader.search("cow milk", k=1)[0].id == "cow"
        with pytest.raises(LockedError, match="one writer at a time"):
            Collection.open(pets.path, encoder=encoder, write=True)


def test_searching_from_threads_while_another_adds(pets):
    failures: list[BaseException] = []
    stop = threading.Event()

    def search() -> None:
        try:
            while not stop.is_set():
                found = pets.search("cat sleeps", k=3)
                assert found[0].id == "cat"
                assert len(found) == 3
        except BaseException as failure:  # noqa: BLE001  # a thread's failure is the test's failure
            failures.append(failure)

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for i in range(40):
        pets.add([Record(f"n{i}", f"note number {i} about tax returns")])
        if i % 10 == 5:
            pets.compact()
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []


def test_damage_is_an_error_then_repaired_with_new_vectors(tmp_path, make_encoder):
    encoder = make_encoder(dim=64)
    path = tmp_path / "c"
    records = [Record(f"r{i}", f"record number {i} of them") for i in range(50)]
    with Collection.create(path, encoder=encoder) as collection:
        collection.add(records)
        before = collection.vectors([r.id for r in records]).values
    segment = next((path / "segments").iterdir())
    damaged = bytearray(segment.read_bytes())
    damaged[600] ^= 8
    segment.write_bytes(damaged)
    with Collection.open(path, encoder=encoder) as collection:
        with pytest.raises(StoreError, match="nestvec repair"):
            collection.search("record")
        assert [p.file for p in collection.verify().problems] == [f"segments/{segment.name}"]
        assert collection.verify(quick=True).ok  # the blocks are not read
    done = Collection.repair(path, encoder=encoder)
    assert done.lost_rows == 0
    assert done.missing == {}
    assert len(done.quarantined) == 1
    with Collection.open(path, encoder=encoder) as collection:
        assert collection.verify().ok
        assert (collection.vectors([r.id for r in records]).values == before).all()


def test_no_collection_there(tmp_path: Path, encoder):
    with pytest.raises(NoCollectionError, match="nestvec index"):
        Collection.open(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(NoCollectionError):
        Collection.open(tmp_path / "file")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("x")
    with pytest.raises(StoreError, match=r"holds mine\.txt"):
        Collection.create(tmp_path / "folder", encoder=encoder)
    assert (tmp_path / "folder" / "mine.txt").read_text() == "x"


def test_a_closed_collection_says_so(tmp_path, encoder):
    collection = Collection.create(tmp_path / "c", encoder=encoder)
    collection.close()
    collection.close()
    with pytest.raises(StoreError, match="closed"):
        len(collection)


def test_info_counts(pets):
    pets.delete(["cat"])
    info = pets.info()
    assert (info["records"], info["deleted_rows"], info["version"]) == (3, 1, 3)
    assert info["bytes"] > info["vector_bytes"] == 4 * 32 * 4
    assert info["fingerprint"] == pets.space.fingerprint
