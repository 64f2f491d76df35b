"""``nestvec layers`` (nestvec.apps.cli.layering)."""

import json
import re

import pytest

pytest.importorskip("sklearn")

WORDS = ("cat", "dog", "mat", "moon", "sun", "star", "tide", "sea", "ship", "bread")


@pytest.fixture
def pairs(tmp_path):
    path = tmp_path / "pairs.tsv"
    rows = [f"the {a} on the {b}\t{a} and {b}" for a in WORDS for b in WORDS[:5]]
    path.write_text("first\tsecond\n" + "\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_all_sizes_with_intervals_and_a_suggestion(nestvec, model, pairs, tmp_path):
    asked = ("layers", model, "--tasks", f"bitext={pairs}", "--results", tmp_path / "kept")
    done = nestvec(*asked)
    assert "bitext-pairs  accuracy, 50 " in done.stdout
    assert re.search(r"^ [* ]L0 +slice +\d\.\d{4}  \[", done.stdout, re.MULTILINE)
    assert done.stdout.count("\n *L") >= 1
    assert "Best, chosen on one half of the items and measured on the other" in done.stdout
    again = nestvec(*asked, "--json")
    assert "…" not in again.stderr  # nothing was measured again
    told = json.loads(again.stdout)
    sizes = told["tasks"]["bitext-pairs"]["sizes"]
    assert [(row["size"], row["made"]) for row in sizes] == [("L0", "slice"), ("L1", "model")]
    assert sizes[0]["low"] <= sizes[0]["score"] <= sizes[0]["high"]
    assert told["suggestions"][0]["verdict"] in ("full", "better", "worse", "open")


def test_what_cannot_be_measured_is_said(nestvec, model, pairs):
    assert "one name or more" in nestvec("layers", model, "--tasks", " ,", expect=2).stderr
    assert "unknown task 'stsx'" in nestvec("layers", model, "--tasks", "stsx", expect=3).stderr
    assert "error:" in nestvec("layers", "no/such/model-here", "--tasks", f"bitext={pairs}", expect=3).stderr
