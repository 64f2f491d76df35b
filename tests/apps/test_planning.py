"""``plan`` and ``report``: nestvec.apps.cli.planning, nestvec.apps.cli.reporting; nestvec.apps.explore."""

import html.parser
import importlib.util
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nestvec.apps.cli.console import Output
from nestvec.apps.cli.planning import apply_to, vectors_asked
from nestvec.apps.explore.front import axes, caption, drawing, floor_of, ticks
from nestvec.apps.explore.page import Table, page, paragraph
from nestvec.apps.explore.picture import save
from nestvec.apps.explore.planned import body, everything, finalists, whole_page
from nestvec.apps.explore.quality import answered
from nestvec.apps.explore.report import Contents, report
from nestvec.planner import Budget, Rules, plan
from nestvec.planner.questions import read_judgements
from nestvec.search.collection import Collection
from tests.planner.conftest import vectors

QUICK = ("--codecs", "int8@1,sign@1", "--depths", "none")


@pytest.fixture(scope="module")
def chosen():
    from nestvec.planner import Dials, Judged, Task, View, codings

    documents, queries, answer = vectors()
    target = Judged(tuple({int(i): 1.0} for i in answer), np.arange(len(documents)))
    task = Task([View(None, documents, queries, fitted=False)], target, len(documents), 32)
    return plan(task, Budget(), rules=Rules(keep=0.8), dials=Dials(codings(["int8@1", "sign@1"]), ms=(20,)))


@pytest.fixture
def indexed(nestvec, model):
    """A collection of 120 small records, and judgements."""
    rng = np.random.default_rng(0)
    words = ["cat", "dog", "mat", "moon", "sun", "star", "tide", "water", "sea", "ship", "home", "bread", "oven"]
    texts = [" ".join(rng.choice(words, 6)) + f" {i}" for i in range(120)]
    rows = [json.dumps({"id": f"r{i}", "title": f"{t} title", "text": t}) for i, t in enumerate(texts)]
    Path("rows.jsonl").write_text("\n".join(rows))
    judged = [json.dumps({"query": texts[i], "relevant": [f"r{i}"]}) for i in range(0, 120, 3)]
    Path("judged.jsonl").write_text("\n".join(judged))
    nestvec("index", "rows.jsonl", "--to", "c", "-m", model, "-q")
    return Path("c")


# ------------------------------------------------------------------ the program


def test_a_plan_from_the_command_line(nestvec, indexed):
    done = nestvec("plan", indexed, "--judgements", "judged.jsonl", "--keep", "0.5", "--out", "out", *QUICK)
    assert "nDCG@10" in done.stdout
    assert "at least" in done.stdout
    assert re.search(r"^> ", done.stdout, re.MULTILINE)
    data = json.loads(Path("out/plan.json").read_text())
    assert data["verdict"] == "chosen"
    assert Path("out/plan.html").read_text().startswith("<!doctype html>")
    if importlib.util.find_spec("matplotlib"):
        assert Path("out/plan.png").read_bytes().startswith(b"\x89PNG")
    else:
        assert "nestvec[plot]" in done.stderr


def test_a_plan_as_data(nestvec, indexed):
    done = nestvec("plan", indexed, "--json", "--keep", "0.5", *QUICK)
    data = json.loads(done.stdout)
    assert data["proxy"] is True
    assert data["target"] == "agreement@10"
    assert data["facts"]["queries_from"] == "the records"
    assert done.stderr == ""


def test_a_budget_with_room_for_nothing_is_a_no(nestvec, indexed):
    done = nestvec("plan", indexed, "--budget", "1kB", "--judgements", "judged.jsonl", *QUICK, expect=1)
    assert "Nothing within the budget" in done.stdout
    assert "over budget" in done.stdout
    assert "encoder alone" in done.stdout


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        (("--budget", "10ms"), 3, "p95 10ms"),
        (("--budget", "keep 98"), 3, "at most 1"),
        (("--keep", "2"), 2, "keep"),
        (("--codecs", "zip@1"), 3, "must be among"),
        (("--vectors", "many"), 3, "numbers, shares such as 25%, or all"),
        (("--vectors", "4", "--codecs", "sign@1"), 3, "must keep several vectors"),
        (("--depths", "9"), 3, "must be among"),
        (("--depths", "deep"), 3, "auto, none, or numbers"),
        (("--judgements", "nowhere"), 3, "must be readable"),
        (("--queries", "empty.txt"), 3, "at least one"),
        (("--queries", "two.txt"), 3, "at least 24 queries, got 2"),
        (("--judgements", "other.jsonl"), 3, "that are not"),
        (("--out", "empty.txt"), 3, "must be a folder"),
    ],
)
def test_what_cannot_be_planned(nestvec, indexed, options, code, says):
    Path("empty.txt").write_text("\n")
    Path("two.txt").write_text("one\ntwo\n")
    Path("other.jsonl").write_text('{"query": "cat", "relevant": ["elsewhere"]}\n')
    quick = QUICK if "--depths" not in options and "--codecs" not in options else ()
    done = nestvec("plan", indexed, *options, *quick, expect=code)
    assert says in done.stderr
    assert done.stdout == ""


def test_a_collection_that_is_too_small_or_has_no_encoder(nestvec, model, notes):
    nestvec("index", notes, "--to", "small", "-m", model, "-q")
    done = nestvec("plan", "small", *QUICK, expect=3)
    assert "at least 100 records, got 3" in done.stderr


def test_vectors_that_were_brought_along(nestvec, own):
    assert "must have an encoder" in nestvec("plan", own, "--depths", "none", expect=3).stderr


@pytest.mark.parametrize("codec", ["int8@1", "sign@1"])
def test_a_plan_that_is_applied_is_what_was_promised(nestvec, indexed, codec):
    """Size, codec, candidates and bytes."""
    options = ("--judgements", "judged.jsonl", "--keep", "0.1", "--codecs", codec, "--depths", "none")
    done = nestvec("plan", indexed, *options, "--json", "--apply", "--yes")
    choice = json.loads(done.stdout)["choice"]
    with Collection.open(indexed) as collection:
        info = collection.info()
    codes = info["codes"]
    assert (info["size"], info["codec"], codes["m"]) == (choice["size"], codec, choice["m"])
    assert codes["memory_bytes"] == choice["ram_bytes"] - choice["encoder_bytes"]
    assert info["vector_bytes"] + codes["bytes"] == pytest.approx(choice["disk_bytes"], abs=1500)  # heads of files
    assert info["graph"] is None


def test_several_vectors_from_the_command_line_and_applied(nestvec, indexed):
    """What is measured is what the collection does afterwards; a second time there is nothing to do."""
    options = ("--judgements", "judged.jsonl", "--keep", "0.2", "--vectors", "4", "--codecs", "int8_rows@1")
    done = nestvec("plan", indexed, *options, "--depths", "none", "--json", "--apply", "--yes")
    data = json.loads(done.stdout)
    choice = data["choice"]
    assert choice["vectors"] == 4
    assert data["facts"]["vectors"] == [4]
    with Collection.open(indexed) as collection:
        info, settings = collection.info(), collection.settings
    assert (info["size"], settings.several.codec) == (choice["size"], choice["codec"])
    assert settings.candidates == 120  # all of them, as there are few
    assert info["vector_bytes"] + 8 * 121 == choice["disk_bytes"]
    again = nestvec("plan", indexed, *options, "--depths", "none", "--apply", "--yes")
    assert f"c is at {choice['size']} int8_rows@1 m=all already" in again.stderr
    assert vectors_asked(indexed, "auto") == (1, 4)


def test_what_was_applied_is_told(nestvec, indexed):
    done = nestvec("plan", indexed, "--keep", "0.1", "--codecs", "int8@1", "--depths", "none", "--apply", "--yes")
    assert re.search(r"c is at d\d+-b8 int8@1 m=\d+ now", done.stderr)
    assert "rescored, recall" in done.stderr


def test_applying_the_full_size_takes_codes_away(chosen, own, capsys):
    full = replace(chosen, chosen=0)
    with Collection.open(own, write=True) as collection:
        collection.resize("b8", codec="int8@1", candidates=20)
    apply_to(Output(), own, full, yes=True, model=None)
    assert "is at full exact now" in capsys.readouterr().err
    with Collection.open(own) as collection:
        assert (collection.settings.size, collection.info()["codes"]) == ("full", None)
    apply_to(Output(), own, full, yes=True, model=None)
    assert "is at full exact already" in capsys.readouterr().err


def test_a_graph_that_was_chosen_is_built(chosen, own):
    pytest.importorskip("faiss")
    row = chosen.rows[0]
    graph = replace(row, candidate=replace(row.candidate, index="graph"))
    apply_to(Output(quiet=True), own, replace(chosen, rows=(graph,), chosen=0), yes=True, model=None)
    with Collection.open(own) as collection:
        assert collection.info()["graph"] is not None


def test_a_report(nestvec, indexed):
    done = nestvec("report", indexed, "--judgements", "judged.jsonl", "--to", "r.html", "--keep", "0.5")
    assert "wrote r.html" in done.stdout
    text = Path("r.html").read_text()
    for part in ("How well it answers", "by words (BM25)", "What smaller sizes keep", "The plan", "vectors are like",
                 "CPU ms a query"):  # fmt: skip
        assert part in text
    nestvec("report", indexed, "--no-plan", "--to", "s.html", "-q")
    assert "Nobody judged anything" in Path("s.html").read_text()
    assert "must be a file" in nestvec("report", indexed, "--to", ".", expect=3).stderr


def test_a_report_of_a_small_collection_says_why_there_is_no_plan(nestvec, model, notes):
    nestvec("index", notes, "--to", "small", "-m", model, "-q")
    nestvec("report", "small", "--to", "r.html", "-q")
    assert "at least 100 records" in Path("r.html").read_text()


def test_quality_is_that_of_the_search(nestvec, indexed):
    questions = read_judgements(Path("judged.jsonl"))
    with Collection.open(indexed) as collection:
        found = answered(collection, questions)
        first = [row[0].document for row in collection.search_many(questions.texts, 1, mode="lexical")]
    share = np.mean([first[i] in gains for i, gains in enumerate(questions.gains)])
    assert found.lexical.first.mean >= share
    assert found.dense.cpu >= 0
    assert found.lexical.per_point == pytest.approx(found.lexical.cpu / (100 * found.lexical.ndcg.mean))
    assert len(found.hardest) == 10
    assert [score for _, score in found.hardest] == sorted(score for _, score in found.hardest)


# ------------------------------------------------------------------ the pages


class Tags(html.parser.HTMLParser):
    """Checks that tags close, and gathers what could load something."""

    VOID = ("meta", "line", "circle", "br")

    def __init__(self):
        super().__init__()
        self.open, self.loads = [], []

    def handle_starttag(self, tag, attrs):
        self.loads += [(tag, name, value) for name, value in attrs if name in ("src", "href", "srcset", "data")]
        if tag in ("script", "link", "img", "iframe"):
            self.loads.append((tag, "", ""))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def check(text):
    seen = Tags()
    seen.feed(text)
    seen.close()
    assert not seen.open
    assert not seen.loads
    assert "url(" not in text
    assert "@import" not in text


def test_pages_close_their_tags_and_load_nothing(chosen):
    text = whole_page(chosen, title="A <plan> & more")
    check(text)
    assert "A &lt;plan&gt; &amp; more" in text
    info = {
        "records": 3, "version": 2, "bytes": 10, "vector_bytes": 5, "fingerprint": "f", "passage_tokens": 0,
        "space": {"encoder": "<b>", "dim": 4},
    }  # fmt: skip
    whole = report(Contents("c", info, 3, plan=chosen))
    check(whole)
    assert "&lt;b&gt;" in whole
    assert body(chosen) in whole


def test_several_vectors_are_squares(chosen):
    many = replace(chosen.rows[3], candidate=replace(chosen.rows[3].candidate, vectors=4), low=None, share=1.0)
    rows = (*chosen.rows[:3], many, *chosen.rows[4:])
    told = replace(chosen, rows=rows, facts={**chosen.facts, "vectors": [1, 4]})
    assert drawing(told).count("<rect") == 2
    assert "Squares: several vectors a record" in caption(told)
    assert "Squares" not in caption(chosen)
    check(whole_page(told, title="t"))
    page_ = report(Contents("c", {"records": 3, "version": 2, "bytes": 1, "vector_bytes": 1, "fingerprint": "f",
                                  "passage_tokens": 0, "space": {}}, 3, plan=told))  # fmt: skip
    assert "4 vectors a record" in page_
    other = replace(told, rows=(replace(rows[0], fits=False), *rows[1:]), facts={**told.facts, "vectors": [4]})
    assert "not asked for" in whole_page(other, title="t")


def test_every_setting_is_a_point_and_a_row(chosen):
    drawn = drawing(chosen)
    shown = sum(row.share >= floor_of(chosen) for row in chosen.rows)
    assert drawn.count("<circle") == 2 * shown
    assert drawn.count('class="c"') == 2
    assert chosen.choice.label in drawn
    assert len(everything(chosen).rows) == len(chosen.rows)
    table = finalists(chosen)
    assert table.rows[table.marked][0] == chosen.choice.label
    memory, times = axes(chosen)
    assert memory.of(chosen.full) == chosen.full.ram
    assert times.of(chosen.full) == chosen.full.p95


@pytest.mark.parametrize(("low", "high"), [(3e4, 2e6), (0.0205, 0.0315), (0.017, 0.09), (9e5, 1.2e6), (0.02, 2.5)])
def test_ticks_are_few_and_lie_within(low, high):
    found = ticks(low, high)
    assert 2 <= len(found) <= 6
    assert found == sorted(found)
    assert low <= found[0] < found[-1] <= high


def test_a_picture(chosen, tmp_path):
    pytest.importorskip("matplotlib")
    save(chosen, tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


def test_tables_and_text_are_escaped():
    text = page("t", "u", [Table(("<a>", "b"), [("<i>", "&")], "c<").html(), paragraph("<p>", "soft")])
    check(text)
    for part in ("&lt;a&gt;", "&lt;i&gt;", "c&lt;", '<p class="soft">&lt;p&gt;</p>'):
        assert part in text
