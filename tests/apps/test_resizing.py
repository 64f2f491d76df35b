"""``index --size`` and ``resize``: nestvec.apps.cli.resizing."""

import json

import numpy as np
import pytest

from nestvec import Collection, Record, Space, Vectors
from nestvec.apps.cli import resizing
from nestvec.search import codes as codes_module
from nestvec.search import funnel, narrowing


def data(done):
    return json.loads(done.stdout)


def test_bits_of_vectors_that_were_brought_along(nestvec, own):
    done = data(nestvec("resize", own, "b1", "--json"))
    assert (done["size"], done["codec"], done["encoded"], done["cut"], done["codes"]) == ("b1", "rabitq@1", 0, 0, None)
    assert done["collection"]["codec"] == "rabitq@1"
    text = nestvec("info", own).stdout
    assert "rabitq@1, from 4,096 records on" in " ".join(text.split())
    assert "b1 before, full now" in nestvec("resize", own, "full").stdout
    assert "every vector is compared" in nestvec("info", own).stdout
    assert [v["what"] for v in data(nestvec("versions", own, "--json"))][-2:] == ["settings", "settings"]


def test_codes_are_told_with_what_was_measured(nestvec, tmp_path, monkeypatch):
    monkeypatch.setattr(codes_module, "FROM", 100)
    monkeypatch.setattr(codes_module, "_QUERIES", 20)
    space = Space("toy", weights="0", pooling="mean", dim=8)
    x = np.random.default_rng(0).standard_normal((120, 8)).astype(np.float32)
    with Collection.create(tmp_path / "c", encoder=None, space=space) as made:
        made.add(
            [Record(str(i), "text") for i in range(120)], vectors=Vectors(x / np.linalg.norm(x, axis=1)[:, None], space)
        )
    text = " ".join(nestvec("resize", tmp_path / "c", "b8", "--recall", "0.95").stdout.split())
    assert "vectors stay as they are" in text
    assert "int8_rows@1, 8 bits a dimension" in text
    assert "recall 1 measured, 0.95 asked" in text
    with Collection.open(tmp_path / "c") as made:
        assert resizing.told_search(made.info())[0][1] in text


def test_a_funnel_is_told_with_what_was_measured_and_what_is_laid_out(nestvec, tmp_path, monkeypatch):
    monkeypatch.setattr(narrowing, "FROM", 100)
    monkeypatch.setattr(funnel, "_LADDER", (50,))
    space = Space("toy", weights="0", pooling="mean", dim=96, unit=False)
    x = np.random.default_rng(0).standard_normal((120, 96)).astype(np.float32)
    with Collection.create(tmp_path / "c", encoder=None, space=space) as made:
        made.add([Record(str(i), "text") for i in range(60)], vectors=Vectors(x[:60], space))
    text = " ".join(nestvec("resize", tmp_path / "c", "full", "--funnel").stdout.split())
    assert "funnel from 4,096 records on" in text
    with Collection.open(tmp_path / "c", write=True) as made:
        made.add([Record(str(i), "text") for i in range(60, 120)], vectors=Vectors(x[60:], space))
    text = " ".join(nestvec("info", tmp_path / "c").stdout.split())
    assert "best 50 by 64 dimensions; recall" in text
    assert "50% of the vectors laid out for it, all of them after nestvec compact" in text
    nestvec("compact", tmp_path / "c")
    assert "laid out" not in nestvec("info", tmp_path / "c").stdout
    assert data(nestvec("info", tmp_path / "c", "--json"))["bands"] == [64, 32]
    assert "codes none" in " ".join(nestvec("resize", tmp_path / "c", "full", "--no-funnel").stdout.split())


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["full", "--funnel"], "a funnel must have more than 64 dimensions"),
        (["b3"], "bits must be 1, 2, 4, 8, 16 or 32, got 3"),
        (["b1", "--codec", "rabitq"], "did you mean 'rabitq@1'?"),
        (["b1", "--codec", "int4@1"], "bits must be 4 with int4@1, got 1"),
        (["d2"], "only bits can be changed"),
        (["3 bits"], "a size must look like L3-v1-d128-b8"),
    ],
)
def test_what_cannot_be_names_what_can(nestvec, own, asked, said):
    done = nestvec("resize", own, *asked, expect=3)
    assert done.stderr.startswith("error: ")
    assert said in done.stderr
    assert data(nestvec("info", own, "--json"))["version"] == 2


def test_a_folder_that_is_no_collection_and_a_recall_that_is_none(nestvec, own, tmp_path):
    assert "must be a collection" in nestvec("resize", tmp_path / "nowhere", "b1", expect=5).stderr
    nestvec("resize", own, "b1", "--recall", "1.5", expect=2)


def test_a_collection_is_made_searched_and_turned_at_its_size(nestvec, notes, model):
    nestvec("index", notes, "--to", "c", "--model", model, "--size", "d16-b1", "-q")
    found = data(nestvec("info", "c", "--json"))
    assert (found["size"], found["codec"], found["space"]["dim"]) == ("d16-b1", "rabitq@1", 16)
    assert data(nestvec("search", "c", "the moon", "-k", "1", "--json"))["results"]
    wrong = nestvec("index", notes, "--to", "c", "--size", "b8", expect=3).stderr
    assert "its own size, d16-b1 with rabitq@1, got b8 with int8_rows@1" in wrong
    assert "nestvec resize c b8" in wrong
    assert data(nestvec("resize", "c", "d8-b8", "--json"))["cut"] == 3


def test_a_size_that_the_model_has_not_makes_no_collection(nestvec, notes, model, tmp_path):
    done = nestvec("index", notes, "--to", tmp_path / "c", "--model", model, "--size", "d500", expect=3)
    assert "dim must be 1 to 32" in done.stderr
    assert not (tmp_path / "c").exists()
