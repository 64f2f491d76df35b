"""Queries and judgements from files: nestvec.planner.questions."""

import pytest

from nestvec.core.errors import InputError
from nestvec.planner.questions import read_judgements, read_queries


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_log_counts_each_query_once(tmp_path):
    found = read_queries(write(tmp_path / "log.txt", "tides", "", "bread", "tides"))
    assert found.texts == ("tides", "bread")
    assert found.gains is None
    assert read_queries(write(tmp_path / "q.jsonl", '{"_id": "1", "text": "tides"}')).texts == ("tides",)


def test_the_forms_of_judgements(tmp_path):
    folder = tmp_path / "beir"
    write(folder / "queries.jsonl", '{"_id": "1", "text": "tides"}', '{"_id": "2", "text": "bread"}')
    write(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore", "1\td1\t2", "1\td2\t0", "2\td3\t0")
    write(folder / "qrels" / "dev.tsv", "query-id\tcorpus-id\tscore", "2\td3\t1")
    beir = read_judgements(folder)
    assert (beir.texts, beir.gains, beir.left_out) == (("tides",), ({"d1": 2.0, "d2": 0.0},), 1)
    trec = read_judgements(write(tmp_path / "qrels", "1 0 d1 2", "1 0 d2 0"), folder / "queries.jsonl")
    assert trec.gains == beir.gains
    own = write(
        tmp_path / "own.jsonl",
        '{"query": "tides", "relevant": {"d1": 2, "d2": 0}}',
        '{"query": "bread", "relevant": ["d3"]}',
    )
    assert read_judgements(own).gains == ({"d1": 2.0, "d2": 0.0}, {"d3": 1.0})


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("1\td1\tnan", "finite number"),
        ("1\td1\tmany", "finite number"),
        ("1\td1", r"qrels\.tsv:1: a judgement must be a query id"),
        ("9\td1\t1", "must have a text"),
        ("1\td1\t0", "relevant document"),
        ("1\td1\t1\n1\td1\t1", "judged once"),
    ],
)
def test_qrels_that_cannot_be_used(tmp_path, line, says):
    queries = write(tmp_path / "queries.jsonl", '{"_id": "1", "text": "tides"}')
    with pytest.raises(InputError, match=says):
        read_judgements(write(tmp_path / "qrels.tsv", line), queries)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("not json", "must be a JSON object"),
        ("[1]", "must be a JSON object"),
        ('{"query": "tides"}', "relevant must be a list"),
        ('{"relevant": ["d"]}', "a column query"),
        ('{"query": "tides", "relevant": ["d", "d"]}', "judged once"),
        ('{"query": "tides", "relevant": {"d": "x"}}', "finite number"),
        ('{"query": "tides", "relevant": []}', "relevant document"),
    ],
)
def test_lines_that_cannot_be_used(tmp_path, line, says):
    with pytest.raises(InputError, match=says):
        read_judgements(write(tmp_path / "own.jsonl", line))


def test_files_that_are_not_there_or_say_too_little(tmp_path):
    with pytest.raises(InputError, match=r"must be a file none\.txt"):
        read_queries(tmp_path / "none.txt")
    with pytest.raises(InputError, match="must be readable"):
        read_judgements(tmp_path / "none.tsv")
    with pytest.raises(InputError, match="at least one"):
        read_queries(write(tmp_path / "empty.txt", ""))
    with pytest.raises(InputError, match="--queries"):
        read_judgements(write(tmp_path / "qrels.tsv", "1\td\t1"))
    with pytest.raises(InputError, match=r"qrels/\*\.tsv"):
        read_judgements(tmp_path)
    (tmp_path / "bytes.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        read_queries(tmp_path / "bytes.txt")
    with pytest.raises(InputError, match="'1' twice"):
        read_queries(write(tmp_path / "q.jsonl", '{"_id": "1", "text": "a"}', '{"_id": "1", "text": "b"}'))
