"""A row encoder on disk: the same bits again, one commit with its table, and found by its collection."""

import datetime as dt
import json

import numpy as np
import pytest

from nestvec.core.errors import (
    CorruptError,
    InputError,
    NoCollectionError,
    NotFoundError,
    SpaceMismatchError,
    StoreError,
)
from nestvec.search import Collection
from nestvec.tables.growing import GrowingSpec, GrowingTable
from nestvec.tables.row_encoding import RowEncoder, RowFields, read_saved
from nestvec.tables.row_encoding.saving import NOTE

RNG = np.random.default_rng(0)
ROWS = [
    {"kind": str(RNG.choice(["boot", "pan", "pot"])), "tags": [str(t) for t in RNG.choice(["a", "b", "c"], 2)],
     "price": float(RNG.normal()), "about": json.dumps({"kind": str(RNG.choice(["x", "y"]))})}
    for _ in range(80)
]  # fmt: skip
PLAIN = RowFields(("kind", "tags"), ("price",))
SPEC = GrowingSpec(dim=3, cap=1 << 20)
QUERIES = [json.dumps(row) for row in ROWS[:9]] + [
    '{"tags": ["never"], "kind": "never"}',
    '{"price": 3, "kind": "pan"}',
]


def fitted(path, fields=PLAIN, rows=ROWS, **more):
    encoder = RowEncoder.fit(rows, fields, GrowingTable.create(path, SPEC), **more)
    encoder.save()
    return encoder


def test_it_gives_the_same_bits_again(tmp_path):
    encoder = fitted(tmp_path / "t")
    before = encoder.encode(QUERIES)
    encoder.table.close()
    again = RowEncoder.load(tmp_path / "t")
    after = again.encode(QUERIES)
    assert (after.values == before.values).all()
    assert after.space == before.space
    assert again.fields == PLAIN
    with pytest.raises(StoreError, match="for reading"):
        again.save()
    again.table.close()


def test_it_goes_on_learning_and_saves_again(tmp_path):
    fitted(tmp_path / "t").table.close()
    encoder = RowEncoder.load(tmp_path / "t", write=True)
    encoder.table.learn(np.array([2, 3]), np.ones((2, 3)))
    wider = RowEncoder.fit(ROWS, RowFields(("kind", "tags")), encoder.table)
    wider.save()
    want = wider.encode(QUERIES[:9]).values
    encoder.table.close()
    assert len(list((tmp_path / "t").glob("*.encoder"))) == 1
    again = RowEncoder.load(tmp_path / "t")
    assert (again.encode(QUERIES[:9]).values == want).all()
    again.table.close()


def test_a_crash_before_the_commit_leaves_the_old_encoder(tmp_path):
    encoder = fitted(tmp_path / "t")
    want = encoder.encode(QUERIES).values
    other = RowEncoder.fit(ROWS, RowFields(("kind",)), encoder.table)
    encoder.table._committer = None  # the commit fails after the new file was written
    with pytest.raises(AttributeError):
        other.save()
    encoder.table.close()
    assert len(list((tmp_path / "t").glob("*.encoder"))) == 2
    again = RowEncoder.load(tmp_path / "t")
    assert (again.encode(QUERIES).values == want).all()
    again.table.close()


@pytest.fixture
def with_text(tmp_path):
    """An encoder with a text field, read by another row encoder that was saved."""
    reader = fitted(tmp_path / "reader", RowFields(("kind",)))
    encoder = fitted(tmp_path / "t", RowFields(("tags",), ("price",), ("about",)), text_encoder=reader)
    yield encoder, reader, tmp_path
    reader.table.close()
    encoder.table.close()


def test_text_fields_need_the_encoder_they_were_fitted_with(with_text):
    encoder, reader, folder = with_text
    want = encoder.encode(QUERIES).values
    encoder.table.close()
    again = RowEncoder.load(folder / "t", text_encoder=reader)
    assert (again.encode(QUERIES).values == want).all()
    again.table.close()
    assert read_saved(folder / "t").text == (reader.source, "full", reader.space)
    with pytest.raises(InputError, match="opened with the text encoder"):
        RowEncoder.load(folder / "t")
    reader.table.put(np.array([2]), np.ones((1, 3)))
    with pytest.raises(SpaceMismatchError):
        RowEncoder.load(folder / "t", text_encoder=reader)
    with pytest.raises(InputError, match="no text encoder"):
        RowEncoder.load(folder / "reader", text_encoder=reader)


def test_a_collection_finds_it_again_and_reads_tables_by_it(tmp_path):
    fitted(tmp_path / "t").table.close()
    lines = [json.dumps({**row, "id": f"r{i}"}) for i, row in enumerate(ROWS)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines) + "\n")
    encoder = RowEncoder.load(tmp_path / "t")
    with Collection.create(tmp_path / "c", encoder=encoder) as made:
        assert made.survey(tmp_path / "rows.jsonl").to_encode == 80
        assert made.index(tmp_path / "rows.jsonl").encoded == 80
        made.add([{**ROWS[0], "id": "more"}, {"kind": "pan", "since": dt.date(2026, 1, 2), "price": float("nan")}])
        assert {record.metadata.get("since") for record in made.records()} == {None, "2026-01-02"}
        (tmp_path / "words.txt").write_text("no row at all")
        with pytest.raises(InputError, match="one or more of kind"):
            made.index(tmp_path / "words.txt")
    encoder.table.close()
    with Collection.open(tmp_path / "c", write=True) as again:  # nothing is brought along
        found = again.search(json.dumps(ROWS[5]), k=1)[0]
        assert found.record.metadata["kind"] == ROWS[5]["kind"]
        assert found.score == pytest.approx(1, abs=1e-5)
        (tmp_path / "rows.jsonl").write_text("\n".join([json.dumps({**ROWS[0], "price": 9.0}), *lines[1:]]) + "\n")
        assert again.index(tmp_path / "rows.jsonl").encoded == 1  # the one row that changed
        again.encoder.table.close()


def test_every_damage_is_said(tmp_path):
    fitted(tmp_path / "t").table.close()
    (path,) = (tmp_path / "t").glob("*.encoder")
    data = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(data), 25).tolist():
        bad = bytearray(data)
        bad[at] ^= 4
        path.write_bytes(bytes(bad))
        with pytest.raises(StoreError, match=path.name):
            RowEncoder.load(tmp_path / "t")
    path.unlink()
    with pytest.raises(CorruptError, match="is missing"):
        RowEncoder.load(tmp_path / "t")
    with GrowingTable.create(tmp_path / "bare", SPEC) as bare:
        assert NOTE not in bare.notes
    with pytest.raises(NotFoundError, match="Fit one"):
        RowEncoder.load(tmp_path / "bare")
    with pytest.raises(NoCollectionError):
        RowEncoder.load(tmp_path)
    assert read_saved(tmp_path) is None
    assert read_saved(tmp_path / "bare") is None
