"""read(): what a source may be, which names records get, and what is passed over."""

from __future__ import annotations

import gzip
import io
import json
import os
import resource
import socket
import sys
from pathlib import Path

import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError
from nestvec.inputs import Fields, Limits, ReadReport, Reason, passages, read, walk
from nestvec.inputs.incoming import Incoming, LongLine
from nestvec.inputs.rows import clean


def reasons(report):
    return {str(reason): tally.count for reason, tally in report.skipped.items()}


def fill(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def ids(source, **options):
    return [record.id for record in read(source, **options)]


TREE = {
    "b.txt": "b",
    "a/x.md": "# x",
    "a/.git/c.txt": "c",
    "__pycache__/d.txt": "d",
    "e.bin": "e",
    "f": "f",
    "a/z/y.rst": "y",
}


def test_a_folder_gives_its_files_in_a_stable_order_under_its_own_name(tmp_path):
    docs = fill(tmp_path / "docs", TREE)
    report = ReadReport()
    assert ids(docs, report=report) == ["docs/a/x.md", "docs/a/z/y.rst", "docs/b.txt"]
    assert reasons(report) == {"hidden": 2, "unknown type": 2}
    assert report.unknown_types == {".bin": 1, "(none)": 1}
    assert (report.files, report.documents, report.lost) == (3, 3, 2)
    assert ids(f"{docs}/") == ids(docs)


def test_relative_sources_are_named_by_what_they_are(tmp_path, monkeypatch):
    fill(tmp_path / "docs", TREE)
    monkeypatch.chdir(tmp_path / "docs")
    assert ids(".") == ["docs/a/x.md", "docs/a/z/y.rst", "docs/b.txt"]
    assert ids("b.txt") == ["b.txt"]
    assert ids("f") == ["f"]  # a file that is named itself is text even without a suffix
    assert next(read("a/x.md")).metadata["source"] == "a/x.md"
    assert ids("*.txt") == ["b.txt"]
    assert ids("a/*.md") == ["a/x.md"]
    assert ids("**/*.[mr]*") == ["a/x.md", "a/z/y.rst"]
    assert ids("a/*") == ["a/x.md", "a/z/y.rst"]
    assert ids([Path("b.txt"), Path("a"), Path("./a/../b.txt")]) == ["b.txt", "a/x.md", "a/z/y.rst"]
    (tmp_path / "docs" / "odd[1].txt").write_text("odd")
    assert ids("odd[1].txt") == ["odd[1].txt"]


def test_what_is_not_there_is_an_error_before_the_first_record(tmp_path):
    fill(tmp_path, {"corpus.jsonl": '{"text": "x"}'})
    with pytest.raises(InputError, match=r"nothing at .*corpus\.json'; did you mean .*corpus\.jsonl'"):
        read(tmp_path / "corpus.json")
    with pytest.raises(InputError, match="matches none"):
        read(f"{tmp_path}/*.nothing")
    with pytest.raises(InputError, match="empty string"):
        read("")
    with pytest.raises(InputError, match="did you mean"):
        read([tmp_path / "corpus.jsnl"])
    with pytest.raises(InputError, match=r"pass \[record\]"):
        read({"text": "x"})


def test_links_and_loops(tmp_path):
    docs = fill(tmp_path / "docs", {"z/a.txt": "a"})
    (docs / "z" / "loop").symlink_to(docs)
    (docs / "again").symlink_to(docs / "z")
    (docs / "self.txt").symlink_to("self.txt")
    (docs / "broken.txt").symlink_to("nowhere")
    report = ReadReport()
    assert ids(docs, report=report) == ["docs/z/a.txt"]  # the folder itself is read before links to it
    assert reasons(report) == {"directory loop": 3, "vanished": 1}
    assert ids(f"{docs}/**", report=report)[:1] == ["docs/z/a.txt"]


def test_pipes_sockets_and_unreadable_files(tmp_path, monkeypatch):
    docs = fill(tmp_path / "docs", {"a.txt": "a", "b.txt": "b", "c/d.txt": "d"})
    os.mkfifo(docs / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as unix:
        monkeypatch.chdir(docs)
        unix.bind("s.txt")
        real_open, real_scandir = Path.open, os.scandir

        def refuse_open(self, *args, **options):
            if self.name == "b.txt":
                raise PermissionError(13, "Permission denied")
            return real_open(self, *args, **options)

        def refuse_scandir(path):
            if str(path).endswith("/c"):
                raise PermissionError(13, "Permission denied")
            return real_scandir(path)

        monkeypatch.setattr(Path, "open", refuse_open)  # the tests may run as root, whom no permission stops
        monkeypatch.setattr(os, "scandir", refuse_scandir)
        report = ReadReport()
        assert ids(docs, report=report) == ["docs/a.txt"]
    assert reasons(report) == {"not a regular file": 2, "unreadable": 2}
    assert {e.detail for e in report.skipped[Reason.UNREADABLE].examples} == {"Permission denied"}


def test_a_file_that_vanishes_while_the_folder_is_read(tmp_path):
    docs = fill(tmp_path / "docs", {"a.txt": "a", "b.txt": "b", "c.txt": "c"})
    report = ReadReport()
    stream = read(docs, report=report)
    assert next(stream).id == "docs/a.txt"
    (docs / "b.txt").unlink()
    assert [r.id for r in stream] == ["docs/c.txt"]
    assert reasons(report) == {"vanished": 1}


def test_names_that_are_not_utf8(tmp_path):
    (tmp_path / "docs").mkdir()
    Path(os.fsdecode(bytes(tmp_path / "docs") + b"/gr\xfcn.txt")).write_text("x")
    (record,) = read(tmp_path / "docs")
    assert record.id == "docs/gr\ufffdn.txt"
    record.metadata["source"].encode()


def test_duplicates_are_skipped_by_content_and_by_id(tmp_path):
    docs = fill(
        tmp_path / "docs",
        {"a.txt": "same", "b.txt": "same", "t.jsonl": '{"id": "1", "text": "x"}\n{"id": "1", "text": "y"}'},
    )
    report = ReadReport()
    assert ids(docs, report=report) == ["docs/a.txt", "1"]
    assert reasons(report) == {"duplicate content": 1, "duplicate id": 1}
    assert report.skipped[Reason.DUPLICATE_CONTENT].examples == [("docs/b.txt", "same as docs/a.txt")]
    assert report.duplicates == 1
    report = ReadReport()
    assert ids(docs, report=report, duplicates="keep") == ["docs/a.txt", "docs/b.txt", "1"]
    assert (report.duplicates, reasons(report)) == (1, {"duplicate id": 1})


def test_items_may_be_records_rows_texts_and_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(fill(tmp_path, {"a.txt": "file"}))
    items = [
        Record("r", "one"),
        {"id": 2, "text": "two", "source": "web"},
        "three",
        Path("a.txt"),
        {"n": 1},
        "",
        "three",
    ]
    report = ReadReport()
    records = list(read(iter(items), report=report))
    assert [r.text for r in records] == ["one", "two", "three", "file"]
    assert [r.id for r in records][:2] == ["r", "2"]
    assert records[1].metadata == {"source": "web"}
    assert records[2].id == next(read(["three"])).id  # named by what it says, wherever it stands
    assert reasons(report) == {"no text": 2, "duplicate content": 1}
    with pytest.raises(InputError, match="Pass Path"):
        list(read(["a.txt"]))
    with pytest.raises(InputError, match="got int 3"):
        list(read(iter([3])))
    assert list(read([])) == []
    (record,) = read([{"a": "x", "b": "y"}], fields=Fields(id="b", text="a"))
    assert (record.id, record.text) == ("y", "x")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b'{"text": "one"}\n{"id": "i", "text": "two"}\n', [("stdin:1", "one"), ("i", "two")]),
        (b"plain\n{words}\n", [("stdin", "plain\n{words}\n")]),
        (b"", []),
    ],
)
def test_standard_input(data, expected, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data))))
    report = ReadReport()
    assert [(r.id, r.text) for r in read("-", report=report)] == expected
    assert reasons(report) == ({} if data else {"empty": 1})
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"x")))
    with pytest.raises(InputError, match="stream of bytes"):
        list(read("-"))


def test_values_become_clean_json():
    value = {"a": float("nan"), 1: (1 << 64, True, b"raw"), "s": "x\ud800\0", "n": {"m": [-(1 << 63)]}}
    assert clean(value) == {"a": None, "1": [str(1 << 64), True, None], "s": "x\ufffd\ufffd", "n": {"m": [-(1 << 63)]}}


class Endless(io.RawIOBase):
    """A stream of one line of ``size`` bytes, then one short line. Counts what is held at most."""

    def __init__(self, size: int) -> None:
        self.left, self.tail, self.largest = size, [b"\n", b'{"text": "after"}\n'], 0

    def readline(self, size: int = -1, /) -> bytes:
        assert size > 0, "an unbounded read"
        self.largest = max(self.largest, size)
        if self.left:
            n = min(size, self.left)
            self.left -= n
            return b"x" * n
        return self.tail.pop(0) if self.tail else b""


def test_an_endless_line_is_passed_over_in_small_pieces():
    stream = Endless(100 << 20)
    incoming = Incoming(Path("a.jsonl"), "a.jsonl", "a.jsonl", limits=Limits(max_line_bytes=1 << 20), stream=stream)
    lines = list(incoming.lines())
    assert lines == [(1, LongLine((100 << 20) + 1, 0)), (2, b'{"text": "after"}\n')]
    assert stream.largest <= (1 << 20) + 1


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".tsv"])
def test_a_line_of_two_gigabytes(tmp_path, suffix):
    path = tmp_path / f"big{suffix}"
    with path.open("wb") as file:  # the hole in the middle takes no disk and reads as null bytes
        file.write(b'{"id": "first", "text": "before"}\n' if suffix == ".jsonl" else b"text\nbefore\n")
        file.seek(2 << 30, os.SEEK_CUR)
        file.write(b'\n{"id": "last", "text": "after"}\n' if suffix == ".jsonl" else b"\nafter\n")
    report = ReadReport()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [r.text for r in read(path, report=report)] == ["before", "after"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes
    assert reasons(report) == {"line too long": 1}


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    fill(tmp_path, {"a.txt": "x" * 100})
    report = ReadReport()
    assert ids(tmp_path / "a.txt", report=report, limits=Limits(max_file_bytes=99)) == []
    assert reasons(report) == {"too large": 1}
    assert ids(tmp_path / "a.txt", limits=Limits(max_file_bytes=100)) == ["a.txt"]


def test_a_report_is_bounded_exact_and_readable():
    report = ReadReport(max_examples=2)
    for i in range(1000):
        report.skip(Reason.NO_TEXT, f"row {i}", "\ud800" * 10_000)
        report.skip_type(f".x{i}", f"a.x{i}")
    assert report.skipped[Reason.NO_TEXT].count == 1000
    assert len(report.skipped[Reason.NO_TEXT].examples) == 2
    assert len(report.unknown_types) == 101
    assert report.unknown_types["(other)"] == 900
    assert report.lost == 2000
    text = json.dumps(report.to_json(), allow_nan=False)
    assert json.loads(text)["skipped"]["no text"]["count"] == 1000
    assert len(text) < 20_000
    assert "skipped 1,000: no text" in report.lines()
    assert "and 998 more" in str(report)
    str(report).encode()
    assert str(ReadReport()) == "0 files, 0 documents"


def test_patterns_are_told_from_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert walk.is_pattern("*.txt")
    assert not walk.is_pattern("a.txt")
    (tmp_path / "[a].txt").write_text("x")
    assert not walk.is_pattern("[a].txt")


def test_scifact(data_dir):
    report = ReadReport()
    records = list(read(data_dir / "scifact" / "corpus.jsonl.gz", report=report))
    assert len(records) == 5183
    assert records[0].id == "4983"
    assert records[0].title.startswith("Microstructural development")
    assert all(r.title and r.text for r in records)
    assert not report.skipped
    assert not report.repaired


def test_scifact_in_passages(data_dir):
    records = list(read(data_dir / "scifact" / "corpus.jsonl.gz"))[:300]
    texts = {r.id: r.text for r in records}

    def count(batch):
        return [len(text.split()) for text in batch]

    report = ReadReport()
    pieces = list(passages(records, budget=120, count=count, report=report))
    assert all(p.text == texts[p.place.parent][p.place.start : p.place.end] for p in pieces)
    assert max(count([p.full_text for p in pieces])) <= 120
    assert {p.place.parent for p in pieces} == set(texts)
    assert 0 < report.split < 300
    assert report.passages == len(pieces)


def test_debian_packages_with_chosen_fields(data_dir):
    from itertools import islice

    fields = Fields(id="name", title="name", text=("summary", "description"))
    (first, *_rest) = islice(read(data_dir / "debian_packages" / "packages.jsonl.gz", fields=fields), 100)
    assert (first.id, first.title) == ("0ad", "0ad")
    assert first.text.startswith("Real-time strategy game of ancient warfare\n\n0 A.D. (pronounced")
    assert first.metadata["source_column"] == "0ad"
    assert first.metadata["size"] == 7891488
    assert len(_rest) == 99


def test_reading_leaves_no_file_open(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"text": "one"}\n{"text": "two"}\n'))
    stream = read(tmp_path / "a.jsonl.gz")
    next(stream)
    stream.close()  # a ResourceWarning would be an error here
