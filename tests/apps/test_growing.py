"""``nestvec growing``: nestvec.apps.cli.growing."""

import json

import numpy as np
import pytest

from nestvec.apps.cli.errors import Code
from nestvec.tables.growing import GrowingSpec, GrowingTable

RNG = np.random.default_rng(0)


@pytest.fixture
def people(tmp_path):
    with GrowingTable.create(tmp_path / "people", GrowingSpec(dim=3, cap=1 << 20)) as table:
        table.admit(["ann", "ben"], field="user")
        table.save()
        table.admit(["zoe"], field="user")
        table.save()
    return tmp_path / "people"


@pytest.fixture
def goods(tmp_path):
    path = tmp_path / "goods.csv"
    kinds = RNG.choice(["boot", "pan", "pot"], 60)
    lines = [f"S{i},{kind},{RNG.normal(5 if kind == 'boot' else 1):.3f}" for i, kind in enumerate(kinds)]
    path.write_text("\n".join(["sku,kind,price", *lines]) + "\n")
    return path


def test_a_table_is_shown_carried_and_joined(nestvec, people, tmp_path):
    shown = nestvec("growing", "info", people)
    assert "3 of " in shown.stdout
    assert "user 3" in shown.stdout
    file, new = tmp_path / "rows.safetensors", tmp_path / "new"
    assert json.loads(nestvec("growing", "export", people, file, "--json").stdout)["rows"] == 3
    assert "3 rows came; 3 rows in" in nestvec("growing", "import", new, file, "--cap", "2MB").stdout
    with GrowingTable.open(new) as table, GrowingTable.open(people, write=False) as old:
        assert (table.vectors(["zoe"], field="user").values == old.vectors(["zoe"], field="user").values).all()
        table.admit(["max"], field="user")
        table.save()
    done = json.loads(nestvec("growing", "merge", people, new, "--json").stdout)
    assert (done["taken"], done["rows"]) == (4, 4)
    assert json.loads(nestvec("growing", "info", people, "--json").stdout)["fields"] == {"user": 4}


def test_a_damaged_table_is_said_and_mended(nestvec, people):
    (last,) = people.glob("00000002.safetensors")
    data = bytearray(last.read_bytes())
    data[-3] ^= 1
    last.write_bytes(bytes(data))
    refused = nestvec("growing", "info", people, expect=Code.STORAGE)
    assert "checksum differs" in refused.stderr
    mended = nestvec("growing", "repair", people, "--yes")
    assert "cut back to commit 1" in mended.stdout
    assert "2 rows" in nestvec("growing", "repair", people, "--yes").stdout
    assert "2 of " in nestvec("growing", "info", people).stdout


def test_rows_of_a_file_become_a_model_and_a_collection(nestvec, goods, tmp_path):
    made = nestvec("growing", "rows", goods, "--to", tmp_path / "m", "--dim", "3")
    assert "kind" in made.stdout
    assert "Next: nestvec index" in made.stdout
    reads = json.loads(nestvec("growing", "info", tmp_path / "m", "--json").stdout)["reads"]
    assert reads == {"categorical": ["kind"], "numeric": ["price"], "text": []}
    place = ("--to", tmp_path / "c", "--model", tmp_path / "m", "--id-field", "sku")
    indexed = nestvec("index", goods, *place)
    assert "60 passages encoded" in indexed.stdout
    assert "a row as JSON" in indexed.stdout
    assert "60 unchanged" in nestvec("index", goods, *place).stdout
    found = nestvec("search", tmp_path / "c", '{"kind": "boot"}', "-k", "3", "--json")
    assert all(hit["metadata"]["kind"] == "boot" for hit in json.loads(found.stdout)["results"])
    refused = nestvec("search", tmp_path / "c", "boots", expect=Code.DATA)
    assert "JSON object" in refused.stderr


def test_what_is_wrong_is_said(nestvec, people, goods, tmp_path):
    assert "got none of" in nestvec("growing", "info", tmp_path, expect=Code.STORAGE).stderr
    assert "twice" in nestvec("growing", "merge", people, people, expect=Code.DATA).stderr
    (tmp_path / "junk").write_bytes(b"no such thing")
    assert "header" in nestvec("growing", "import", people, tmp_path / "junk", expect=Code.STORAGE).stderr
    small = nestvec("growing", "rows", goods, "--to", tmp_path / "s", "--cap", "100", expect=Code.DATA)
    assert "1048576 bytes" in small.stderr
    named = nestvec("growing", "rows", goods, "--to", tmp_path / "s", "--numeric", "prize", expect=Code.DATA)
    assert "'prize'; there are sku, kind, price" in named.stderr
    wide = nestvec("growing", "rows", goods, "--to", tmp_path / "w", "--dim", "90", expect=Code.DATA)
    assert "fewer dimensions" in wide.stderr
    assert not (tmp_path / "s").exists()
