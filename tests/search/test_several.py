"""Collections whose records keep several vectors, with an encoder that needs no model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nestvec import Collection, MultiVectors, Record, Size, Space, Vectors
from nestvec.core.errors import CorruptError, InputError, SpaceMismatchError, UnknownNameError
from nestvec.kernels.maxsim import maxsim
from nestvec.search import proxy
from nestvec.search.columns import means, with_several
from nestvec.search.late import living, maxsim_of, mean_serves, rank
from nestvec.search.several import Several, choose_several, split, unit
from nestvec.search.turning import turn
from nestvec.search.warning import IndexWarning
from nestvec.store import Store

WORDS = tuple("cat dog parrot engine fuel wing ball mat claw shaft sea stone cloud river lamp door key".split())  # noqa: SIM905  # a list would fill the page


def texts(n, *, seed=0, words=6):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, words)) for _ in range(n)]


class TokenWords:
    """A vector for every word, out of an encoder that gives one a text."""

    def __init__(self, words, *, size):
        self._words, self.size = words, size
        self.space = Space("words", weights=f"{words.space.weights} tokens", pooling="tokens", dim=words.space.dim)

    def encode(self, records):
        return self._made([r if isinstance(r, str) else r.full_text for r in records])

    def encode_query(self, queries):
        return self._made(list(queries))

    def _made(self, found):
        items = [np.array([self._words._vector(word) for word in text.split()]) for text in found]
        values = np.concatenate([np.zeros((0, self.space.dim), np.float32), *(i for i in items if len(i))])
        return MultiVectors(values, np.cumsum([0, *map(len, items)], dtype=np.int64), self.space)


@pytest.fixture
def encoder(make_encoder):
    class Elastic(make_encoder):
        def at(self, size):
            size = Size.parse(size)
            return TokenWords(self, size=size) if size.many else self

    return Elastic()


@pytest.fixture
def make(tmp_path, encoder):
    def make(size="vall", n=30, **options):
        made = Collection.create(tmp_path / "c", encoder=encoder, size=size, **options)
        made.add([Record(f"r{i}", text, {"even": i % 2 == 0}) for i, text in enumerate(texts(n))])
        return made

    return make


def exact(encoder, query, found):
    """MaxSim over all words, by id."""
    tokens = encoder.at("vall")
    kept = tokens.encode(list(found.values()))
    scores = maxsim(tokens.encode_query([query]).values, kept.values, kept.offsets)
    return dict(zip(found, scores.tolist(), strict=True))


def best(encoder, query, found, k=5):
    """Ids of the best by it."""
    scores = exact(encoder, query, found)
    return sorted(scores, key=lambda name: -scores[name])[:k]


def agree(results, encoder, query, found):
    """Whether results are the best by MaxSim, their scores in 8 bits; texts of the same words may change places."""
    scores = exact(encoder, query, found)
    wanted = sorted(scores.values(), reverse=True)[: len(results)]
    near = [abs(result.score - scores[result.id]) < 0.05 for result in results]
    return all(near) and [scores[result.id] for result in results] == pytest.approx(wanted, abs=0.05)


def ids(results):
    return [result.id for result in results]


# ---------------------------------------------------------------- finding


@pytest.mark.parametrize("size", ["vall-b16", "vall"])
def test_search_is_maxsim_over_all_words(make, encoder, size):
    all_ = {f"r{i}": text for i, text in enumerate(texts(30))}
    with make(size) as collection:
        for query in texts(5, seed=9, words=3):
            found = collection.search(query, k=5)
            assert agree(found, encoder, query, all_)
            assert found[0].score <= 3.01  # a word of the query adds 1 at most


def test_one_word_is_found_among_many_where_the_mean_drowns_it(tmp_path, encoder):
    with Collection.create(tmp_path / "c", encoder=encoder, size="vall") as collection:
        collection.add([Record("long", "needle " + " ".join(WORDS)), Record("near", "thread needles")])
        assert ids(collection.search("needle", k=1)) == ["long"]


def test_what_was_added_replaced_and_deleted_is_so_after_opening_again(make, encoder):
    with make() as collection:
        path = collection.path
        collection.add([Record("r3", "zebra stripes")])
        collection.delete(["r4"])
        collection.compact()
    now = {f"r{i}": text for i, text in enumerate(texts(30)) if i != 4} | {"r3": "zebra stripes"}
    with Collection.open(path, encoder=encoder) as collection:
        assert ids(collection.search("zebra", k=1)) == ["r3"]
        for query in texts(5, seed=9):
            assert agree(collection.search(query, k=5), encoder, query, now)
        assert collection.verify().ok


def test_text_that_is_there_under_another_id_is_not_encoded_again(make, encoder):
    with make() as collection:
        encoder.encoded.clear()
        report = collection.add([Record("again", texts(30)[7])])
        assert (report.reused, encoder.encoded) == (1, [])
        assert {"r7", "again"} <= set(ids(collection.search(texts(30)[7], k=4)))


def test_filters_hold_with_and_without_candidates(make, monkeypatch):
    monkeypatch.setattr("nestvec.search.finder.EXACT", 5)
    monkeypatch.setattr(proxy, "_UNMEASURED", 12)
    with make(n=60) as collection:
        for where in ({"even": True}, {"$and": [{"even": False}]}):
            found = collection.search(texts(1, seed=3)[0], k=10, where=where)
            assert len(found) == 10
            assert all(result.metadata["even"] is (where == {"even": True}) for result in found)


def test_candidates_are_enough_and_scores_those_of_the_vectors(make, encoder, monkeypatch):
    monkeypatch.setattr("nestvec.search.finder.EXACT", 5)
    monkeypatch.setattr(proxy, "_UNMEASURED", 40)
    all_ = {f"r{i}": text for i, text in enumerate(texts(120))}
    with make(n=120) as collection:
        hit = [len(set(best(encoder, q, all_)) & set(ids(collection.search(q, k=5)))) for q in texts(8, seed=5)]
        assert np.mean(hit) >= 4.5  # of 5, with 40 of 120 looked at


@pytest.mark.parametrize("size", ["v1-b8", "v2", "v50%", "vall", "vall-b16", "vall-b4", "vall-b1"])
def test_sizes_keep_so_many_vectors_in_so_many_bits(make, size):
    with make(size, n=10) as collection:
        several = collection.info()["several"]
        pinned = Size.parse(collection.settings.size)
        if size == "v1-b8":
            assert (several, str(pinned)) == (None, "b8")
            return
        assert str(Size.parse(size)) in str(pinned)
        each = {"v2": 2, "v50%": 3}.get(size, 6)
        assert several["kept"] == 10 * each
        assert several["bits"] == pinned.bits == (Size.parse(size).bits or 8)
        assert collection.search("cat", k=3)
    with Collection.open(collection.path) as again:
        assert again.settings.size == str(pinned)


def test_clusters_are_of_length_one(make):
    with make("v2-b16", n=10) as collection, collection._store.read() as snapshot:
        kept = collection.settings.several.unpack(snapshot.several("tokens", np.arange(1, 11)))
        assert np.linalg.norm(kept.values, axis=1) == pytest.approx(np.ones(20), abs=1e-3)


def test_a_query_without_words_finds_nothing_and_k_must_be_positive(make):
    with make() as collection:
        assert collection.search("", k=3) == []
        with pytest.raises(InputError, match="k must be at least 1"):
            collection.search("cat", k=0)


def test_lexical_search_and_the_single_vector_are_still_there(make, encoder):
    with make() as collection:
        assert collection.search("cat", k=2, mode="lexical")
        hits = collection.find(encoder.encode_query(["cat"]), 3)
        assert (hits.scores <= 1.001).all()


# ---------------------------------------------------------------- brought along


SPACE = Space("mine", weights="w", pooling="tokens", dim=4)


def several(*lengths, seed=0, space=SPACE):
    values = np.random.default_rng(seed).standard_normal((sum(lengths), 4), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return MultiVectors(values, np.cumsum([0, *lengths], dtype=np.int64), space)


@pytest.fixture
def brought(tmp_path):
    with Collection.create(tmp_path / "b", encoder=None, space=SPACE, size="vall-b16") as collection:
        collection.add([Record(f"r{i}", "x" * (i + 1)) for i in range(5)], vectors=several(3, 1, 0, 12, 2))
        yield collection


def test_vectors_that_were_brought_along_are_compared_by_maxsim(brought):
    queries = several(2, 3, seed=4)
    kept = several(3, 1, 0, 12, 2)
    hits = brought.find(queries, 5)
    for i in range(2):
        scores = maxsim(queries[i], kept.values, kept.offsets)
        order = np.argsort(-scores, kind="stable")
        assert hits.ids[i].tolist() == [*(order[:4] + 1), -1]  # the one without vectors is not found
        assert hits.scores[i][:4] == pytest.approx(scores[order[:4]], abs=3e-3)


def test_the_single_vector_is_the_mean(brought):
    single = brought.vectors(["r0", "r2"]).values
    assert single[0] == pytest.approx(means(several(3))[0], abs=1e-6)
    assert not single[1].any()


class ProjectedWords(TokenWords):
    """Vectors of words mapped to another space, of as many dimensions or fewer."""

    def __init__(self, words, *, size, dim):
        super().__init__(words, size=size)
        self.map = np.random.default_rng(1).standard_normal((self.space.dim, dim)).astype(np.float32)
        self.whole, self.space = self.space, replace(self.space, weights="mapped", dim=dim)

    def _made(self, found):
        mapped, self.space = self.space, self.whole
        made = super()._made(found)
        self.space = mapped
        return MultiVectors(unit(made.values @ self.map), made.offsets, mapped)


@pytest.mark.parametrize("dim", [12, 32])
def test_queries_of_projected_tokens_are_compared_with_all_rows(tmp_path, make_encoder, monkeypatch, dim):
    class Elastic(make_encoder):
        def at(self, size):
            size = Size.parse(size)
            return ProjectedWords(self, size=size, dim=dim) if size.many else self

    monkeypatch.setattr("nestvec.search.finder.EXACT", 5)
    monkeypatch.setattr(proxy, "_UNMEASURED", 12)
    encoder = Elastic()
    with Collection.create(tmp_path / "c", encoder=encoder, size="vall-b16") as collection:
        collection.add(texts(60))
        with collection._store.read() as snapshot:
            assert not mean_serves(snapshot, collection.settings.several)
        kept, asked = (encoder.at("vall").encode(texts(n, seed=seed)) for n, seed in ((60, 0), (6, 5)))
        hits = collection.find(asked, 5)
        for i in range(6):
            scores = maxsim(asked[i], kept.values, kept.offsets)
            assert hits.scores[i] == pytest.approx(np.sort(scores)[::-1][:5], abs=0.01)


def test_queries_of_tokens_take_the_mean_for_candidates_where_it_lies_right(make, encoder, monkeypatch):
    monkeypatch.setattr("nestvec.search.finder.EXACT", 5)
    monkeypatch.setattr(proxy, "_UNMEASURED", 12)
    seen = []
    monkeypatch.setattr("nestvec.search.finder.rank", lambda *args: seen.append(args[3]) or rank(*args))
    with make(n=60) as collection:
        with collection._store.read() as snapshot:
            assert mean_serves(snapshot, collection.settings.several)
        asked = encoder.at("vall").encode_query(texts(2, seed=5))
        both = collection.search_many(texts(2, seed=5), 3)
        hits = collection.find(asked, 3)
        assert (hits.ids == [[r.rid for r in row] for row in both]).all()
        assert [len(rows) for rows in seen[-1]] == [12, 12]


def test_ten_thousand_vectors_in_one_record(brought):
    brought.add([Record("huge", "h")], vectors=several(10_000, seed=8))
    assert brought.find(several(1, seed=8), 1).ids[0, 0] == 6


def test_what_does_not_fit_is_refused(brought, make):
    one = Vectors(np.ones((1, 4), np.float32) / 2, SPACE)
    with pytest.raises(InputError, match="several vectors each at size vall-b16, got Vectors"):
        brought.add([Record("a", "x")], vectors=one)
    with pytest.raises(SpaceMismatchError):
        brought.add([Record("a", "x")], vectors=several(1, space=Space("mine", weights="v", pooling="tokens", dim=4)))
    with pytest.raises(InputError, match="one vector a record, got 2 and 1"):
        brought.add([Record("a", "x")], vectors=several(1, 1))
    with make("full") as plain, pytest.raises(InputError, match="one vector each at size full"):
        plain.add([Record("a", "x")], vectors=several(1))


def test_brought_along_they_can_only_become_fewer(brought):
    before = brought.find(several(2, seed=4), 4)
    brought.resize("vall-b8")
    assert (brought.find(several(2, seed=4), 4).ids == before.ids).all()
    brought.resize("v2-b8")
    assert brought.info()["several"]["kept"] == 2 + 1 + 2 + 2
    with pytest.raises(InputError, match="can only become fewer"):
        brought.resize("v4")
    brought.resize("v1")
    assert brought.settings.several is None
    with pytest.raises(InputError, match="can only become fewer"):
        brought.resize("v2")


def test_only_candidates_are_ranked_and_equal_scores_go_to_the_smaller_row(brought):
    brought.add([Record("twin", "again")], vectors=brought_again(brought, 4))
    with brought._store.read() as snapshot:
        assert living(snapshot).tolist() == [1, 2, 3, 4, 5, 6]
        how = brought.settings.several
        hits = rank(snapshot, how, several(2, 0), [np.array([6, 3, 4]), np.array([1])], 4)
        scores = maxsim_of(snapshot, how, several(2, 0)[0], np.array([6, 3, 4]))
    assert hits.ids.tolist() == [[4, 6, -1, -1], [-1] * 4]  # row 3 has no vectors, and the second query none
    assert hits.scores[0, 0] == hits.scores[0, 1] == scores[0] == scores[2]
    assert scores[1] == -np.inf


def brought_again(collection, row):
    with collection._store.read() as snapshot:
        return collection.settings.several.unpack(snapshot.several("tokens", np.array([row])))


# ---------------------------------------------------------------- turning


def test_turning_without_an_encoder_takes_what_is_kept(tmp_path):
    with Collection.create(tmp_path / "b", encoder=None, space=SPACE, size="v50%-b16") as collection:
        collection.add([Record("a", "x")], vectors=several(6))
        old, store = collection.settings, collection._store
        more = with_several(old, Size(vectors=4), None, None)
        with pytest.raises(InputError, match="can only become fewer, got size v4-b8 for v50%-b16"):
            turn(store, old, more, None, None)
        assert turn(store, old, with_several(old, Size(vectors="50%", bits=8), None, None), None, None).encoded == 0
        with store.read() as snapshot:
            assert len(snapshot.several("tokens", np.array([1])).values) == 3  # not half of a half
        assert turn(store, old, with_several(old, None, None, None), None, None).encoded == 0
        assert list(store.arrays) == ["dense"]


def test_a_collection_of_single_vectors_is_upgraded_in_place_and_back(make, encoder):
    all_ = {f"r{i}": text for i, text in enumerate(texts(30))}
    with make("full") as collection:
        collection.delete(["r1"])
        del all_["r1"]
        single = collection.vectors(["r5"]).values
        during = []
        with Collection.open(collection.path, encoder=encoder) as reader:
            done = collection.resize("vall-b16", progress=lambda *_: during.append(ids(reader.search("cat dog", k=3))))
            assert during
            assert set(map(tuple, during)) == {tuple(during[0])}  # what was there could be searched meanwhile
            assert agree(reader.search("cat", k=5), encoder, "cat", all_)  # and then what is there now
        assert (done.size, done.encoded, collection.settings.size) == ("vall-b16", 29, "vall-b16")
        assert agree(collection.search("cat dog", k=5), encoder, "cat dog", all_)
        assert (collection.vectors(["r5"]).values == single).all()
        assert collection.resize("vall-b16").encoded == 0  # it is so already
        collection.resize("v1")
        assert collection.info()["several"] is None
        assert collection.search("cat", k=3)
        assert collection.verify().ok


def test_a_resize_that_fails_changes_nothing(make, encoder, monkeypatch):
    with make("full") as collection:
        before = ids(collection.search("cat", k=5))

        def broken(*_):
            raise InputError("the model must work, got a broken one.")

        monkeypatch.setattr(TokenWords, "encode", broken)
        with pytest.raises(InputError, match="broken"):
            collection.resize("vall")
        assert collection.settings.size == "full"
        assert ids(collection.search("cat", k=5)) == before
        assert not list((collection.path / "segments").glob("tokens-*"))


def test_an_encoder_that_gives_one_vector_only_is_told(tmp_path, make_encoder):
    with pytest.raises(InputError, match="one for each token, got WordEncoder"):
        Collection.create(tmp_path / "c", encoder=make_encoder(), size="v8")
    assert not (tmp_path / "c").exists()


# ---------------------------------------------------------------- damage


def test_a_flipped_bit_in_the_codes_is_an_error_and_repair_encodes_again(make, encoder):
    with make() as collection:
        path = collection.path
        before = ids(collection.search("cat dog", k=5))
    (file,) = path.glob("segments/tokens-*.seg")
    data = bytearray(file.read_bytes())
    data[700] ^= 1
    file.write_bytes(data)
    with Collection.open(path, encoder=encoder) as damaged, pytest.raises(CorruptError):
        damaged.search("cat dog", k=5)
    done = Collection.repair(path, encoder=encoder)
    assert "30 rows were encoded again" in done.actions
    assert not done.missing
    with Collection.open(path, encoder=encoder) as mended:
        assert ids(mended.search("cat dog", k=5)) == before


# ---------------------------------------------------------------- measuring


def test_candidates_are_measured_and_told_and_measured_again_in_time(make, monkeypatch):
    monkeypatch.setattr(proxy, "EXACT", 50)
    monkeypatch.setattr(proxy, "_VECTORS", 600)
    with make(n=120, recall=0.9) as collection:
        told = collection.info()["several"]["candidates"]
        assert (told["rows"], told["sample"], told["target"]) == (120, 100, 0.9)
        assert 50 <= told["m"] <= 120
        assert told["recall"] >= 0.9
        collection.add(texts(10, seed=2))
        assert collection.info()["several"]["candidates"]["rows"] == 120
        collection.add(texts(300, seed=3))
        assert collection.info()["several"]["candidates"]["rows"] > 240
        collection.resize("v1")
        assert collection.info()["several"] is None


def test_the_share_that_is_measured_is_the_one_that_searches_find(make, encoder, monkeypatch):
    monkeypatch.setattr(proxy, "EXACT", 20)
    monkeypatch.setattr("nestvec.search.finder.EXACT", 20)
    monkeypatch.setattr(proxy, "_FEWEST", 1)
    all_ = {f"r{i}": text for i, text in enumerate(texts(60))}
    with make(n=60, recall=0.8) as collection:
        told = collection.info()["several"]["candidates"]
        found = [len(set(best(encoder, q, all_, k=10)) & set(ids(collection.search(q, k=10)))) for q in all_.values()]
        assert np.mean(found) / 10 == pytest.approx(told["recall"], abs=0.1)


def test_poor_candidates_are_told(make, monkeypatch):
    monkeypatch.setattr(proxy, "EXACT", 50)
    monkeypatch.setattr(proxy, "_MOST", 3)
    monkeypatch.setattr(proxy, "_FEWEST", 2)
    with pytest.warns(IndexWarning, match="single vectors are poor candidates"), make(n=120):
        pass


def test_damage_found_while_measuring_is_a_warning_not_a_failure(make, monkeypatch):
    def broken(*_, **__):
        raise CorruptError("a block must match, but it does not.")

    monkeypatch.setattr(proxy, "EXACT", 20)
    monkeypatch.setattr(proxy, "_sample", broken)
    with pytest.warns(IndexWarning, match="could not be measured"), make(n=30) as collection:
        assert len(collection) == 30


# ---------------------------------------------------------------- choosing


def test_the_dial_of_vectors_is_split_from_the_others():
    assert split("L3-v8-d128-b4", "rabitq@1") == (Size(vectors=8, bits=4), Size(depth=3, dim=128), None)
    assert split("d128-b1", "pq@1") == (None, "d128-b1", "pq@1")
    assert split(None, None) == (None, None, None)


@pytest.mark.parametrize(
    ("size", "codec", "told"),
    [
        (Size(vectors=8), None, ("int8_rows@1", 8)),
        (Size(vectors=8, bits=16), None, ("float16@1", 16)),
        (Size(vectors=8, bits=1), None, ("rabitq@1", 1)),
        (Size(vectors=8), "rabitq@1", ("rabitq@1", 1)),
        (Size(vectors=8, bits=16), "bfloat16@1", ("bfloat16@1", 16)),
    ],
)
def test_bits_choose_the_codec(size, codec, told):
    made = choose_several(size, codec, SPACE)
    assert (made.codec, made.bits) == told
    assert Several.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("size", "codec", "error", "said"),
    [
        (Size(vectors=8, bits=32), None, InputError, "bits must be 1 to 8 or 16"),
        (Size(vectors=8, bits=4), "int8_rows@1", InputError, "bits must be"),
        (Size(vectors=8), "pq@1", InputError, "must be kept by one of int8_rows@1"),
        (Size(vectors=8), "rabbitq@1", UnknownNameError, "did you mean"),
    ],
)
def test_what_cannot_keep_them_is_refused(size, codec, error, said):
    with pytest.raises(error, match=said):
        choose_several(size, codec, SPACE)


def test_codes_of_one_process_are_those_of_another():
    x = np.random.default_rng(0).standard_normal((20, 4), dtype=np.float32)
    for bits in (1, 4, 8, 16):
        a, b = (choose_several(Size(vectors=8, bits=bits), None, SPACE).coder for _ in range(2))
        assert (a.encode(x) == b.encode(x)).all()


def test_an_interrupted_upgrade_leaves_the_old_collection(make, encoder, monkeypatch):
    with make("full") as collection:
        path = collection.path

        def stop(*_, **__):
            raise KeyboardInterrupt

        monkeypatch.setattr("nestvec.store.writer.Writer.list_segments", stop)
        with pytest.raises(KeyboardInterrupt):
            collection.resize("vall")
        monkeypatch.undo()
    with Store.open(path, write=True) as store:
        assert list(store.arrays) == ["dense"]
    assert not list(path.glob("segments/tokens-*"))
    with Collection.open(path, encoder=encoder) as collection:
        assert collection.search("cat", k=3)
