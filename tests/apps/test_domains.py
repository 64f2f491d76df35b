"""``nestvec domain-gap``: nestvec.apps.cli.domains."""

import json

import numpy as np
import pytest

from nestvec.apps.cli.domains import _whole
from nestvec.core import Record
from nestvec.core.record import Place
from tests.apps.conftest import WORDS
from tests.evaluation.conftest import lines, table


def beir(folder, seed, *, documents=70):
    """Documents of four sentences, and for each of the first 40 a question of its words."""
    rng, known = np.random.default_rng(seed), WORDS.split()
    rows, asked = [], []
    for i in range(documents):
        pieces = [" ".join([f"{seed}n{i}", *rng.choice(known, 6)]) for _ in range(4)]
        rows.append({"_id": f"d{i}", "title": "", "text": ". ".join(pieces) + "."})
        asked.append({"_id": f"q{i}", "text": pieces[0]})
    lines(folder / "corpus.jsonl", rows)
    lines(folder / "queries.jsonl", asked[:40])
    table(folder / "qrels" / "test.tsv", ("query-id", "corpus-id", "score"), [(f"q{i}", f"d{i}", 1) for i in range(40)])
    return folder


@pytest.fixture
def sets(tmp_path, monkeypatch):
    monkeypatch.setattr("nestvec.evaluation.domain.decomposition._RESAMPLES", 100)
    monkeypatch.delenv("NESTVEC_DATA", raising=False)
    return {name: beir(tmp_path / name, seed) for seed, name in enumerate(("mine", "one", "two"), 1)}


def against(sets):
    return ",".join(f"retrieval={sets[name]}" for name in ("one", "two"))


def test_a_folder_with_judgements(nestvec, model, sets):
    done = nestvec("domain-gap", sets["mine"], "--model", model, "--against", against(sets), "--json")
    told = json.loads(done.stdout)
    assert told["verdict"] in ("none", "unclear")
    assert told["judged"]
    assert [row["name"] for row in told["references"]] == ["retrieval-one", "retrieval-two"]
    assert told["own"]["documents"] == 70
    assert told["raw"]["value"] == pytest.approx(told["explained"]["value"] + told["unexplained"]["value"])
    assert "measuring retrieval-one" not in done.stderr


def test_a_collection_without_judgements(nestvec, model, sets):
    nestvec("index", sets["mine"] / "corpus.jsonl", "--to", "c", "-m", model, "--passage-tokens", "24", "-q")
    done = nestvec("domain-gap", "c", "--against", against(sets), "--questions", "30")
    assert "among 70 documents of each set; questions: sentences taken out of their documents" in done.stdout
    assert "measuring retrieval-one" in done.stderr
    for part in ("by words", "What this cannot know", "what your users ask", "retrieval-two"):
        assert part in " ".join(done.stdout.split())
    judged = nestvec("domain-gap", "c", "--judgements", sets["mine"], "--against", against(sets))
    assert "judged by people" in judged.stdout


def test_passages_become_documents_again():
    text = "The first part. The second part. The third part."
    places = [("a#1", 16, 48), ("a#0", 0, 32)]
    parts = [Record(name, text[lo:hi], place=Place("a", lo, hi, number=n)) for n, (name, lo, hi) in enumerate(places)]
    apart = [Record(f"b#{lo}", "xy", place=Place("b", lo, lo + 2)) for lo in (5, 0)]
    found = {record.id: record for record in _whole([*parts, *apart, Record("c", "whole")])}
    assert {name: record.text for name, record in found.items()} == {"a": text, "b": "xy\nxy", "c": "whole"}
    assert found["a"].place is None


def test_what_is_missing_is_a_sentence(nestvec, model, made, sets):
    def says(*args, expect=3):
        return " ".join(nestvec("domain-gap", *args, expect=expect).stderr.split())

    mine, others = sets["mine"], ("--against", against(sets), "--model", model)
    assert "got none. Name some with --against" in says(mine, "--model", model)
    assert "--queries must come with --judgements" in says(mine, "--queries", mine / "queries.jsonl", *others)
    other = f"sts={mine / 'corpus.jsonl'}"
    assert "takes retrieval@1, got sts-corpus, which is sts@1" in says(mine, "--against", other, "-m", model)
    assert "vectors that were brought along" in says(made, "--against", against(sets))
    bad = lines(mine.parent / "bad.jsonl", [{"query": "who", "relevant": ["gone"]}])
    assert "that are not, such as 'gone'" in says(mine, "--judgements", bad, *others)
    few = lines(mine.parent / "few.jsonl", [{"query": "who", "relevant": ["d1"]}])
    assert "must have 50 documents and 30 questions" in says(mine, "--judgements", few, *others)
    assert says("nowhere", *others)
    says(mine, "--documents", "3", expect=2)
