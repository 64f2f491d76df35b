"""Collections that search through codes: as good as exact search, whatever happens to rows and files in between."""

from __future__ import annotations

import contextlib
import random
import warnings
from itertools import pairwise

import numpy as np
import pytest

from nestvec import Collection, Record, Space, Vectors
from nestvec.codecs import CODECS
from nestvec.core.errors import DiskError, InputError, UnknownNameError
from nestvec.core.size import Size
from nestvec.search import codes as module
from nestvec.search.chain import ScanChain
from nestvec.search.codes import CODES, GROWN
from nestvec.search.coding import _BITS, DEFAULTS, choose
from nestvec.search.flat import Flat
from nestvec.search.settings import ARRAY
from nestvec.search.twostage import CodeScan
from nestvec.search.warning import IndexWarning
from nestvec.store import Store, verify

DIM = 32
SPACE = Space("random", weights="none", pooling="none", dim=DIM)


def unit(x):
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def cluster(n, *, seed=0):
    """Vectors in clusters, so that neighbours mean something."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((40, DIM))
    return unit(centres[rng.integers(0, 40, n)] + 0.7 * rng.standard_normal((n, DIM)))


QUERIES = Vectors(cluster(30, seed=99), SPACE)


def records(start, stop):
    return [Record(f"r{i}", f"text {i}", {"third": i % 3, "rare": i % 50}) for i in range(start, stop)]


def put(collection, start, stop, *, seed=None):
    rows = cluster(stop - start, seed=start + 1 if seed is None else seed)
    collection.add(records(start, stop), vectors=Vectors(rows, SPACE))


@pytest.fixture
def small(monkeypatch):
    """Codes for collections of some hundred rows."""
    monkeypatch.setattr(module, "FROM", 200)
    monkeypatch.setattr(module, "TAIL", 40)
    monkeypatch.setattr(module, "_QUERIES", 40)


def create(path, size="b8", **more):
    return Collection.create(path, encoder=None, space=SPACE, size=size, **more)


def exact(collection, k=10, where=None):
    """What a scan of all vectors gives."""
    with collection._store.read() as snapshot:
        flat = Flat(snapshot.segments(ARRAY), DIM, snapshot.state.dead)
        if where is None:
            return flat.search(QUERIES.values, k)
        names = {r.id for r in collection.records() if all(r.metadata[key] == v for key, v in where.items())}
        found = snapshot.find(names)
        return flat.search(QUERIES.values, k, allow=np.sort(np.array(list(found.values()), np.int64)))


def recall(collection, k=10, where=None):
    found, truth = collection.find(QUERIES, k, where=where), exact(collection, k, where)
    pairs = zip(found.ids.tolist(), truth.ids.tolist(), strict=True)
    hits = [len(set(a) & set(b)) / max(len(set(b) - {-1}), 1) for a, b in pairs]
    return float(np.mean(hits))


def kind(collection, where=None):
    with collection._store.read() as snapshot:
        return collection._finder.view(snapshot).explain(1, 10).kind


def pieces(collection):
    return [name for name in collection._store.derived_names() if name.startswith(f"{CODES}_")]


# ---------------------------------------------------------------- which codec


def test_every_codec_says_how_many_bits_it_may_have():
    assert set(_BITS) == set(CODECS)
    assert all(bits in _BITS[name] for bits, name in DEFAULTS.items())


@pytest.mark.parametrize(
    ("size", "codec", "settled", "name"),
    [
        ("full", None, "full", None),
        ("d16-b32", None, "d16", None),
        ("L3-d128-b1", None, "L3-d128-b1", "rabitq@1"),
        ("b8", None, "b8", "int8_rows@1"),
        ("full", "pq@1", "b1", "pq@1"),
        ("b3", "rabitq@1", "b3", "rabitq@1"),
        (None, "float16@1", "b16", "float16@1"),
    ],
)
def test_a_size_and_a_codec_are_settled_together(size, codec, settled, name):
    found, coding = choose(size, codec)
    assert str(found) == settled
    assert (coding.codec if coding else None) == name
    if coding:
        assert coding.bits == found.bits
        fitted = coding.fit(cluster(400), seed=0)
        assert fitted.bytes_per_vector >= DIM * coding.bits // 8


def test_what_is_not_there_is_said_with_what_is():
    with pytest.raises(InputError, match=r"1, 2, 4, 8, 16 or 32, got 3 \(b3\).*rabitq@1, bebr@1"):
        choose("b3")
    with pytest.raises(InputError, match="bits must be 4 with int4@1, got 8"):
        choose("b8", "int4@1")
    with pytest.raises(UnknownNameError, match="did you mean 'rabitq@1'"):
        choose("b1", "rabbitq@1")
    with pytest.raises(InputError, match="bits must be 1, 2, 4, 8, 16 or 32, got 31"):
        choose(Size(bits=31))


# ---------------------------------------------------------------- searching through codes


@pytest.mark.parametrize("bits", [*DEFAULTS, 32])
def test_search_through_codes_finds_what_exact_search_finds(tmp_path, small, bits):
    with create(tmp_path / "c", f"b{bits}") as collection:
        put(collection, 0, 2000)
        assert kind(collection) == ("exact" if bits == 32 else "codes")
        assert recall(collection) >= 0.985  # asked .99 on stored rows; these are other queries
        assert recall(collection, where={"third": 1}) >= 0.985
        assert recall(collection, where={"rare": 7}) == 1  # so few that they are searched exactly
        found, truth = collection.find(QUERIES, 10), exact(collection)
        same = found.ids == truth.ids
        assert np.allclose(found.scores[same], truth.scores[same], atol=1e-6)  # scores are exact whatever the bits


def test_codes_come_when_there_are_enough_rows(tmp_path, small):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 199)
        assert kind(collection) == "exact"
        assert collection.info()["codes"] is None
        put(collection, 199, 200)
        assert kind(collection) == "codes"
        told = collection.info()["codes"]
        assert (told["codec"], told["bits"], told["rows"], told["target"]) == ("int8_rows@1", 8, 200, 0.99)
        assert told["recall"] >= 0.99
        assert told["m"] >= 10
        assert told["bytes_per_vector"] == DIM + 4


def test_the_full_size_has_no_codes(tmp_path, small):
    with create(tmp_path / "c", "full") as collection:
        put(collection, 0, 500)
        assert kind(collection) == "exact"
        assert collection._store.derived_names() == []


def test_memory_is_a_small_part_of_the_vectors(tmp_path, small):
    with create(tmp_path / "c", "b1") as collection:
        put(collection, 0, 5000)
        told = collection.info()["codes"]
        assert told["memory_bytes"] < 5000 * (8 + 12 + 8) + 10_000  # a word of bits, three numbers, row id
        assert recall(collection) >= 0.985


@pytest.mark.parametrize("codec", ["sign@1", "rabitq@1", "int8@1"])
def test_memory_is_what_is_told(tmp_path, small, codec):
    with create(tmp_path / "c", "full", codec=codec) as collection:
        put(collection, 0, 512)  # whole blocks of 256, so that nothing is padding
        collection.find(QUERIES, 10)
        assert collection.info()["codes"]["memory_bytes"] == collection._finder.codes._held.nbytes


def test_so_many_candidates_are_rescored_as_were_settled(tmp_path):
    with create(tmp_path / "c", "full") as collection:
        put(collection, 0, 150)  # far fewer than codes are otherwise made for
        done = collection.resize("b1", codec="sign@1", candidates=17)
        told = collection.info()["codes"]
        assert (done.codes.m, told["m"], told["fixed"], told["rows"]) == (17, 17, True, 150)
        assert 0.2 < told["recall"] < 0.99  # as it is, and not as many as .99 takes
        assert collection.resize("b1", codec="sign@1", candidates=17).codes is None  # they serve
        put(collection, 150, 400)  # more than twice as many: all is made anew, with as many candidates
        assert collection.info()["codes"]["fitted_rows"] == 400
        assert collection.info()["codes"]["m"] == 17
    with Collection.open(tmp_path / "c") as again:
        assert again.settings.candidates == 17
        assert kind(again) == "codes"
        with again._store.read() as snapshot:
            assert again._finder.view(snapshot).codes._width(10) == 17


def test_candidates_are_measured_again_where_none_are_settled(tmp_path, small):
    with create(tmp_path / "c", "full") as collection:
        put(collection, 0, 300)
        collection.resize("b1", candidates=10)
        done = collection.resize("b1")
        assert (done.codes.fixed, done.codes.recall >= 0.99, collection.settings.candidates) == (False, True, 0)
        with pytest.raises(InputError, match="candidates must be"):
            collection.resize("full", candidates=10)
        with pytest.raises(InputError, match="candidates must be"):
            collection.resize("b1", candidates=-1)


@pytest.mark.parametrize(("seed", "size"), [(0, "b1"), (1, "b8"), (2, "b16")])
def test_whatever_happens_to_the_rows_the_answers_are_those_of_exact_search(tmp_path, small, seed, size):
    rng = random.Random(seed)
    collection = create(tmp_path / "c", size)
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: collection.close())  # noqa: PLW0108  # whichever is open at the end
        put(collection, 0, 300)
        collected, top = [], 300
        for step in range(10):
            act = rng.choice(["add", "add", "update", "delete", "compact", "reopen"])
            if act == "add":
                more = rng.randint(1, 90)
                put(collection, top, top + more)
                top += more
            elif act == "update":
                first = rng.randrange(top - 30)
                put(collection, first, first + 30, seed=1000 * seed + step)
            elif act == "delete":
                collection.delete([f"r{rng.randrange(top)}" for _ in range(25)])
            elif act == "compact":
                collection.compact()
            else:
                collection.close()
                collection = Collection.open(tmp_path / "c", write=True)
            collected += [recall(collection), recall(collection, k=3), recall(collection, where={"third": step % 3})]
            assert set(collection.find(QUERIES, 10).ids.ravel().tolist()) <= {
                rid for rid, _ in _rows(collection)
            }  # nothing dead is found
        assert kind(collection) == "codes"
        assert np.mean(collected) >= 0.99
    assert verify(tmp_path / "c").ok


def _rows(collection):
    with collection._store.read() as snapshot:
        return list(snapshot.rows())


def test_only_new_rows_are_encoded_and_pieces_stay_few(tmp_path, small, monkeypatch):
    encoded = []
    honest = module._encode

    def counting(codec, flat, rows):
        encoded.append(len(rows))
        return honest(codec, flat, rows)

    monkeypatch.setattr(module, "_encode", counting)
    with create(tmp_path / "c") as collection:
        put(collection, 0, 1000)
        for start in range(1000, 1960, 20):
            put(collection, start, start + 20)
        assert encoded[0] == 1000
        assert set(encoded[1:]) == {40}
        assert sum(encoded) == 1960
        assert 1 < len(pieces(collection)) <= 6
        assert recall(collection) >= 0.98
        put(collection, 1960, GROWN * 1000)  # now it is fitted anew
        assert encoded[-1] == 2000
        assert len(pieces(collection)) == 1


def test_codes_of_mostly_dead_rows_are_made_anew(tmp_path, small):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 900)
        collection.delete([f"r{i}" for i in range(500)])
        collection.compact()
        assert collection.info()["codes"]["rows"] == 400
        collection.delete([f"r{i}" for i in range(500, 750)])
        collection.compact()
        assert collection.info()["codes"] is None  # too few
        assert pieces(collection) == []


def test_an_older_version_is_searched_as_it_was(tmp_path, small):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 300)
        then, before = collection.version, collection.find(QUERIES, 10).ids
        put(collection, 0, 200, seed=5)
        put(collection, 300, 500)
    with Collection.open(tmp_path / "c", version=then) as old:
        assert kind(old) == "codes"
        found = old.find(QUERIES, 10).ids
        assert np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, before, strict=True)]) >= 0.98
        assert recall(old) >= 0.98


def test_a_reader_follows_a_writer(tmp_path, small):
    with create(tmp_path / "c") as collection, Collection.open(tmp_path / "c") as reader:
        for start in range(0, 900, 300):
            put(collection, start, start + 150)
            assert recall(reader) >= 0.98
        assert kind(reader) == "codes"
        collection.resize("b16")
        assert recall(reader) >= 0.98
        assert reader.settings.size == "b16"


# ---------------------------------------------------------------- damage


def _flip(path, at):
    data = bytearray(path.read_bytes())
    data[at % len(data)] ^= 1 << (at % 8)
    path.write_bytes(data)


def _damaged(tmp_path, at, which):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 300)
        put(collection, 300, 400)
    file = sorted((tmp_path / "c" / "derived").glob("*"))[which]
    _flip(file, at)
    return tmp_path / "c"


@pytest.mark.parametrize("which", range(3))  # the codec and two pieces
@pytest.mark.parametrize("at", [3, 200, 5001])
def test_damaged_codes_are_passed_over_with_a_warning_and_mended_by_the_next_writer(tmp_path, small, which, at):
    path = _damaged(tmp_path, at, which)
    assert [p.derived for p in verify(path).problems] == [True]
    with Collection.open(path) as reader, pytest.warns(IndexWarning, match="searched exactly"):
        assert recall(reader) >= 0.98
    with Collection.open(path, write=True) as writer:
        put(writer, 400, 401)  # fewer than are worth encoding, but something is broken
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert kind(writer) == "codes"
            assert recall(writer) >= 0.98
    assert verify(path).ok


def test_damaged_codes_are_mended_by_a_repair(tmp_path, small):
    path = _damaged(tmp_path, 77, 1)
    done = Collection.repair(path)
    assert len(done.quarantined) == 1
    assert verify(path).ok
    with Collection.open(path) as collection:
        assert collection.info()["codes"]["rows"] == 400
        assert kind(collection) == "codes"


def test_a_merge_that_was_interrupted_counts_no_row_twice(tmp_path, small):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 300)
        put(collection, 300, 350)
        second, info = collection._store.get_derived(pieces(collection)[1])
        put(collection, 350, 420)  # merged with the piece before
        assert len(pieces(collection)) == 2
        left = pieces(collection)[1].replace("_001", "_002")
        collection._store.put_derived(left, second, info)  # as if the merge had not come to taking it away
    with Collection.open(tmp_path / "c") as reader:
        assert recall(reader) >= 0.98
        hits = reader.find(QUERIES, 20).ids
        assert all(len(set(row)) == 20 for row in hits.tolist())
    with Collection.open(tmp_path / "c", write=True) as writer:
        put(writer, 420, 421)
        assert left not in pieces(writer)


def test_pieces_of_another_codec_are_never_used(tmp_path, small):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 300)
        data, info = collection._store.get_derived(pieces(collection)[0])
        collection._store.put_derived("codes_00000000_001", data, {**info, "last": 10_000})
        assert recall(collection) >= 0.98
        put(collection, 300, 301)
        assert "codes_00000000_001" not in pieces(collection)


def test_a_disk_that_refuses_codes_keeps_the_rows(tmp_path, small, monkeypatch):
    def refuse(self, name, data, info):
        raise DiskError("the disk is full.")

    with create(tmp_path / "c") as collection:
        monkeypatch.setattr(Store, "put_derived", refuse)
        with pytest.warns(IndexWarning, match="the disk is full"):
            put(collection, 0, 300)
        assert len(collection) == 300
        assert recall(collection) == 1
        monkeypatch.undo()
        monkeypatch.setattr(module, "FROM", 200)
        put(collection, 300, 301)
        assert kind(collection) == "codes"


def test_constant_vectors_are_found(tmp_path, small):
    with create(tmp_path / "c") as collection:
        rows = np.tile(cluster(1), (300, 1))
        collection.add(records(0, 300), vectors=Vectors(rows, SPACE))
        hits = collection.find(Vectors(rows[:1], SPACE), 5)
        assert len(set(hits.ids[0].tolist()) - {-1}) == 5
        assert np.allclose(hits.scores, 1, atol=1e-6)


# ---------------------------------------------------------------- scans in a chain


@pytest.mark.parametrize("cuts", [(0, 500), (0, 1, 500), (0, 200, 203, 500)])
def test_a_chain_of_scans_is_one_scan(cuts):
    x = cluster(500)
    codec = CODECS["int8@1"].fit(x)
    codes = codec.encode(x)
    chain = ScanChain(tuple(CodeScan(codec, codes[a:b]) for a, b in pairwise(cuts)))
    whole = CodeScan(codec, codes)
    shown = np.arange(500) % 3 > 0
    assert (len(chain), chain.nbytes) == (len(whole), whole.nbytes)
    for seen in (None, shown):
        found, scores = chain.nearest(QUERIES.values, 30, shown=seen)
        wanted, best = whole.nearest(QUERIES.values, 30, shown=seen)
        assert (found == wanted).all()
        assert np.allclose(scores, best, atol=1e-6)  # BLAS rounds by the shape of a block
    at = np.array([499, 0, 202, 201, 17])
    assert (chain.codes(at) == codes[at]).all()


def test_a_codec_that_cannot_be_fitted_keeps_the_rows(tmp_path, small):
    with create(tmp_path / "c", "b1", codec="pq@1") as collection:
        with pytest.warns(IndexWarning, match="searched exactly"):
            put(collection, 0, 210)  # fewer than its 256 codewords
        assert len(collection) == 210
        assert recall(collection) == 1
        put(collection, 210, 260)
        assert kind(collection) == "codes"
