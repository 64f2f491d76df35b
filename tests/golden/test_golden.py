"""Collections of every released format open, read, search and grow."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import numpy as np
import pytest

from nestvec.core.filters import parse_filter
from nestvec.store import Store, verify

HERE = Path(__file__).parent
_spec = importlib.util.spec_from_file_location("golden_make", HERE / "make.py")
make = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(make)

EXPECTED = {r.id: r for r in [*make.records(0, 7), *make.records(8, 12)]}


@pytest.fixture(params=sorted(path.name for path in HERE.glob("v*")))
def golden(request, tmp_path):
    shutil.copytree(HERE / request.param, tmp_path / "c")
    return tmp_path / "c"


def test_there_is_one_for_the_present_format():
    from nestvec.store.schema import FORMAT

    assert (HERE / f"v{FORMAT}" / "collection.json").exists()


def test_it_verifies_and_holds_what_was_put_in(golden):
    assert verify(golden).problems == ()
    with Store.open(golden) as store, store.read() as snapshot:
        assert store.settings["note"] == "golden"
        assert [(v.version, v.what, v.count) for v in store.versions()] == [(5, "compact", 9), (6, "commit", 11)]
        rows = dict(snapshot.rows())
        assert {r.id: r for r in rows.values()} == EXPECTED
        numbers = [int(r.id.split()[-1]) if " " in r.id else 4 for r in rows.values()]
        wanted = np.concatenate(
            [make.vectors(100 + n if n in (2, 3) else n, (100 + n if n in (2, 3) else n) + 1) for n in numbers]
        )
        assert (snapshot.vectors("dense", np.array(list(rows))) == wanted).all()
        found = snapshot.records(snapshot.select(parse_filter({"deep.y": True, "tags": "a"})))
        assert [r.id for r in found] == ["ключ/4", "id 8", "id 2", "id 10"]
        assert snapshot.records([snapshot.match("number 11", 1)[0][0]])[0].id == "id 11"
        assert store.get_derived("index")[0] == b"\x00\x01derived" * 10


def test_one_that_was_resized_opens_at_its_size_and_grows(tmp_path):
    shutil.copytree(HERE / "resized", tmp_path / "c")
    with Store.open(tmp_path / "c", write=True) as store:
        assert store.settings == {"arrays": {"dense": 4}, "note": "settled", "generation": 1}
        assert [(v.version, v.what, v.count) for v in store.versions()] == [(7, "resize", 11), (8, "settings", 11)]
        with store.read() as snapshot:
            assert {r.id: r for r in snapshot.get(list(EXPECTED))} == EXPECTED
            found = snapshot.find(["id 0", "id 11"])
            rids = np.array([found["id 0"], found["id 11"]])
            wanted = np.concatenate([make.vectors(0, 1), make.vectors(11, 12)])[:, :4]
            assert (snapshot.vectors("dense", rids) == wanted).all()
        store.commit(make.records(20, 21), {"dense": make.vectors(20, 21)[:, :4]})
    assert verify(tmp_path / "c").ok


def test_one_with_bands_opens_reads_its_prefixes_and_grows(tmp_path):
    shutil.copytree(HERE / "bands", tmp_path / "c")
    assert verify(tmp_path / "c").problems == ()
    with Store.open(tmp_path / "c", write=True) as store:
        with store.read() as snapshot:
            assert [segment.widths for segment in snapshot.segments("dense")] == [(2, 2, 4)] * 2
            assert {r.id: r for r in snapshot.get(list(EXPECTED))} == EXPECTED
            found = snapshot.find(["id 0", "id 11"])
            rids = np.array([found["id 0"], found["id 11"]])
            wanted = np.concatenate([make.vectors(0, 1), make.vectors(11, 12)])
            assert (snapshot.vectors("dense", rids) == wanted).all()
            assert (snapshot.vectors("dense", rids, width=3) == wanted[:, :3]).all()
        assert store.get_derived("index")[0] == b"beside bands"
        store.commit(make.records(20, 21), {"dense": make.vectors(20, 21)})
    assert verify(tmp_path / "c").ok


def test_it_can_be_written_to(golden):
    with Store.open(golden, write=True) as store:
        assert store.commit(make.records(10, 12), {"dense": make.vectors(10, 12)}, commit_id="fifth").repeated
        store.commit(make.records(20, 21), {"dense": make.vectors(20, 21)})
        store.compact()
        with store.read() as snapshot:
            assert len(snapshot) == 12
    assert verify(golden).ok
