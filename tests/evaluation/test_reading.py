"""Data with a mistake in it is refused, and the message says where."""

import gzip

import numpy as np
import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError, NotFiniteError, UnknownNameError
from nestvec.evaluation import GROUPS, TASKS, Task, choose
from nestvec.evaluation.judged_pairs import JudgedPairs
from nestvec.evaluation.judgements import read_gains, relevant
from nestvec.evaluation.kinds.classification import Classification
from nestvec.evaluation.kinds.pair_classification import PairClassification
from nestvec.evaluation.kinds.reranking import Reranking
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.kinds.sts import Sts
from nestvec.evaluation.kinds.zero_shot import ZeroShot
from nestvec.evaluation.rows import Row, digest, find, once, read_rows
from nestvec.evaluation.task import data_folder
from tests.evaluation.conftest import beir, lines, table

HEAD = ("query-id", "corpus-id", "score")


def test_a_folder_of_beir_is_read(tmp_path):
    kind = Retrieval.read(beir(tmp_path / "b"))
    assert len(kind) == 6
    assert kind.documents[0].full_text == "about all on the cat cats"
    assert kind.judged["q0"] == {"d0": 1.0}


def test_gzipped_files_are_read_as_well(tmp_path):
    folder = beir(tmp_path / "b")
    plain = folder / "corpus.jsonl"
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    before = Retrieval.read(folder).fingerprint
    plain.unlink()
    assert Retrieval.read(folder).fingerprint == before
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress(b"x" * 99)[:-5])
    with pytest.raises(InputError, match="whole gzip file"):
        Retrieval.read(folder)


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (("q0", "d99", 1), "judged documents must be in the corpus, got 'd99'"),
        (("q77", "d0", 1), "known queries, got query 'q77'"),
        (("q0", "d0", 1), "judged once, got 'q0' and 'd0' twice"),
        (("q0", "d1", "nan"), "must be a finite number, got 'nan'"),
        (("q0", "d1"), r"test\.tsv:8: a judgement must be"),
        (("q0", "d1", "much"), "must be a finite number, got 'much'"),
    ],
)
def test_a_bad_judgement_is_named(tmp_path, row, says):
    folder = beir(tmp_path / "b")
    table(folder / "qrels" / "test.tsv", HEAD, [*((f"q{i}", f"d{i}", 1) for i in range(6)), row])
    with pytest.raises(InputError, match=says):
        Retrieval.read(folder)


def test_a_split_without_judgements_or_relevance_is_refused(tmp_path):
    folder = beir(tmp_path / "b")
    table(folder / "qrels" / "test.tsv", HEAD, [])
    with pytest.raises(InputError, match="at least one row"):
        Retrieval.read(folder)
    with pytest.raises(InputError, match=r"train\.tsv"):
        Retrieval.read(folder, split="train")
    with pytest.raises(InputError, match="relevant document"):
        Retrieval.read(beir(tmp_path / "zeros", grade=0))


def test_judgements_in_all_forms(tmp_path):
    path = tmp_path / "qrels.tsv"
    expected = {"q 1": {"d1": 1.0, "d2": 0.0}, "q2": {"d2": 2.5}}
    path.write_text("query-id\tcorpus-id\tscore\nq 1\td1\t1\nq 1\td2\t0\nq2\td2\t2.5\n\n")
    assert read_gains(path) == expected
    assert relevant(expected) == {"q 1": {"d1"}, "q2": {"d2"}}
    path.write_bytes(b"\xef\xbb\xbfq 1\t0\td1\t1\r\nq 1\t0\td2\t0\r\nq2\t0\td2\t2.5\r\n")
    assert read_gains(path) == expected
    (tmp_path / "qrels.tsv.gz").write_bytes(gzip.compress(b"q1 Q0 d1 1\nq1 Q0 d2 1\n"))
    path.unlink()
    assert read_gains(path) == {"q1": {"d1": 1.0, "d2": 1.0}}
    with pytest.raises(InputError, match="at least one document relevant"):
        relevant({"q": {"d": 0.0}})


def test_what_is_written_as_beir_is_read_again(tmp_path):
    kind = Retrieval.read(beir(tmp_path / "b"))
    judged = {**kind.judged, "q1": {"d1": 2.0, "d3": 0.5, "d4": 0.0}}
    odd = Record("d 9", 'Two\nlines, a\ttab, and "quotes".', title="Über")
    before = Retrieval((*kind.documents, odd), kind.queries, judged)
    before.write(tmp_path / "copy")
    assert (tmp_path / "copy" / "qrels" / "test.tsv").read_text().splitlines()[:2] == ["\t".join(HEAD), "q0\td0\t1"]
    assert Retrieval.read(tmp_path / "copy").fingerprint == before.fingerprint
    with pytest.raises(InputError, match="must not be there"):
        before.write(tmp_path / "copy")


def test_duplicate_ids_and_queries_without_judgements_are_refused(tmp_path):
    folder = beir(tmp_path / "b")
    rows = [{"_id": "d0", "text": "one"}, {"_id": "d0", "text": "two"}]
    lines(folder / "corpus.jsonl", rows)
    with pytest.raises(InputError, match="'d0' twice"):
        Retrieval.read(folder)
    kind = Retrieval.read(beir(tmp_path / "c"))
    with pytest.raises(InputError, match="1 without, the first 'q9'"):
        Retrieval(kind.documents, {**kind.queries, "q9": "?"}, kind.judged)


@pytest.mark.parametrize("metric", ["nDCG@0", "R", "nDCG@1000", "nonsense@10"])
def test_a_metric_without_a_usable_depth_is_refused(tmp_path, metric):
    with pytest.raises(InputError):
        Retrieval.read(beir(tmp_path / "b"), metric=metric)


def test_a_query_without_relevant_documents_is_left_out_and_told(tmp_path, model):
    folder = beir(tmp_path / "b")
    table(folder / "qrels" / "test.tsv", HEAD, [(f"q{i}", f"d{i}", int(i > 0)) for i in range(6)])
    outcome = Retrieval.read(folder).measure(model)
    assert outcome.items == ("q1", "q2", "q3", "q4", "q5")
    assert outcome.notes == ("1 of 6 queries have nothing relevant and are left out",)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "at least one row"),
        ([{"s1": "a", "s2": "b"}], "a column score"),
        ([{"s1": "a", "s2": " ", "score": 1}], r"x\.jsonl:1: 's2' must be text"),
        ([{"s1": "a", "s2": "b", "score": float("nan")}], "finite number"),
        ([{"s1": "a", "s2": "b", "score": True}], "finite number"),
        ([{"s1": "a", "s2": "b", "score": 1}] * 5, "unequal scores"),
    ],
)
def test_bad_pairs_are_named(tmp_path, rows, says):
    with pytest.raises(InputError, match=says):
        Sts.read(lines(tmp_path / "x.jsonl", rows))


def test_broken_lines_and_unknown_endings_are_named(tmp_path):
    broken = tmp_path / "x.jsonl"
    broken.write_text('{"a": 1}\n\n{"a":\n')
    with pytest.raises(InputError, match=r"x\.jsonl:3: a line must be a JSON object"):
        read_rows(broken)
    broken.write_text("[1]\n")
    with pytest.raises(InputError, match="got list"):
        read_rows(broken)
    broken.write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        read_rows(broken)
    (tmp_path / "x.txt").write_text("a")
    with pytest.raises(InputError, match=r"\.jsonl, \.tsv, \.csv"):
        read_rows(tmp_path / "x.txt")
    (tmp_path / "x.tsv").write_text("a\tb\n1\n")
    with pytest.raises(InputError, match=r"x\.tsv:2: there must be 2 columns"):
        read_rows(tmp_path / "x.tsv")
    with pytest.raises(InputError, match="got neither"):
        find(tmp_path / "gone.tsv")


def test_a_tab_separated_field_may_begin_with_a_quotation_mark_and_a_csv_field_may_hold_a_comma(tmp_path):
    (tmp_path / "x.tsv").write_text('a\tb\n"so\tthere\n')
    (tmp_path / "x.csv").write_text('a,b\n"so, then",there\n')
    assert [read_rows(tmp_path / name)[0].values for name in ("x.tsv", "x.csv")] == [
        {"a": '"so', "b": "there"},
        {"a": "so, then", "b": "there"},
    ]


def test_rows_give_what_is_asked_for():
    row = Row({"a": "x", "n": 3, "l": ["p", "q"], "e": None}, "f:1")
    assert row.text("missing", "a") == "x"
    assert row.label("n") == "3"
    assert row.number("n") == 3.0
    assert row.texts("l") == ("p", "q")
    assert row.texts("a") == ("x",)
    assert row.joined("a", "e") == "x"
    with pytest.raises(InputError, match="a column e"):
        row.text("e")
    with pytest.raises(InputError, match="list of texts"):
        row.texts("n")


def test_classes_pairs_and_candidates_are_checked(tmp_path):
    with pytest.raises(InputError, match="both splits must have texts"):
        Classification((), (), ("a",), ("x",))
    with pytest.raises(InputError, match="got 'zebra'"):
        Classification(("a", "b"), ("x", "y"), ("c",), ("zebra",))
    with pytest.raises(InputError, match="must be at least 1"):
        Classification(("a", "b"), ("x", "y"), ("c",), ("x",), way="knn", neighbours=0)
    with pytest.raises(InputError, match="way must be one of"):
        Classification(("a", "b"), ("x", "y"), ("c",), ("x",), way="svm")
    with pytest.raises(InputError, match="must be 1 or 0, got 'maybe'"):
        PairClassification.read(table(tmp_path / "p.tsv", ("s1", "s2", "label"), [("a", "b", "maybe")]))
    with pytest.raises(InputError, match="one of them relevant"):
        Reranking.read(lines(tmp_path / "r.jsonl", [{"query": "a", "positive": [], "negative": ["b", "c"]}]))
    with pytest.raises(InputError, match="depth must be at least 1"):
        Reranking.read(tmp_path, depth=0)
    with pytest.raises(InputError, match=r"\{\} where the name goes"):
        ZeroShot.read(tmp_path / "z.jsonl", template="nothing")
    with pytest.raises(InputError, match="got none for 'b'"):
        ZeroShot(("t", "u"), ("a", "b"), (("a", "A"), ("c", "C")))
    with pytest.raises(NotFiniteError):
        JudgedPairs(("a",) * 3, ("b",) * 3, np.array([1.0, np.nan, 2.0]))


def test_names_of_tasks_are_names_of_files():
    for name in ("", ".hidden", "a/b", "a b"):
        with pytest.raises(InputError, match="letters, digits"):
            Task(name, "sts@1", "x.jsonl")
    with pytest.raises(UnknownNameError):
        Task("x", "nothing@1", "x.jsonl")


def test_tasks_are_chosen_by_name_group_or_path(tmp_path):
    assert [task.name for task in choose(["stsb", "stsb", "bitext"])] == ["stsb", *GROUPS["bitext"]]
    assert set(GROUPS["all"]) == set(TASKS)
    mine = choose([f"sts={tmp_path}/a/pairs.tsv", f"sts={tmp_path}/b/pairs.tsv"])
    assert [task.name for task in mine] == ["sts-pairs", "sts-pairs-2"]
    with pytest.raises(UnknownNameError, match="did you mean 'scifact'"):
        choose(["scifcat"])
    with pytest.raises(InputError, match="KIND=PATH"):
        choose(["sts="])
    with pytest.raises(UnknownNameError, match="unknown kind"):
        choose(["nonsense=x.tsv"])


def test_the_data_folder_must_be_there(monkeypatch, tmp_path):
    monkeypatch.setenv("NESTVEC_DATA", str(tmp_path))
    assert data_folder() == tmp_path
    monkeypatch.setenv("NESTVEC_DATA", str(tmp_path / "gone"))
    with pytest.raises(InputError, match="NESTVEC_DATA"):
        data_folder()


def test_once_and_digest():
    once(["a", "b"], "names")
    with pytest.raises(InputError, match="'a' twice"):
        once(["a", "b", "a"], "names")
    assert digest("a", ["b"]) != digest("a", ["c"])
    assert digest("ab", "") != digest("a", "b")
