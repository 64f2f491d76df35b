"""``nestvec fit``: a ladder from the command line (nestvec.apps.cli.fitting, nestvec.apps.explore.course)."""

import json

import pytest

from nestvec.apps.cli import fitting
from nestvec.encoders.ladder import Ladder

SENTENCES = ["the cat sat on the mat", "the moon pulls the water", "bake the bread in the oven", "a ship sails home"]


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes.jsonl"
    rows = [{"id": str(i), "text": f"{SENTENCES[i % 4]} {SENTENCES[i % 3]} {i}"} for i in range(60)]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


def test_a_ladder_for_a_token_table(nestvec, model, notes, tmp_path):
    done = nestvec("fit", model, notes, "--to", tmp_path / "l", "--depths", "0", "--steps", 3, "--table-rank", 8)
    assert "L0: keeps" in done.stdout
    assert "distilled" in done.stdout
    assert [rung.depth for rung in Ladder.load(tmp_path / "l").rungs] == [0]
    assert not (tmp_path / "l.run").exists()
    said = json.loads(
        nestvec("fit", model, notes, "--to", tmp_path / "l", "--depths", "0", "--steps", 0, "--json").stdout
    )
    assert set(said["kept"]) == {"raw", "closed"}


def test_the_course_of_a_fit_and_a_rank_term(nestvec, model, notes, tmp_path):
    settings = ("--depths", "0", "--steps", 4, "--table-rank", 8, "--watch", 2, "--rank-term", "low:0.5")
    page = tmp_path / "course.html"
    done = nestvec("fit", model, notes, "--to", tmp_path / "l", *settings, "--html", page, "--json")
    assert [row["step"] for row in json.loads(done.stdout)["course"]["rows"]] == [0, 2, 4]
    assert page.read_text().count("<svg") == 4
    assert "L0: rank " in page.read_text()
    assert Ladder.load(tmp_path / "l").recipe["terms"][-1]["objective"] == "representation-rank@1"
    for wrong in ("low", "down:1", "low:0", "low:nan", "low:x"):
        refused = nestvec("fit", model, notes, "--to", tmp_path / "l", "--rank-term", wrong, expect=2)
        assert "such as low:0.1" in refused.stderr


def test_depths_that_the_model_has_not_and_too_few_texts_are_said(nestvec, model, notes, tmp_path):
    assert "1 layers" in nestvec("fit", model, notes, "--to", tmp_path / "l", "--depths", "1", expect=3).stderr
    few = tmp_path / "few.txt"
    few.write_text("one text", encoding="utf-8")
    assert "at least 10" in nestvec("fit", model, few, "--to", tmp_path / "l", "--depths", "0", expect=3).stderr
    assert "whole numbers" in nestvec("fit", model, few, "--to", tmp_path / "l", "--depths", "x", expect=2).stderr
    for wrong in ("4", "4,8,2"):
        assert "as in 4,8" in nestvec("fit", model, few, "--to", tmp_path / "l", "--clusters", wrong, expect=2).stderr
    none = nestvec("fit", model, few, "--to", tmp_path / "l", "--clusters", "0,8", expect=3).stderr
    assert "clusters and rounds must be at least 1" in none


def test_long_texts_are_cut_at_spaces():
    text = "word " * 1000
    found = list(fitting.pieces([("t", text), ("", "short"), ("", "x" * 3100), ("", "")]))
    assert [title for title, _ in found[:4]] == ["t"] * 4
    assert " ".join(piece for _, piece in found[:4]) == text.strip()
    assert ("", "short") in found
    assert [len(piece) for _, piece in found[-3:]] == [1500, 1500, 100]
