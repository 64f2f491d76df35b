"""Collections with a funnel: as good as exact search, whatever happens to rows and files in between."""

import warnings

import numpy as np
import pytest

from nestvec import Collection, Record, Space, Vectors
from nestvec.core.errors import InputError
from nestvec.search import funnel, narrowing
from nestvec.search.codes import flat_over
from nestvec.search.narrowing import FUNNEL
from nestvec.search.settings import ARRAY, borders
from nestvec.search.warning import IndexWarning
from nestvec.store import verify

DIM = 160
WIDTHS = (64, 64, 32)
SPACE = Space("random", weights="none", pooling="none", dim=DIM)


def vectors(n, seed=0):
    """Vectors whose first dimensions say most."""
    x = np.random.default_rng(seed).standard_normal((n, DIM)) * np.geomspace(1, 0.02, DIM)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


QUERIES = Vectors(vectors(20, seed=99), SPACE)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Funnels for collections of some hundred rows."""
    monkeypatch.setattr(narrowing, "FROM", 200)
    monkeypatch.setattr(funnel, "_ALONE", 0)
    monkeypatch.setattr(funnel, "_LADDER", (20, 40, 80))


def put(collection, start, stop, seed=None):
    records = [Record(f"r{i}", f"text {i}", {"third": i % 3, "rare": i % 50}) for i in range(start, stop)]
    rows = vectors(stop - start, start + 1 if seed is None else seed)
    collection.add(records, vectors=Vectors(rows, SPACE))


def create(path, **more):
    return Collection.create(path, encoder=None, space=SPACE, **more)


@pytest.fixture
def filled(tmp_path):
    with create(tmp_path / "c", funnel=True, recall=0.95) as collection:
        put(collection, 0, 600)
        yield collection


def compared(collection, k=10, where=None):
    """Recall of a search, each score checked against the row's vector."""
    with collection._store.read() as snapshot:
        flat = flat_over(snapshot)
        allow = flat.live
        if where is not None:
            rids = {rid for rid, r in snapshot.rows() if all(r.metadata[key] == v for key, v in where.items())}
            allow = np.array(sorted(rids), np.int64)
        truth = flat.search(QUERIES.values, k, allow=allow)
    found = collection.find(QUERIES, k, where=where)
    assert np.isin(found.ids[found.ids >= 0], allow).all()
    for query, ids, scores in zip(QUERIES.values, found.ids, found.scores, strict=True):
        rids = np.unique(ids[ids >= 0])
        assert np.allclose(np.sort(scores[ids >= 0]), np.sort(flat.vectors(rids) @ query), atol=1e-5)
    pairs = zip(found.ids.tolist(), truth.ids.tolist(), strict=True)
    return np.mean([len(set(a) & set(b) - {-1}) / max(len(set(b) - {-1}), 1) for a, b in pairs])


def used(collection):
    with collection._store.read() as snapshot:
        return collection._finder.view(snapshot).explain(1, 10).kind


def laid_out(collection):
    with collection._store.read() as snapshot:
        return {segment.widths for segment in snapshot.segments(ARRAY)}


def test_it_is_measured_told_and_used(filled):
    told = filled.info()["funnel"]
    assert told["recall"] >= told["target"] == 0.95
    assert told["rows"] == 600
    assert set(told["widths"]) <= {64, 128}
    assert told["laid_out"] == 1
    assert filled.info()["bands"] == list(WIDTHS)
    assert laid_out(filled) == {WIDTHS}
    assert used(filled) == "funnel"
    assert compared(filled) > 0.85


def test_filters_deletes_updates_and_new_rows(filled):
    before = filled.info()["funnel"]
    assert compared(filled, where={"third": 1}) > 0.85
    assert compared(filled, where={"rare": 7}) == 1  # twelve rows: each is looked at
    filled.delete([f"r{i}" for i in range(0, 200, 2)])
    put(filled, 1, 30, seed=77)  # replaced
    put(filled, 600, 700)  # newer than what was measured
    assert filled.info()["funnel"] == before
    assert used(filled) == "funnel"
    assert compared(filled) > 0.85
    assert compared(filled, where={"third": 2}) > 0.85
    filled.compact()
    assert laid_out(filled) == {WIDTHS}
    assert compared(filled) > 0.85
    with Collection.open(filled.path) as reader:
        assert used(reader) == "funnel"
        assert compared(reader) > 0.85
    assert verify(filled.path).ok


def test_it_is_measured_again_when_rows_have_doubled_and_given_up_when_few_are_left(filled):
    put(filled, 600, 1300)
    assert filled.info()["funnel"]["rows"] == 1300
    filled.delete([f"r{i}" for i in range(1250)])
    filled.compact()
    assert filled.info()["funnel"] is None
    assert compared(filled) == 1


def test_it_comes_and_goes_by_a_resize(tmp_path):
    with create(tmp_path / "c") as collection:
        put(collection, 0, 400)
        assert used(collection) == "exact"
        done = collection.resize("full", funnel=True, recall=0.9)
        assert done.funnel.recall >= 0.9
        assert used(collection) == "funnel"
        assert collection.info()["funnel"]["laid_out"] == 0
        assert compared(collection) > 0.8  # bands are laid out later, prefixes are read all the same
        collection.compact()
        assert collection.info()["funnel"]["laid_out"] == 1
        assert collection.resize("full").funnel is None  # stays as it is
        assert used(collection) == "funnel"
        collection.resize("b8")  # codes take its place
        assert not collection.settings.funnel
        assert collection.info()["funnel"] is None
        collection.compact()
        assert laid_out(collection) == {(DIM,)}
    assert verify(tmp_path / "c").ok


def test_without_its_numbers_search_is_exact_and_the_next_writer_measures_again(filled):
    filled._store.drop_derived(FUNNEL)
    filled._finder.forget()
    assert used(filled) == "exact"
    assert compared(filled) == 1
    put(filled, 600, 601)
    assert used(filled) == "funnel"


def test_damaged_vectors_cost_the_funnel_and_no_record(filled):
    filled._store.drop_derived(FUNNEL)
    filled.close()
    file = max((filled.path / "segments").iterdir(), key=lambda f: f.stat().st_size)
    data = bytearray(file.read_bytes())
    data[600] ^= 1
    file.write_bytes(data)
    with Collection.open(filled.path, write=True) as collection:
        with pytest.warns(IndexWarning, match="no funnel could be measured"):
            put(collection, 600, 601)
        assert len(collection) == 601


def test_what_cannot_be(tmp_path):
    with pytest.raises(InputError, match="a funnel must have float32 vectors"):
        create(tmp_path / "a", size="b1", funnel=True)
    narrow = Space("random", weights="none", pooling="none", dim=64)
    with pytest.raises(InputError, match=r"more than 64 dimensions.*got 64"):
        Collection.create(tmp_path / "a", encoder=None, space=narrow, funnel=True)
    assert not (tmp_path / "a").exists()
    with create(tmp_path / "b") as collection, warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(InputError, match="ask for either"):
            collection.resize("b1", funnel=True)
        assert collection.settings.size == "full"


@pytest.mark.parametrize(
    ("dim", "ends"), [(64, ()), (65, (64,)), (384, (64, 128, 256)), (512, (64, 128, 256)), (1, ())]
)
def test_bands_end_at_doublings(dim, ends):
    assert borders(dim) == ends
