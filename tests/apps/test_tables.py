"""``nestvec tables``."""

import json

import pytest
import typer

pytest.importorskip("torch")

from nestvec.apps.cli.tables import as_bytes, names_in
from nestvec.tables import FrozenTable
from nestvec.training.columns import Columns
from nestvec.training.ctr_teacher import Teacher


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    path = tmp_path_factory.mktemp("clicks") / "clicks.jsonl"
    examples, _ = Teacher(fields=3, largest=300).sample(3000)
    rows = [
        json.dumps({"user": f"u{a}", "tags": [b, b % 3], "price": c / 7, "clicked": bool(y)})
        for (c, b, a), y in zip(examples.ids.tolist(), examples.labels, strict=True)
    ]
    path.write_text("\n".join(rows))
    return path


def test_advice_table_and_picture(nestvec, clicks, tmp_path):
    tried = ("--methods", "hash,unified+int4", "--dim", "8", "--seeds", "1", "--epochs", "0.5")
    done = nestvec("tables", clicks, "--target", "clicked", "--budget", "8kB,3kB", "--to", tmp_path / "to", *tried)
    assert "recommended: " in done.stdout
    assert "chosen by 300 validation rows, which tell an AUC to ± 0.0" in done.stdout
    assert "  tags: lists of up to 2 of " in done.stderr
    assert "  price: numbers, " in done.stderr
    assert "  clicked: to be foretold, True counts as 1" in done.stderr
    assert "drop rare ids" in done.stdout
    assert "under 3.0 kB" in done.stdout
    table = FrozenTable.load(tmp_path / "to" / "ids.table")
    columns = Columns.from_json((tmp_path / "to" / "columns.json").read_text())
    ids = columns.encode([{"user": "u350", "tags": [1], "price": 3.0}, {}]).ids
    assert table.rows(ids).shape == (2, ids.shape[1], 8)
    assert table.nbytes <= 8000
    figures = json.loads((tmp_path / "to" / "figures.json").read_text())
    assert figures["recommended"]["bytes"] == table.nbytes
    if (tmp_path / "to" / "pareto.png").exists():
        assert (tmp_path / "to" / "pareto.png").read_bytes()[:4] == b"\x89PNG"


def test_json_alone_on_standard_output(nestvec, clicks):
    done = nestvec("tables", clicks, "--target", "clicked", "--budget", "8kB", "--seeds", "1", "--epochs", "0.2",
               "--methods", "hash", "--json")  # fmt: skip
    figures = json.loads(done.stdout)
    assert figures["measured"][0]["method"] == "full"
    tried = {m["method"] for m in figures["measured"] + figures["dropped"]}
    assert tried == {"full", "hash", "low_dim", "drop rare ids"}


QUICK = ("--budget", "8kB", "--seeds", "1", "--epochs", "0.05", "--methods", "hash")


def test_what_is_left_out_is_told_and_what_cannot_be_learnt(nestvec, tmp_path):
    path = tmp_path / "rows.jsonl"
    rows = [json.dumps({"shop": "one", "bought": [1, 0, None][i % 3]}) for i in range(300)]
    path.write_text("\n".join([*rows, "{broken"]))
    done = nestvec("tables", path, "--target", "bought", *QUICK)
    assert "skipped 1: broken JSON" in done.stderr
    assert "100 rows without bought left out" in done.stderr
    assert "200 rows, 1 column" in done.stderr
    assert "no better than chance" in done.stdout
    assert "which fits" in done.stdout
    path.write_text("[1]\n")
    done = nestvec("tables", path, "--target", "bought", *QUICK, expect=3)
    assert "must have a row that can be read, got 1 broken row." in done.stderr


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--target", "nothing", "--budget", "1MB"), 3, "must name a column, got 'nothing'"),
        (("--target", "user", "--budget", "1MB"), 3, "two different values"),
        (("--target", "clicked", "--budget", "100"), 3, "a budget must hold a table, got 100 bytes"),
        (("--target", "clicked", "--budget", "much"), 2, "sizes such as 5MB"),
        (("--target", "clicked", "--budget", ","), 2, "--budget takes sizes"),
        (("--target", "clicked", "--budget", "1MB", "--methods", "hsh"), 3, "unknown name 'hsh'"),
        (("--target", "clicked", "--budget", "1MB", "--model", "big"), 2, "--model takes"),
        (("--target", "clicked", "--budget", "1MB", "--minutes", "nan"), 2, "take numbers above 0, got 0.05 and nan"),
        (("--target", "clicked", "--budget", "1MB", "--to", __file__), 2, "takes a folder, and"),
        (("--target", "clicked", "--budget", "1MB", "--drop", "x"), 3, "drop must name a column"),
    ],
)
def test_bad_input_is_told(nestvec, clicks, options, code, said):
    done = nestvec("tables", clicks, *options, "--epochs", "0.05", "--seeds", "1", expect=code)
    assert said in done.stderr


@pytest.mark.parametrize("epochs", ["0", "nan"])
def test_no_training_at_all_is_refused_before_it_begins(nestvec, clicks, epochs):
    done = nestvec("tables", clicks, "--target", "clicked", "--budget", "8kB", "--epochs", epochs, expect=2)
    assert "--epochs and --minutes take numbers above 0" in done.stderr


def test_sizes_and_names():
    assert [as_bytes(t) for t in ("5MB", "500 kB", "1KiB", "1.5gb", "7")] == [5 * 10**6, 500_000, 1024, 15 * 10**8, 7]
    with pytest.raises(typer.BadParameter):
        as_bytes("5 apples")
    assert names_in(" a, b,,") == ["a", "b"]
