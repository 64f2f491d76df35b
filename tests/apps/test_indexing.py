"""``nestvec index``: nestvec.apps.cli.indexing and nestvec.apps.cli.progress."""

import json
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from nestvec.apps.cli import progress
from nestvec.apps.cli.console import Output


def index(nestvec, model, *args, **more):
    return json.loads(nestvec("index", *args, "--model", model, "--json", **more).stdout)


def test_a_second_run_encodes_nothing_and_pruning_takes_away_what_is_gone(nestvec, model, notes):
    first = index(nestvec, model, notes, "--to", "c")
    assert (first["encoded"], first["read"]["documents"]) == (3, 3)
    assert first["collection"]["records"] == 3
    assert "unknown type" in first["read"]["skipped"]
    again = json.loads(nestvec("index", notes, "--to", "c", "--json").stdout)
    assert (again["encoded"], again["unchanged"]) == (0, 3)
    (notes / "ship.txt").unlink()
    (notes / "bread.txt").write_text("Bake the bread.")
    kept = json.loads(nestvec("index", notes, "--to", "c", "--json").stdout)
    assert (kept["encoded"], kept["gone"]) == (1, 1)
    pruned = json.loads(nestvec("index", notes, "--to", "c", "--prune", "--json").stdout)
    assert pruned["collection"]["records"] == 2


def test_the_summary_says_what_was_done_skipped_and_what_to_do_next(nestvec, model, notes):
    done = nestvec("index", notes, "--to", "my c", "-m", model)
    for part in ("3 documents", "3 passages encoded", "x.bin", "on disk", "loading the model", "--report"):
        assert part in done.stdout
    assert "Next: nestvec search 'my c'" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "skipped 1: unknown type" in nestvec("index", notes, "--to", "my c", "--report").stdout
    assert nestvec("index", notes, "--to", "my c", "--quiet").output == ""


def test_several_sources_and_standard_input(nestvec, process, model, notes):
    done = index(nestvec, model, notes / "moon.md", notes / "ship.txt", "--to", "c")
    assert done["encoded"] == 2
    line = json.dumps({"id": "a", "text": "the sun sets", "year": 3})
    done = process("index", "-", "--to", "c", "--json", input=line.encode())
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(done.stdout)["encoded"] == 1
    assert json.loads(nestvec("show", "c", "a", "--json").stdout)[0]["metadata"]["year"] == 3


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_leaves_nothing_behind(nestvec, model, notes, there):
    if there:
        index(nestvec, model, notes / "moon.md", "--to", "c")
    before = (
        sorted(p.name for p in Path().rglob("*")) if not there else json.loads(nestvec("info", "c", "--json").stdout)
    )
    found = index(nestvec, model, notes, "--to", "c", "--dry-run")
    assert found["passages"] == 3
    assert found["to_encode"] == (2 if there else 3)
    assert found["dry_run"]
    text = nestvec("index", notes, "--to", "c", "-m", model, "--dry-run").stdout
    assert "tokens" in text
    assert "Nothing was changed" in text
    after = (
        sorted(p.name for p in Path().rglob("*")) if not there else json.loads(nestvec("info", "c", "--json").stdout)
    )
    assert {**after, "bytes": 0} == {**before, "bytes": 0} if there else after == before


def test_what_is_pinned_cannot_be_changed_by_a_flag_but_a_setting_for_new_ones_is_no_matter(
    nestvec, model, notes, monkeypatch
):
    index(nestvec, model, notes, "--to", "c", "--passage-tokens", "20", "--overlap", "4")
    assert "must be 20" in nestvec("index", notes, "--to", "c", "--passage-tokens", "30", expect=3).stderr
    assert "must be 4" in nestvec("index", notes, "--to", "c", "--overlap", "5", expect=3).stderr
    assert "got 'nowhere!'" in nestvec("index", notes, "--to", "c", "-m", "nowhere!", expect=3).stderr
    monkeypatch.setenv("NESTVEC_MODEL", "nowhere!")
    monkeypatch.setenv("NESTVEC_PASSAGE_TOKENS", "30")
    nestvec("index", notes, "--to", "c")
    assert "nowhere!" in nestvec("index", notes, "--to", "d", expect=3).stderr
    assert not Path("d").exists()


def test_nothing_is_made_for_a_source_that_is_not_there(nestvec, notes):
    done = nestvec("index", notes / "moom.md", "--to", "c", expect=3)
    assert "moon.md" in done.stderr
    assert done.stdout == ""
    assert not Path("c").exists()
    nestvec("index", "-", "-", "--to", "c", expect=2)
    nestvec("index", "-", "--to", "c", "--dry-run", expect=2)
    nestvec("index", notes, expect=2)
    assert "Python knows" in nestvec("index", notes, "--to", "c", "--encoding", "klingon", expect=3).stderr


def test_where_a_collection_cannot_be(nestvec, notes):
    assert "which is not" in nestvec("index", notes, "--to", notes / "moon.md", expect=3).stderr
    assert "which is not" in nestvec("index", notes, "--to", notes, expect=3).stderr


def test_a_folder_that_cannot_be_written(nestvec, model, notes):
    assert nestvec("index", notes, "--to", "/proc/nestvec/c", "-m", model, expect=5).stderr.startswith("error: ")


def test_nothing_to_read_is_a_negative_answer(nestvec, model):
    Path("empty").mkdir()
    assert "0 documents" in nestvec("index", "empty", "--to", "c", "-m", model, expect=1).stdout


def test_a_log_gets_a_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 1.0, 6.0, 7.0, 12.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    with progress.meter(Output(), "passages", total=1000) as shown:
        for done in (100, 600, 700, 1000):
            shown(done)
    assert capsys.readouterr().err == ("600 of 1,000 passages, 100/s, 4.0 s left\n1,000 of 1,000 passages, 83/s\n")
    with progress.meter(Output(quiet=True), "passages", total=None) as shown, progress.waiting(Output(), "x"):
        shown(5)
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")  # on a dumb one there is no bar
    with progress.waiting(Output(), "thinking"):
        pass
    for total in (10, None):
        with progress.meter(Output(), "passages", total=total) as shown:
            shown(5)
    assert "passages" in capsys.readouterr().err


def test_ctrl_c_leaves_a_collection_that_opens_and_the_same_command_goes_on(process, nestvec, model):
    Path("rows.jsonl").write_text(
        "".join(json.dumps({"id": str(i), "text": f"the moon {i} pulls the water " * 6}) + "\n" for i in range(20_000))
    )
    args = ("index", "rows.jsonl", "--to", "c", "--model", str(model), "--no-survey")
    env = {k: v for k, v in os.environ.items() if k != "NESTVEC_CHECK_SHAPES"}
    running = subprocess.Popen(  # the suite may run where Ctrl-C is ignored, as in the background of a shell
        [sys.executable, "-m", "nestvec", *args], stderr=subprocess.PIPE, stdout=subprocess.PIPE, env=env,
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509  # it starts no thread
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and len(list(Path().glob("c/segments/*"))) < 2:  # then the first is committed
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert running.returncode == 130, err
    assert out == b""
    assert b"safe in c; the same command goes on" in err
    assert b"Traceback" not in err
    nestvec("verify", "c")
    before = json.loads(nestvec("info", "c", "--json").stdout)["records"]
    assert 0 < before < 20_000
    Path("rows.jsonl").write_text("".join(Path("rows.jsonl").read_text().splitlines(keepends=True)[: before + 10]))
    again = json.loads(nestvec("index", "rows.jsonl", "--to", "c", "--json").stdout)
    assert (again["encoded"], again["unchanged"]) == (10, before)


def test_several_vectors_a_record_from_the_command_line(nestvec, model, notes):
    index(nestvec, model, notes, "--to", "c", "--vectors", "3")
    told = json.loads(nestvec("info", "c", "--json").stdout)
    assert (told["size"], told["several"]["vectors"], told["several"]["candidates"]) == ("v3-b8", 3, None)
    assert "up to 3 vectors a record, 9 of 32 numbers" in " ".join(nestvec("info", "c").stdout.split())
    assert json.loads(nestvec("search", "c", "the", "moon", "--json").stdout)["results"]
    assert index(nestvec, model, notes, "--to", "c", "--vectors", "3")["unchanged"] == 3
    other = nestvec("index", notes, "--to", "c", "--vectors", "all", expect=3).stderr
    assert "its own size, v3-b8 with int8_rows@1, got vall-b8 with int8_rows@1" in other
    assert "vectors must be" in nestvec("index", notes, "--to", "d", "--vectors", "0", "-m", model, expect=3).stderr
    both = nestvec("index", notes, "--to", "d", "--vectors", "2", "--size", "v4", "-m", model, expect=3).stderr
    assert "--vectors must be what --size says, got 2 and v4" in both
    assert json.loads(nestvec("resize", "c", "v1", "--json").stdout)["size"] == "full"
