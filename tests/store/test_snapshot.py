import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import CorruptError, NotFoundError, VersionError
from nestvec.core.filters import parse_filter
from nestvec.core.record import Place, Record
from nestvec.store import Store


def commit(store, *records):
    return store.commit(records, {"dense": np.zeros((len(records), 4), np.float32)})


def test_records_come_back_as_they_went_in(store):
    records = [
        Record("plain", "text"),
        Record("empty", ""),
        *(Record(f"number {text}", text, title=text) for text in ("7", "007", "1e5", "0x10", " 1", "-0.0")),
        Record("long", "ä😀 long " * 500, {"n": 1.5, "s": "x", "b": True, "z": None, "l": [1, [2]], "o": {"k": {}}}),
        Record("nul", "a\0b", {"k\0": "v\0"}, title="Ti\0tle"),
        Record("doc#1", "part", {}, "Doc", Place("doc", 3, 9, ("A", "B/C"), 2)),
        Record("whole", "part", {}, "Doc", Place("whole", 0, 4)),
        Record("ü'\"--", "x", {'quo"te': 1, "": 2, "$a.b": 3}),
    ]
    commit(store, *records)
    with store.read() as snapshot:
        got = snapshot.get([record.id for record in records])
    assert got == records


def test_records_keep_the_order_asked_for_and_may_repeat(store, put):
    put(*(f"id{i}" for i in range(30)))
    with store.read() as snapshot:
        found = snapshot.find([f"id{i}" for i in range(30)])
        rids = [found["id7"], found["id3"], found["id7"]]
        assert [r.id for r in snapshot.records(rids)] == ["id7", "id3", "id7"]
        assert [r.id for r in snapshot.get(["id9", "id2", "id9"])] == ["id9", "id2", "id9"]
        vectors = snapshot.vectors("dense", np.array(rids))
        np.testing.assert_array_equal(vectors[:, 0], [7, 3, 7])
        assert snapshot.records([]) == []
        assert snapshot.find([]) == {}
        assert snapshot.get([]) == []


def test_more_ids_than_sqlite_binds_at_once(store):
    ids = [f"id{i}" for i in range(25_000)]
    commit(store, *(Record(id_, "x") for id_ in ids))
    with store.read() as snapshot:
        found = snapshot.find([*ids, "absent"])
        assert len(found) == 25_000
        assert [r.id for r in snapshot.records([found[id_] for id_ in ids[::-1]])] == ids[::-1]


def test_what_is_not_there(store, put):
    put("a")
    with store.read() as snapshot:
        with pytest.raises(NotFoundError, match="got 'b', which is not in it"):
            snapshot.get(["a", "b"])
        assert snapshot.find(["b", "\ud800", "a\0"]) == {}
        with pytest.raises(NotFoundError):
            snapshot.get(["\ud800"])
        with pytest.raises(CorruptError, match="row 9 is gone"):
            snapshot.records([9])
        with pytest.raises(NotFoundError, match="got row 9, which has none"):
            snapshot.vectors("dense", np.array([1, 9]))


def test_an_empty_collection(store):
    with store.read() as snapshot:
        assert len(snapshot) == 0
        assert snapshot.match("word", 5) == []
        assert snapshot.select(parse_filter({})).shape == (0,)
        assert list(snapshot.rows()) == list(snapshot.digests()) == []
        assert snapshot.segments("dense") == ()


def test_children_and_digests(store):
    whole = Record("doc", "all of it")
    parts = [Record(f"doc#{i}", f"part {i}", place=Place("doc", i, i + 1, (), i)) for i in range(3)]
    commit(store, whole, *parts, Record("other", "x"))
    with store.read() as snapshot:
        assert snapshot.children("doc") == ["doc", "doc#0", "doc#1", "doc#2"]
        assert snapshot.children("absent") == []
        assert [(id_, rid) for id_, rid, _ in snapshot.digests()][:2] == [("doc", 1), ("doc#0", 2)]
        assert next(digest for *_, digest in snapshot.digests()) == whole.digest


def bm25(texts, words):
    """FTS5's formula, spelled out."""
    tokens = [text.lower().split() for text in texts]
    average = sum(map(len, tokens)) / len(tokens)
    scores = []
    for mine in tokens:
        score = 0.0
        for word in words:
            n = sum(word in t for t in tokens)
            idf = max(math.log((len(tokens) - n + 0.5) / (n + 0.5)), 1e-6)
            tf = mine.count(word)
            score += idf * tf * 2.2 / (tf + 1.2 * (0.25 + 0.75 * len(mine) / average))
        scores.append(score)
    return scores


def test_match_is_bm25_best_first(store):
    texts = ["red fox", "red red red", "blue bird in a tree", "red blue", "green", "fox", "tree", "bird cat"]
    commit(store, *(Record(f"t{i}", text) for i, text in enumerate(texts)))
    want = bm25(texts, ["red", "blue"])
    with store.read() as snapshot:
        got = snapshot.match("red blue", 10)
    order = sorted((i for i in range(len(texts)) if want[i] > 0), key=lambda i: (-want[i], i))
    assert [rid - 1 for rid, _ in got] == order
    np.testing.assert_allclose([score for _, score in got], [want[i] for i in order], rtol=1e-6)


def test_match_breaks_ties_by_row_stems_and_sees_titles(store, put):
    commit(store, *(Record(f"t{i}", "running dogs") for i in range(5)), *(Record(f"o{i}", "else") for i in range(9)))
    commit(store, Record("titled", "else", title="Zebra"))
    with store.read() as snapshot:
        assert [rid for rid, _ in snapshot.match("run", 3)] == [1, 2, 3]
        assert [rid for rid, _ in snapshot.match("DOG run dog run", 9)] == [1, 2, 3, 4, 5]
        assert [rid for rid, _ in snapshot.match("zebras", 9)] == [15]
        assert snapshot.match("run", 0) == []


def test_match_meets_the_filter_and_the_version(store):
    commit(store, *(Record(f"t{i}", "word", {"i": i}) for i in range(6)))
    store.commit(remove=["t4"])
    with store.read() as snapshot:
        assert [rid for rid, _ in snapshot.match("word", 9, where=parse_filter({"i": {"$gte": 3}}))] == [4, 6]
        assert [rid for rid, _ in snapshot.match("word", 1, where=parse_filter({"i": {"$gte": 3}}))] == [4]
    with Store.open(store.path, version=2) as old, old.read() as snapshot:
        assert len(snapshot.match("word", 9)) == 6


@pytest.mark.parametrize(
    "query",
    ['"', "*", "NEAR(", "-", "😀", "", " ", "AND", "word OR", "title:word", "^word", "{title}:", "(", "\0", "\ud800",
     "_", "a" * 10_000, "' OR 1=1 --", "\u0301", "word*", "NOT", '"word', "w\0rd",
     " ".join(f"w{i}" for i in range(5000))],
)  # fmt: skip
def test_any_query_is_words_and_nothing_else(store, query):
    commit(store, Record("a", "a word here"))
    with store.read() as snapshot:
        assert snapshot.match(query, 5) == [] or "word" in query


@given(st.text())
def test_no_query_is_an_error(tmp_path_factory, query):
    with once(tmp_path_factory).read() as snapshot:
        snapshot.match(query, 5)


_made = []


def once(tmp_path_factory):
    if not _made:
        _made.append(Store.create(tmp_path_factory.mktemp("match") / "c", settings={"arrays": {"dense": 4}}))
        commit(_made[0], Record("a", "some words here"))
    return _made[0]


def test_select_orders_by_row(store):
    commit(store, *(Record(f"t{9 - i}", "x", {"even": i % 2 == 0}) for i in range(6)))
    with store.read() as snapshot:
        assert snapshot.select(parse_filter({"even": True})).tolist() == [1, 3, 5]
        assert snapshot.select(parse_filter({"$not": {}})).tolist() == []


def test_older_versions_stay_as_they_were(store, put):
    put("a", "b")  # version 2
    put("b", "c", start=10)  # 3
    store.commit(remove=["a"])  # 4
    want = {1: {}, 2: {"a": 0, "b": 1}, 3: {"a": 0, "b": 10, "c": 11}, 4: {"b": 10, "c": 11}}
    for version, rows in want.items():
        with Store.open(store.path, version=version) as old, old.read() as snapshot:
            found = snapshot.find(["a", "b", "c"])
            assert found.keys() == rows.keys()
            if rows:
                got = snapshot.vectors("dense", np.array(list(found.values())))[:, 0].tolist()
                assert dict(zip(found, got, strict=True)) == rows
            held = np.concatenate([s.rows for s in snapshot.segments("dense")])
            assert set(held) - set(snapshot.state.dead) == set(found.values())
    assert [(v.version, v.what, v.count, v.added, v.removed) for v in store.versions()] == [
        (1, "create", 0, 0, 0),
        (2, "commit", 2, 2, 0),
        (3, "commit", 3, 2, 1),
        (4, "commit", 2, 0, 1),
    ]
    for version in (0, -1, 5):
        with pytest.raises(VersionError, match=f"version must be 1 to 4, got {version}"):
            Store.open(store.path, version=version)
