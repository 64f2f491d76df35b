"""Collections whose leading dimensions lie apart: the same answers, and the layout goes along with every rewriting."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core import Record
from nestvec.core.errors import CorruptError, FormatError
from nestvec.search.flat import Flat
from nestvec.store import Store, layout, repair, verify

DIM, WIDTHS = 12, (3, 1, 8)
PLAIN = {"arrays": {"dense": DIM}}
BANDED = {**PLAIN, "bands": {"dense": list(WIDTHS)}}


def records(*numbers):
    return [Record(f"r{i}", f"text {i}", {"even": i % 2 == 0}) for i in numbers]


def vectors(n, seed=0):
    return np.random.default_rng(seed).standard_normal((n, DIM), dtype=np.float32)


def laid_out(store):
    with store.read() as snapshot:
        return [segment.widths for segment in snapshot.segments("dense")]


@pytest.fixture
def filled(tmp_path):
    with Store.create(tmp_path / "c", settings=BANDED) as store:
        store.commit(records(*range(20)), {"dense": vectors(20)})
        store.commit(records(3, 4), {"dense": vectors(2, seed=1)})
        store.commit(remove=["r7"])
        yield store


@given(
    batches=st.lists(st.sets(st.integers(0, 15), min_size=1), min_size=1, max_size=4),
    removed=st.sets(st.integers(0, 15)),
    compacted=st.booleans(),
    data=st.data(),
)
@settings(max_examples=15, deadline=None)
def test_bands_and_rows_say_the_same(tmp_path_factory, batches, removed, compacted, data):
    folder = tmp_path_factory.mktemp("c")
    stores = [Store.create(folder / name, settings=how) for name, how in (("rows", PLAIN), ("bands", BANDED))]
    queries, answers = vectors(3, seed=9), []
    for store in stores:
        with store:
            for number, batch in enumerate(batches):
                store.commit(records(*sorted(batch)), {"dense": vectors(len(batch), seed=number)})
            store.commit(remove=[f"r{i}" for i in removed])
            if compacted:
                store.compact()
            with store.read() as snapshot:
                flat = Flat(snapshot.segments("dense"), DIM, snapshot.state.dead)
                answers.append((snapshot, flat, flat.live, snapshot.vectors("dense", flat.live)))
            assert verify(store.path).ok
    (_, rows, live, first), (snapshot, bands, same, again) = answers
    assert np.array_equal(first, again)
    assert np.array_equal(live, same)
    values = rows.vectors(live)
    assert np.array_equal(values, bands.vectors(live))
    assert not len(live) or np.array_equal(values, again)
    allow = np.array(sorted(data.draw(st.sets(st.sampled_from(live.tolist()))) if len(live) else []), np.int64)
    for asked, chosen in ((queries, None), (queries[:1], None), (queries, allow), (queries[:1], allow)):
        want, got = (flat.search(asked, 5, allow=chosen) for flat in (rows, bands))
        assert np.array_equal(want.ids, got.ids)
        assert np.allclose(want.scores, got.scores, atol=1e-5)
    for lo, hi in ((0, 3), (0, 4), (2, 5), (3, 12), (4, 12), (0, 12)):
        part = bands.dimensions(lo, hi)
        assert np.array_equal(part.vectors(live), values[:, lo:hi])
        want = rows.dimensions(lo, hi).search(queries[:, lo:hi], 4)
        assert np.array_equal(part.search(queries[:, lo:hi], 4).ids, want.ids)
        if lo == 0 and len(live):
            assert np.array_equal(snapshot.vectors("dense", live, width=hi), values[:, :hi])


def test_every_new_segment_is_laid_out_so(filled):
    assert set(laid_out(filled)) == {WIDTHS}
    filled.compact()
    assert laid_out(filled) == [WIDTHS]
    filled.rewrite(
        {"arrays": {"dense": 5}, "bands": {"dense": [2, 3]}}, {"dense": lambda rids: np.ones((len(rids), 5))}
    )
    assert laid_out(filled) == [(2, 3)]
    assert verify(filled.path).ok


def test_compaction_lays_out_what_the_settings_ask_for_by_now(tmp_path):
    with Store.create(tmp_path / "c", settings=PLAIN) as store:
        store.commit(records(*range(9)), {"dense": vectors(9)})
        store.change_settings(BANDED)
        store.commit(records(20), {"dense": vectors(1, seed=3)})
        assert laid_out(store) == [(DIM,), WIDTHS]
        store.compact()
        assert laid_out(store) == [WIDTHS]
        with store.read() as snapshot:
            got = snapshot.vectors("dense", np.arange(1, 11))
        assert np.array_equal(got, np.concatenate([vectors(9), vectors(1, seed=3)]))
        store.change_settings(PLAIN)
        store.compact()
        assert laid_out(store) == [(DIM,)]
    assert verify(tmp_path / "c").ok


def test_a_nestvec_that_knows_no_bands_refuses_it(filled, monkeypatch):
    filled.close()
    content = json.loads((filled.path / "collection.json").read_bytes().rpartition(b"\nxxh3 ")[0])
    assert content["reader_features"] == ["bands"]
    monkeypatch.setattr(layout, "FEATURES", frozenset())
    with pytest.raises(FormatError, match=r"\['bands'\] additions.*Upgrade nestvec"):
        Store.open(filled.path)


def test_a_feature_that_old_segments_need_stays(filled):
    filled.change_settings(PLAIN)
    content = json.loads((filled.path / "collection.json").read_bytes().rpartition(b"\nxxh3 ")[0])
    assert content["reader_features"] == ["bands"]
    assert "bands" not in content["settings"]


@pytest.mark.parametrize("band", [0, 1, 2])
def test_damage_in_any_band_is_found_refused_and_repaired(filled, band):
    filled.compact()
    filled.close()
    (file,) = (filled.path / "segments").iterdir()
    data = bytearray(file.read_bytes())
    data[512 + 4 * 19 * sum(WIDTHS[:band]) + 5] ^= 1
    file.write_bytes(data)
    assert [problem.file for problem in verify(filled.path).problems] == [f"segments/{file.name}"]
    with Store.open(filled.path) as store, store.read() as snapshot:
        flat = Flat(snapshot.segments("dense"), DIM, snapshot.state.dead)
        if band:  # the bands before it are whole
            width = sum(WIDTHS[:band])
            flat.dimensions(0, width).search(vectors(1)[:, :width], 3)
        with pytest.raises(CorruptError, match="checksum"):
            flat.search(vectors(1), 3)
    done = repair(filled.path)
    assert done.missing == {"dense": 19}
    with Store.open(filled.path, write=True) as store:
        store.restore("dense", store.missing("dense"), vectors(19))
        assert laid_out(store) == [WIDTHS]
    assert verify(filled.path).ok


def test_a_lost_database_is_made_again_from_banded_segments(filled):
    with filled.read() as snapshot:
        rids = np.array([rid for rid, _ in snapshot.rows()])
        before = snapshot.vectors("dense", rids)
    filled.close()
    database = filled.path / "space.db"
    data = bytearray(database.read_bytes())
    data[-100] ^= 1
    database.write_bytes(data)
    repair(filled.path)
    assert verify(filled.path).ok
    with Store.open(filled.path) as store, store.read() as snapshot:
        kept = np.array([rid for rid, _ in snapshot.rows()])
        assert len(kept)
        assert np.array_equal(snapshot.vectors("dense", kept), before[np.isin(rids, kept)])
