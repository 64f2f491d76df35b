"""``info``, ``versions``, ``delete``, ``compact``, ``graph``, ``verify``, ``repair``: nestvec.apps.cli.keeping."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from nestvec.apps.cli import keeping
from nestvec.apps.cli.console import Output
from nestvec.store import Repair


def data(done):
    return json.loads(done.stdout)


def damage(folder):
    (segment,) = folder.glob("segments/*")
    content = bytearray(segment.read_bytes())
    content[len(content) // 2] ^= 1
    for at in range(len(content) // 3, len(content) - 16):
        content[at] ^= 0xFF
    segment.write_bytes(content)


def test_info(nestvec, made):
    found = data(nestvec("info", made, "--json"))
    assert (found["records"], found["version"], found["space"]["dim"]) == (3, 2, 4)
    text = nestvec("info", made).stdout
    assert "4 numbers each" in text
    assert "not split" in text


@pytest.mark.parametrize("command", ["info", "versions", "compact", "verify", "graph"])
def test_a_folder_that_is_no_collection(nestvec, command, tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "file"):
        done = nestvec(command, path, "--json" if command != "graph" else "-q", expect=5)
        assert done.stderr.startswith("error: ")
        assert "must be a collection" in done.stderr
        assert done.stdout == ""


def test_a_format_of_the_future(nestvec, own):
    import xxhash

    file = own / "collection.json"
    body = file.read_bytes().rpartition(b"\nxxh3 ")[0].replace(b'"format": 1', b'"format": 99')
    file.write_bytes(body + b"\nxxh3 " + xxhash.xxh3_64_hexdigest(body).encode() + b"\n")
    assert "Upgrade nestvec" in nestvec("info", own, expect=5).stderr


def test_versions_and_reading_an_older_one(nestvec, own):
    assert "1 record deleted" in nestvec("delete", own, "ship", "--yes").stdout
    found = data(nestvec("versions", own, "--json"))
    assert [(v["version"], v["count"]) for v in found] == [(1, 0), (2, 3), (3, 2)]
    text = nestvec("versions", own).stdout.splitlines()
    assert len(text) == 4
    assert text[-1].split()[-3:] == ["2", "0", "1"]
    nestvec("show", own, "ship", "--version", "2")
    nestvec("show", own, "ship", expect=1)
    assert "compact" in nestvec("info", own).stdout
    assert data(nestvec("compact", own, "--json"))["removed"] == 1
    assert "before" in nestvec("compact", own).stdout
    nestvec("show", own, "ship", "--version", "2", expect=5)


def test_deleting_asks_and_tells(nestvec, own, monkeypatch):
    assert "--yes" in nestvec("delete", own, "ship", expect=2).stderr
    assert data(nestvec("delete", own, "ship", "zzz", "-y", "--json")) == {"removed": 1, "version": 3}
    assert "Nothing was deleted" in nestvec("delete", own, "ship", "-y", expect=1).stderr
    assert data(nestvec("delete", own, "ship", "-y", "--json", expect=1))["removed"] == 0
    monkeypatch.setattr("nestvec.apps.cli.console._can_ask", lambda: True)
    done = nestvec("delete", own, "moon", input="n\n", expect=1)
    assert "Nothing was changed" in done.stderr
    assert "1 record deleted" in nestvec("delete", own, "moon", input="y\n").stdout
    assert nestvec("delete", own, "bread", "-y", "-q").output == ""
    assert "delete" in nestvec("info", own).stdout


def test_two_writers(nestvec, own):
    from nestvec.store import Store

    with Store.open(own, write=True):
        assert "one writer" in nestvec("delete", own, "moon", "-y", expect=5).stderr


def test_verifying_and_mending(nestvec, own):
    assert nestvec("verify", own).stdout.startswith("whole (")
    assert nestvec("verify", own, "-q").output == ""
    damage(own)
    found = data(nestvec("verify", own, "--json", expect=1))
    assert not found["ok"]
    text = nestvec("verify", own, expect=1).stdout
    assert "nestvec repair" in text
    assert "--yes" in nestvec("repair", own, expect=2).stderr
    # these vectors were brought along, so nothing here can make them again
    assert "without" in nestvec("repair", own, "--yes", expect=1).stdout


def test_mending_encodes_again_what_lost_its_vector(nestvec, model, notes):
    nestvec("index", notes, "--to", "c", "-m", model, "-q")
    assert "nothing had to be mended" in nestvec("repair", "c", "--yes").stdout
    damage(Path("c"))
    shutil.copytree("c", "d")
    assert "encoded again" in nestvec("repair", "c", "--yes").stdout
    assert data(nestvec("repair", "d", "--yes", "--json"))["quarantined"]
    assert data(nestvec("verify", "c", "--json"))["ok"]


def test_what_was_lost_for_good_is_said(capsys):
    keeping._tell_repair(Output(), Path("c"), Repair(["a new database"], ["segments/x"], 2, {"dense": 1}))
    text = capsys.readouterr().out
    for part in ("a new database", "moved to quarantine: segments/x", "2 records could not", "1 record without"):
        assert part in text


def test_a_graph(nestvec, own):
    if importlib.util.find_spec("faiss") is None:
        assert "pip install 'nestvec[graph]'" in nestvec("graph", own, expect=4).stderr
        return
    assert "recall" in nestvec("graph", own).stdout
    assert isinstance(data(nestvec("graph", own, "--json")), dict)
    nestvec("graph", own, "--recall", "2", expect=2)
