"""``nestvec export``: nestvec.apps.cli.exporting."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest


def test_lines_of_json_on_standard_output_and_in_a_file(nestvec, made):
    rows = [json.loads(line) for line in nestvec("export", made, "--to", "-").stdout.splitlines()]
    assert [row["id"] for row in rows] == ["moon", "bread", "ship"]
    assert rows[1]["metadata"] == {"n": 1, "tag": ["x"]}
    told = json.loads(nestvec("export", made, "--to", "x.jsonl", "--vectors", "--json").stdout)
    assert (told["records"], told["files"]) == (3, ["x.jsonl"])
    assert json.loads(Path("x.jsonl").read_text().splitlines()[2])["vector"] == [0, 0, 1, 0]


def test_vectors_with_their_ids(nestvec, made):
    assert "3 records of version 2 in x.npy and x.npy.ids.json" in nestvec("export", made, "--to", "x.npy").stdout
    vectors = np.load("x.npy")
    assert vectors.dtype == np.float32
    assert (vectors == np.eye(3, 4)).all()
    assert json.loads(Path("x.npy.ids.json").read_text()) == ["moon", "bread", "ship"]


def test_parquet(nestvec, made):
    parquet = pytest.importorskip("pyarrow.parquet")
    nestvec("export", made, "--to", "x.pq", "--format", "parquet", "--vectors", "-q")
    table = parquet.read_table("x.pq", page_checksum_verification=True).to_pylist()
    assert table[2]["vector"] == [0, 0, 1, 0]
    assert json.loads(table[0]["metadata"])["n"] == 0
    nestvec("export", made, "--to", "y.parquet")
    assert "vector" not in parquet.read_table("y.parquet").column_names


def test_without_pyarrow_the_line_that_installs_it_is_given(nestvec, made, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    done = nestvec("export", made, "--to", "x.parquet", expect=4)
    assert "pip install 'nestvec[parquet]'" in done.stderr
    assert not list(Path().iterdir())


def test_an_empty_collection_and_an_older_version(nestvec, made):
    nestvec("export", made, "--to", "x.npy", "--version", "1")
    assert np.load("x.npy").shape == (0, 4)
    assert json.loads(Path("x.npy.ids.json").read_text()) == []


def test_nothing_is_replaced_or_left_half_done(nestvec, made, monkeypatch):
    Path("x.jsonl").write_text("mine")
    assert "--force" in nestvec("export", made, "--to", "x.jsonl", expect=3).stderr
    assert Path("x.jsonl").read_text() == "mine"
    nestvec("export", made, "--to", "x.jsonl", "--force")
    assert Path("x.jsonl").read_text() != "mine"
    assert ".jsonl, .npy or .parquet" in nestvec("export", made, "--to", "x.csv", expect=2).stderr
    assert "folder" in nestvec("export", made, "--to", "no/x.npy", expect=3).stderr
    nestvec("export", made, "--to", "-", "--format", "npy", expect=2)
    nestvec("export", made, "--to", "-", "--json", expect=2)
    monkeypatch.setattr("nestvec.apps.cli.exporting.record_json", lambda record: 1 / 0)
    nestvec("export", made, "--to", "y.jsonl", expect=70)
    assert [p.name for p in Path().iterdir()] == ["x.jsonl"]
