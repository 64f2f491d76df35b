"""Checkpoints made for late interaction through a whole collection: index, search, open again, resize, explain."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest

from nestvec import Collection, Record
from nestvec.core.errors import InputError
from nestvec.kernels.maxsim import maxsim
from nestvec.reducers.cluster import pool
from nestvec.search.columns import means

pytestmark = pytest.mark.text

TEXTS = ["the cat sat on the mat .", "the wing lifts", "a cat on a wing", "a mat : the mat", "b b b"]
FORMS = {
    "native": {"expansion": {"strategy": "fixed", "attend": False, "length": 9}},
    "PyLate": {"form": "pylate"},
}


@pytest.fixture(scope="module")
def folder(make_late):
    return make_late(**FORMS["PyLate"])


def records():
    return [Record(f"r{i}", text) for i, text in enumerate(TEXTS)]


def wanted(folder, query):
    """Ids by MaxSim as sentence-transformers encodes, best first, with the scores."""
    from sentence_transformers import MultiVectorEncoder as Reference

    reference = Reference(str(folder), device="cpu")
    documents = reference.encode_document(TEXTS, convert_to_numpy=True)
    asked = reference.encode_query([query], convert_to_numpy=True)[0]
    offsets = np.cumsum([0, *map(len, documents)])
    scores = maxsim(asked.astype(np.float32), np.concatenate(documents).astype(np.float32), offsets)
    return {f"r{i}": score for i, score in enumerate(scores.tolist())}, len(asked)


def now(encoder, query, *, k=None):
    """The same with the encoder as it is at its size, ``k`` vectors a text."""
    made, asked = encoder.encode(TEXTS), encoder.encode_query([query]).values
    values, offsets = (made.values, made.offsets) if k is None else pool(made.values, made.offsets, k=k)
    return dict(zip((f"r{i}" for i in range(5)), maxsim(asked, values, offsets).tolist(), strict=True))


def scores_of(results):
    return {result.id: result.score for result in results}


@pytest.mark.parametrize("form", FORMS)
def test_index_search_open_again_and_resize(make_late, form, tmp_path):
    folder = make_late(**FORMS[form])
    query = "a cat"
    scores, length = wanted(folder, query)
    with Collection.create(tmp_path / "c", encoder=folder, size="vall-b16") as made:
        made.add(records())
        assert made.settings.size == "vall-b16"
        assert scores_of(made.search(query, 5)) == pytest.approx(scores, abs=0.01)
    with Collection.open(tmp_path / "c", write=True) as again:  # by the folder that it remembers
        assert scores_of(again.search(query, 5)) == pytest.approx(scores, abs=0.01)
        assert len(again.encoder.encode_query([query]).values) == length >= 9  # filled up as the checkpoint says
        assert again.resize("v2-b16").encoded == 5
        assert again.info()["several"]["kept"] == 5 * 2
        assert scores_of(again.search(query, 5)) == pytest.approx(now(again.encoder, query, k=2), abs=0.01)
        again.resize("vall-b16")
        assert scores_of(again.search(query, 5)) == pytest.approx(scores, abs=0.01)
        done = again.resize("L1-vall-d4-b16")
        assert (done.size, again.settings.several.space.dim, again.settings.space.dim) == ("L1-vall-d4-b16", 4, 4)
        assert scores_of(again.search(query, 5)) == pytest.approx(now(again.encoder, query), abs=0.01)
        assert again.verify().ok


def test_all_vectors_are_kept_where_nothing_is_said_and_their_mean_where_one_is_asked_for(folder, tmp_path):
    with Collection.create(tmp_path / "c", encoder=folder) as made:
        made.add(records())
        assert made.settings.size == "vall-b8"
    with Collection.open(tmp_path / "c", write=True) as again:
        again.resize("v1")
        assert (again.settings.size, again.settings.several) == ("full", None)
        single = means(again.encoder.encode(TEXTS))
        assert again.vectors([f"r{i}" for i in range(5)]).values == pytest.approx(single, abs=1e-5)
    with Collection.open(tmp_path / "c") as again:
        asked = means(again.encoder.encode_query(["the wing lifts"]))[0]
        cosines = {f"r{i}": score for i, score in enumerate((single @ asked).tolist())}
        assert scores_of(again.search("the wing lifts", 5)) == pytest.approx(cosines, abs=1e-4)
    with Collection.create(tmp_path / "one", encoder=folder, size="v1-b8") as one:
        one.add(records())
        assert one.settings.size == "b8"
        assert scores_of(one.search("the wing lifts", 5)) == pytest.approx(cosines, abs=1e-4)


def test_sizes_that_such_a_model_has_not(folder, tmp_path):
    with pytest.raises(InputError, match="depth must be 1 or more"):
        Collection.create(tmp_path / "c", encoder=folder, size="L0-v8")
    with pytest.raises(InputError, match="dim must be 1 to 8"):
        Collection.create(tmp_path / "c", encoder=folder, size="vall-d9")
    with pytest.raises(InputError, match="several vectors must be kept by one of"):
        Collection.create(tmp_path / "c", encoder=folder, codec="pq@1")


def test_one_pass_a_text_and_one_a_query(folder, tmp_path, monkeypatch):
    from nestvec.encoders import MultiVectorEncoder

    read = []
    plain = MultiVectorEncoder._read

    def counting(self, texts, role, prompt):
        read.extend((role, text) for text in texts)
        return plain(self, texts, role, prompt)

    monkeypatch.setattr(MultiVectorEncoder, "_read", counting)
    with Collection.create(tmp_path / "c", encoder=folder) as made:
        made.add(records())
        assert [role for role, _ in read] == ["document"] * 5
        read.clear()
        made.search("a cat", 1)
        assert [role for role, _ in read] == ["query"]
        read.clear()
        made.resize("L1-v2")  # other single vectors and other several ones
        assert [role for role, _ in read] == ["document"] * 5


def test_from_the_command_line(folder, tmp_path):
    from typer.testing import CliRunner

    from nestvec.apps.cli import app

    def run(*args):
        done = CliRunner().invoke(app, [str(arg) for arg in args])
        assert done.exit_code == 0, (done.stdout, done.stderr)
        return done.stdout

    (tmp_path / "texts").mkdir()
    for i, text in enumerate(TEXTS):
        (tmp_path / "texts" / f"r{i}.txt").write_text(text)
    there = tmp_path / "c"
    told = json.loads(run("index", tmp_path / "texts", "--to", there, "--model", folder, "--vectors", "all", "--json"))
    assert (told["encoded"], told["collection"]["size"]) == (5, "vall-b8")
    assert json.loads(run("index", tmp_path / "texts", "--to", there, "--json"))["unchanged"] == 5
    found = json.loads(run("search", there, "the wing lifts", "--json", "-k", 2))["results"]
    assert len(found) == 2
    assert found[0]["score"] >= found[1]["score"]
    assert json.loads(run("resize", there, "v2", "--json"))["size"] == "v2-b8"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert json.loads(run("search", there, "the wing lifts", "--json"))["results"]
