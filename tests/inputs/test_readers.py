"""Every reader: what it makes of a good file, and what it says about a bad one."""

from __future__ import annotations

import gzip
import io
import json
import math
import sys
from pathlib import Path

import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError, MissingExtraError
from nestvec.inputs import READERS, Fields, Limits, ReadReport, Reason, read
from nestvec.inputs.decoding import UnreadableError
from nestvec.inputs.incoming import Incoming
from nestvec.inputs.readers import SUFFIXES


def reasons(report: ReadReport) -> dict[str, int]:
    return {str(reason): tally.count for reason, tally in report.skipped.items()}


def pdf(*pages: str, title: str = "") -> bytes:
    """A PDF with one line of text a page; an empty string makes a page without text."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for i, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    objects.append(f"<< /Title ({title}) >>")
    out, offsets = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    xref = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n" + "".join(f"{o:010d} 00000 n \n" for o in offsets)
    out += f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R /Info {len(objects)} 0 R >>\nstartxref\n{xref}\n%%EOF\n"
    return out.encode("latin-1")


def parquet(rows: list[dict]) -> bytes:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out)
    return out.getvalue()


GOOD = {
    "txt@1": lambda: ("a.txt", b"Some words."),
    "markdown@1": lambda: ("a.md", b"# Head\n\nSome words."),
    "rst@1": lambda: ("a.rst", b"Head\n====\n\nSome words."),
    "html@1": lambda: ("a.html", b"<h1>Head</h1><p>Some words."),
    "pdf@1": lambda: ("a.pdf", pdf("Some words.")),
    "jsonl@1": lambda: ("a.jsonl", b'{"text": "Some words."}\n'),
    "delimited@1": lambda: ("a.csv", b"id,text\n1,Some words.\n"),
    "parquet@1": lambda: ("a.parquet", parquet([{"text": "Some words."}])),
    "python@1": lambda: ("a.py", b'"""Some words."""\n'),
    "python-package@1": lambda: ("json", b""),
}


def outcome(reader: str, path: Path) -> tuple[list[Record], ReadReport, UnreadableError | None]:
    """What a reader does with a file, when called as the catalogue's users call it."""
    incoming = Incoming(path, path.name, str(path))
    try:
        return list(READERS[reader](incoming)), incoming.report, None
    except UnreadableError as cause:
        return [], incoming.report, cause


WHERE = {
    "txt@1": "nestvec.inputs.txt",
    "markdown@1": "nestvec.inputs.markdown",
    "rst@1": "nestvec.inputs.rst",
    "html@1": "nestvec.inputs.html",
    "pdf@1": "nestvec.inputs.pdf",
    "jsonl@1": "nestvec.inputs.jsonl",
    "delimited@1": "nestvec.inputs.delimited",
    "parquet@1": "nestvec.inputs.parquet",
    "python@1": "nestvec.inputs.python_source",
    "python-package@1": "nestvec.inputs.python_package",
}


def test_a_reader_is_a_file():
    assert {name: READERS[name].__module__ for name in READERS} == WHERE


def test_every_reader_has_a_sample_and_a_way_in():
    assert set(GOOD) == set(READERS)
    assert set(SUFFIXES.values()) == set(READERS) - {"python-package@1"}


@pytest.mark.parametrize("reader", READERS)
class TestEveryReader:
    def test_gives_records_lazily_with_their_source(self, reader, tmp_path):
        name, content = GOOD[reader]()
        (tmp_path / name).write_bytes(content)
        records, report, trouble = outcome(reader, tmp_path / name)
        assert trouble is None
        assert records
        for record in records:
            assert record.metadata["source"] == str(tmp_path / name)
            assert record.text.strip()
            json.dumps(dict(record.metadata), allow_nan=False).encode()
        if reader != "python-package@1":
            assert "Some words." in records[-1].text
            assert not report.skipped

    def test_says_that_a_file_is_empty(self, reader, tmp_path):
        name = "empty" + Path(GOOD[reader]()[0]).suffix
        (tmp_path / name).write_bytes(b"")
        records, _, trouble = outcome(reader, tmp_path / name)
        assert records == []
        expected = Reason.NO_SOURCE if reader == "python-package@1" else Reason.EMPTY
        assert trouble is not None
        assert trouble.reason == expected

    @pytest.mark.parametrize(
        "content",
        [
            b"\xff\xfe\xfa",
            b"\xe9\xa0",
            b"ab\xffcd\n" * 3,
            b"\0" * 50,
            b"PAR1\0\0",
            b"%PDF-1.4\n%%EOF",
            b'{"text": "\xff"}\n',
        ],
    )
    def test_never_raises_and_never_loses_silently(self, reader, content, tmp_path):
        path = tmp_path / ("bad" + Path(GOOD[reader]()[0]).suffix)
        path.write_bytes(content)
        records, report, trouble = outcome(reader, path)
        if content.startswith(b"%PDF") and reader not in (
            "pdf@1",
            "jsonl@1",
            "parquet@1",
            "python@1",
            "python-package@1",
        ):
            assert trouble is None or trouble.reason == Reason.EMPTY  # it is a sound text
        else:
            assert records == []
            assert trouble is not None or report.skipped

    def test_says_that_a_file_is_gone(self, reader, tmp_path):
        records, _, trouble = outcome(reader, tmp_path / "gone.x")
        assert records == []
        assert trouble is not None
        assert trouble.reason in (Reason.VANISHED, Reason.NO_SOURCE)


def test_text_with_byte_order_marks_and_other_line_ends(read_file):
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        (record,), _ = read_file("a.txt", "grün\r\nblau\rrot".encode(encoding))
        assert record.text == "grün\nblau\nrot"
        (row,), _ = read_file("a.jsonl", '{"text": "grün"}\n'.encode(encoding))
        assert row.text == "grün"
        (row,), _ = read_file("a.csv", "id,text\r\nx,grün\r\n".encode(encoding))
        assert (row.id, row.text) == ("x", "grün")


def test_undecodable_text_is_skipped_with_its_offset_unless_replacement_is_asked_for(read_file):
    records, report = read_file("a.txt", b"gr\xfcn")
    assert records == []
    assert "0xfc at offset 2" in report.skipped[Reason.ENCODING].examples[0].detail
    (record,), report = read_file("a.txt", b"gr\xfcn", limits=Limits(errors="replace"))
    assert record.text == "gr\ufffdn"
    assert report.repaired[Reason.CHARACTER].count == 1
    (record,), report = read_file("a.txt", b"gr\xfcn", limits=Limits(encoding="latin-1"))
    assert record.text == "grün"
    assert not report.repaired


def test_a_limit_and_an_encoding_must_make_sense():
    with pytest.raises(InputError, match="at least 1, got 0"):
        Limits(max_line_bytes=0)
    for encoding in ("utf-9", "hex"):
        with pytest.raises(InputError, match=encoding):
            Limits(encoding=encoding)


def test_markdown_takes_title_and_metadata_from_the_front_matter(read_file):
    text = "---\ntitle: 'A name'\nauthor: B\nsource: C\nlist:\n  - x\n---\n# Head\n\nWords.\n"
    (record,), _ = read_file("a.md", text)
    assert record.title == "A name"
    assert record.text == "# Head\n\nWords.\n"
    assert record.metadata["author"] == "B"
    assert record.metadata["source_column"] == "C"
    assert record.metadata["source"].endswith("a.md")
    (record,), _ = read_file("b.md", "```\n# not a heading\n```\n\nHead\n----\n\nWords.")
    assert record.title == "Head"


def test_rst_titles(read_file):
    (record,), _ = read_file("a.rst", ".. comment\n\n=====\nTitle\n=====\n\nPart\n----\n\nWords.")
    assert record.title == "Title"


def test_html_keeps_text_and_headings_and_drops_the_rest(read_file):
    page = (
        "<html><head><title> The\n title </title><style>p{}</style></head><body><nav>Home</nav><h1>Big &amp; bold</h1>"
        "<p>One&nbsp;two\n   three<br>four</p><script>if (a<b) {}</script><h2>Small</h2><ul><li>x<li>y</ul>"
        "<pre>a\n  b</pre><footer>(c)</footer></body></html>"
    )
    (record,), _ = read_file("a.html", page)
    assert record.title == "The title"
    assert record.text == "# Big & bold\n\nOne two three\nfour\n\n## Small\n\n- x\n- y\n\na\n  b"
    (record,), _ = read_file("b.html", "<nav>Menu <p>All of <h1>the</h1> page")
    assert "All of" in record.text  # a <nav> that is never closed does not swallow the page
    assert record.title == "the"
    (record,), _ = read_file("c.html", '<meta charset="iso-8859-1"><p>gr\xfcn'.encode("latin-1"))
    assert record.text == "grün"
    records, report = read_file("d.html", "<script>only()</script>")
    assert records == []
    assert reasons(report) == {"no text": 1}
    read_file("e.html", "<![oops[ <p>x <!doctype <x &#xffffffffff; <p a='")


def test_pdf_pages_are_documents(read_file):
    records, report = read_file("a.pdf", pdf("First page.", "", "Third page.", title="A name"))
    assert [r.id for r in records] == ["a.pdf#p1", "a.pdf#p3"]
    assert [r.text.strip() for r in records] == ["First page.", "Third page."]
    assert [r.metadata["page"] for r in records] == [1, 3]
    assert {r.title for r in records} == {"A name"}
    assert report.skipped[Reason.NO_TEXT_LAYER].examples[0].where == "a.pdf#p2"


def test_pdf_without_text_encrypted_or_broken(read_file, capfd):
    import pypdf

    records, report = read_file("scan.pdf", pdf("", ""))
    assert (records, reasons(report)) == ([], {"no text layer": 1})
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(pdf("Secret.")))
    writer.encrypt("password", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    records, report = read_file("locked.pdf", out.getvalue())
    assert (records, reasons(report)) == ([], {"encrypted": 1})
    whole = pdf("First page.", "Second page.")
    for cut in range(0, len(whole), 97):
        records, report = read_file("cut.pdf", whole[:cut])
        assert records or report.skipped
    records, report = read_file("x.pdf", whole.replace(b"startxref\n", b"startxref\n1"))
    assert records
    assert report.repaired[Reason.PDF].count == 1
    assert capfd.readouterr() == ("", "")  # what pypdf had to say is in the report


def test_jsonl_ids_fields_and_values(read_file):
    rows = [
        {"_id": "a", "title": "T", "text": "one", "n": 1, "big": 1 << 70, "deep": {"k": [1, None]}, "source": "web"},
        {"id": 7, "content": "two"},
        {"body": "three"},
        {"name": "fallback", "kind": "x", "n": 3},
        {"title": "only a title"},
        {"id": "", "text": "no usable id"},
    ]
    text = "\n".join(json.dumps(r) for r in rows) + '\n\n{"text": "four", "x": NaN, "y": 1e999}\n'
    records, report = read_file("t.jsonl", text)
    assert [r.id for r in records] == ["a", "7", "t.jsonl:3", "t.jsonl:4", "t.jsonl:5", "t.jsonl:6", "t.jsonl:8"]
    assert [r.text for r in records[:5]] == ["one", "two", "three", "fallback\n\nx", "only a title"]
    assert records[0].title == "T"
    path = records[1].metadata["source"]
    assert records[0].metadata == {
        "source": path, "n": 1, "big": str(1 << 70), "deep": {"k": [1, None]}, "source_column": "web",
    }  # fmt: skip
    assert records[3].metadata == {"source": path, "name": "fallback", "kind": "x", "n": 3}
    assert records[-1].metadata == {"source": path, "x": None, "y": None}
    assert report.repaired[Reason.ID].count == 1
    assert not report.skipped


def test_jsonl_bad_lines_are_named_and_the_rest_is_read(read_file):
    lines = [
        b'{"text": "good"}', b"{broken", b"[1]", b'{"text": "\xff"}', b'{"n": 1}', b"[" * 100_000,
        b'{"text": "deep", "m": ' + b"[" * 200 + b"]" * 200 + b"}", b'{"text": "long' + b"x" * 300_000 + b'"}',
        b'{"text": "lone \\ud800 and pair \\ud83d\\ude00 and \\u0000"}', b'{"text": "last", "n": ' + b"9" * 5000 + b"}",
        b'{"text": "good too"}',
    ]  # fmt: skip
    records, report = read_file("t.jsonl", b"\n".join(lines), limits=Limits(max_line_bytes=200_000))
    assert [r.text for r in records] == ["good", "lone \ufffd and pair 😀 and \ufffd", "good too"]
    assert reasons(report) == {
        "broken JSON": 2, "not an object": 1, "undecodable bytes": 1, "no text": 1, "nested too deeply": 2,
        "line too long": 1,
    }  # fmt: skip
    assert report.skipped[Reason.BROKEN_JSON].examples[0].where == "t.jsonl:2"
    assert report.repaired[Reason.CHARACTER].count == 1
    assert report.lost == 8


def test_several_text_fields_are_joined_in_the_order_asked_for(read_file):
    row = json.dumps({"name": "p", "summary": "short", "description": "long"})
    (record,), _ = read_file("t.jsonl", row, fields=Fields(id="name", title="name", text=("description", "summary")))
    assert (record.id, record.title, record.text) == ("p", "p", "long\n\nshort")
    (record,), _ = read_file("t.jsonl", row, fields=Fields(text="summary"))
    assert record.text == "short"
    records, report = read_file("t.jsonl", row, fields=Fields(text="sumary"))
    assert records == []
    assert "'sumary'" in report.skipped[Reason.NO_TEXT].examples[0].detail


def test_csv_quotes_types_and_separators(read_file):
    text = 'id,Text,price,code\n1,"a ""b""\nc",1.5,007\n2,"x, y",3,\n'
    records, _ = read_file("t.csv", text)
    assert [r.text for r in records] == ['a "b"\nc', "x, y"]
    assert records[0].metadata == {"source": records[0].metadata["source"], "price": 1.5, "code": "007"}
    assert records[1].metadata["price"] == 3
    assert records[1].metadata["code"] is None
    (record,), _ = read_file("s.csv", "id;text\n1;a, b\n")
    assert record.text == "a, b"
    records, _ = read_file("t.tsv", 'id\ttext\n1\t"whole ""cell"""\n2\t"open\n3\tplain\n')
    assert [r.text for r in records] == ['whole "cell"', '"open', "plain"]
    records, _ = read_file("n.tsv", "first\t2\nsecond\t3\n", fields=Fields(header=False, text="1"))
    assert [r.text for r in records] == ["first", "second"]
    assert records[0].metadata["2"] == 2


def test_csv_trouble_stays_in_its_row(read_file):
    import csv

    before = csv.field_size_limit()
    body = 'id,text\n1,one\n2,two,three\n3,"open ' + "x" * 500 + '\nstill 3"\n4,' + "y" * 500 + "\n5,five\n"
    content = body.encode() + b"6,\xff\n7,seven\n8," + b"z" * 100 + b"\n"
    records, report = read_file("t.csv", content, limits=Limits(max_line_bytes=200))
    assert [r.id for r in records] == ["1", "5", "7", "8"]
    assert reasons(report) == {"broken row": 1, "line too long": 2, "undecodable bytes": 1}
    (record,), _ = read_file("big.csv", "id,text\n1," + "word " * 60_000 + "\n")
    assert len(record.text) == 300_000  # beyond the csv module's own limit of 131,072
    records, report = read_file("q.csv", 'id,text\n1,"never closed\n' + "2,x\n" * 100, limits=Limits(max_line_bytes=50))
    assert [r.id for r in records] == ["2"]  # the field may not grow for ever, and reading goes on behind it
    assert "lines 2 to 12" in report.skipped[Reason.BROKEN_ROW].examples[0].detail
    assert csv.field_size_limit() == before
    records, report = read_file("h.csv", "id,id\n1,2\n")
    assert reasons(report) == {"broken row": 1}


def test_parquet_values_become_json(read_file):
    import datetime as dt
    import decimal

    rows = [
        {"id": 1, "text": "a", "d": dt.date(2020, 1, 2), "m": decimal.Decimal("1.50"), "b": b"r", "v": [1.0, math.nan]},
        {"id": 2, "text": None, "d": None, "m": None, "b": None, "v": None},
    ]  # fmt: skip
    records, report = read_file("t.parquet", parquet(rows))
    assert [r.id for r in records] == ["1"]
    assert {k: v for k, v in records[0].metadata.items() if k != "source"} == {
        "d": "2020-01-02", "m": "1.50", "b": None, "v": [1.0, None],
    }  # fmt: skip
    assert reasons(report) == {"no text": 1}
    records, _ = read_file("t.parquet.gz", gzip.compress(parquet(rows)))
    assert len(records) == 1
    _, report = read_file("bad.parquet", parquet(rows)[:-20])
    assert reasons(report) == {"damaged": 1}


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(MissingExtraError, match=r"nestvec\[parquet\]"):
        list(read(tmp_path / "a.parquet"))
    (tmp_path / "b.txt").write_text("words")
    report = ReadReport()
    assert [r.text for r in read(tmp_path, report=report)] == ["words"]
    assert reasons(report) == {"missing extra": 1}


def test_gzip_is_unpacked_and_bombs_are_not(read_file):
    packed = gzip.compress(b'{"text": "one"}\n{"text": "two"}\n')
    records, _ = read_file("a.jsonl.gz", packed)
    assert [r.id for r in records] == ["a.jsonl.gz:1", "a.jsonl.gz:2"]
    (record,), _ = read_file("a.txt.gz", gzip.compress(b"words"))
    assert record.text == "words"
    records, report = read_file("cut.jsonl.gz", gzip.compress(b'{"text": "one"}\n' * 9)[:-6])
    assert reasons(report)["damaged"] == 1
    _, report = read_file("not.txt.gz", b"plain")
    assert reasons(report) == {"damaged": 1}
    bomb = gzip.compress(b'{"text": "x"}\n' * 10_000)
    _, report = read_file("bomb.jsonl.gz", bomb, limits=Limits(max_expanded_bytes=1000))
    assert reasons(report)["too large"] == 1
    _, report = read_file("bomb.txt.gz", gzip.compress(bytes(10**7)), limits=Limits(max_file_bytes=1000))
    assert reasons(report) == {"too large": 1}


SOURCE = '''"""Module."""
import os
if os:
    def f(a: int, *, b="x") -> str:
        """Say f."""
class C(dict):
    """A class."""
    def __init__(self, n):
        """Not given."""
    def m(self):
        """A method."""
        def inner():
            """Not given."""
    @property
    def p(self):
        """A property."""
    @p.setter
    def p(self, value):
        """The setter."""
    def undocumented(self): ...
class _Private:
    """Not given."""
    def m(self):
        """Not given."""
async def g():
    r"""Regex \\d."""
'''


def test_python_docstrings_with_qualified_names(read_file):
    records, _ = read_file("mod.py", SOURCE)
    assert [r.id for r in records] == ["mod.py", "mod.py::f", "mod.py::C", "mod.py::C.m", "mod.py::C.p", "mod.py::g"]
    assert [r.metadata["kind"] for r in records] == ["module", "function", "class", "method", "method", "function"]
    assert records[1].text == "def f(a: int, *, b='x') -> str\n\nSay f."
    assert records[2].text == "class C(dict): __init__(self, n)\n\nA class."
    assert records[4].text.endswith("A property.")
    assert records[3].title == "mod.C.m"
    assert records[3].metadata["line"] == 10
    for bad, reason in (
        ("def f(:", "damaged"),
        ("x = 1", "no docstrings"),
        ("# coding: klingon\n", "undecodable bytes"),
    ):
        _, report = read_file("bad.py", bad)
        assert reasons(report) == {reason: 1}
    _, report = read_file("deep.py", "x = " + "-" * 100_000 + "1")
    assert reasons(report) == {"nested too deeply": 1}
    read_file("old.py", 'x = "\\d"\n')  # its SyntaxWarning is not ours: here warnings are errors


def test_python_packages_are_found_and_not_imported(tmp_path, monkeypatch):
    package = tmp_path / "notimported"
    (package / "sub" / "tests").mkdir(parents=True)
    (package / "__init__.py").write_text('"""Top."""\nraise SystemExit\n')
    (package / "sub" / "__init__.py").write_text('"""Sub."""\nraise SystemExit\n')
    (package / "sub" / "mod.py").write_text('def f():\n    """Say f."""\n')
    (package / "sub" / "broken.py").write_text("def f(:")
    (package / "sub" / "tests" / "__init__.py").write_text('"""Tests."""\n')
    monkeypatch.syspath_prepend(tmp_path)
    report = ReadReport()
    records = list(read("python:notimported", report=report))
    assert [r.id for r in records] == ["notimported", "notimported.sub", "notimported.sub.mod.f"]
    assert records[2].metadata["module"] == "notimported.sub.mod"
    assert reasons(report) == {"damaged": 1, "test code": 1}
    assert not {name for name in sys.modules if name.startswith("notimported")}
    assert [r.id for r in read("python:notimported.sub.mod")] == ["notimported.sub.mod.f"]
    with pytest.raises(InputError, match=r"did you mean 'python:notimported\.sub'"):
        read("python:notimported.sup")


def test_python_json():
    records = {r.id: r for r in read("python:json")}
    assert {"json", "json.dumps", "json.decoder"} <= set(records)
    assert "json.decoder.JSONDecoder.decode" in records
    assert records["json.dumps"].text.startswith("def dumps(obj, *, skipkeys=False")
    assert records["json.dumps"].title == "json.dumps"
    assert next(read("python:json.decoder")).id == "json.decoder"


def test_python_modules_without_source_and_without_existence():
    report = ReadReport()
    assert list(read("python:sys", report=report)) == []
    assert report.skipped[Reason.NO_SOURCE].count >= 1
    assert any(r.id == "os.path.join" or r.id.startswith("os.") for r in read("python:os"))  # frozen, but has a file
    with pytest.raises(InputError, match="did you mean 'python:json'"):
        read("python:jsn")
    with pytest.raises(InputError, match="dotted name"):
        read("python:a b")
