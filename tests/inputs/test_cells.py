"""Rows of tables as they are."""

import pytest

from nestvec.core.errors import InputError
from nestvec.inputs import ReadReport, cells


def test_rows_keep_every_column_and_every_duplicate(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("id,title,n,source\n7,t,1.5,s\n7,t,1.5,s\n,,,\n8,,,z\n")
    found = list(cells(path))
    assert found[0] == found[1] == {"id": 7, "title": "t", "n": 1.5, "source": "s"}
    assert found[2] == {"id": 8, "title": None, "n": None, "source": "z"}


def test_json_lines_parquet_and_no_header(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": [1, 2], "b": NaN}\nnonsense\n{"b": 2}\n')
    report = ReadReport()
    assert list(cells(path, report=report)) == [{"a": [1, 2], "b": None}, {"b": 2}]
    assert report.skipped
    plain = tmp_path / "a.tsv"
    plain.write_text("1\tx\n0\ty\n")
    assert list(cells(plain, header=False)) == [{"1": 1, "2": "x"}, {"1": 0, "2": "y"}]
    pq = pytest.importorskip("pyarrow.parquet")
    import pyarrow as pa

    pq.write_table(pa.table({"a": [1, 2], "b": [[1], []]}), tmp_path / "a.parquet")
    assert list(cells(tmp_path / "a.parquet")) == [{"a": 1, "b": [1]}, {"a": 2, "b": []}]


def test_what_is_no_table(tmp_path):
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "b.csv").write_text("")
    for name, said in (("a.txt", "must be one file of CSV"), ("b.csv", "must be a readable table"), ("c.csv", "c.csv")):
        with pytest.raises(InputError, match=said):
            list(cells(tmp_path / name))
