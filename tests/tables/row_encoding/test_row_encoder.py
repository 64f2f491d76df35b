"""Rows as vectors: what is alike is near, what is missing adds nothing, and a collection takes them."""

import json

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.search import Collection
from nestvec.tables.growing import GrowingSpec, GrowingTable
from nestvec.tables.row_encoding import RowEncoder, RowFields, row_record
from nestvec.tables.row_encoding.factors import Design, factors

FIELDS = RowFields(categorical=("kind", "tags"), numeric=("price",))


def shop(n=300, seed=0):
    """Rows of two hidden groups, whose values come together."""
    rng = np.random.default_rng(seed)
    rows, groups = [], rng.integers(0, 2, n)
    for group in groups:
        pick = [("boot", "shoe", "heel"), ("pan", "pot", "lid")][group]
        tags = [["foot", "wear"], ["cook", "steel"]][group]
        rows.append(
            {"kind": str(rng.choice(pick)), "tags": tags[: rng.integers(1, 3)], "price": 50 * group + rng.normal()}
        )
    return rows, groups


@pytest.fixture
def encoder(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=3, cap=1 << 20)) as table:
        yield RowEncoder.fit(shop()[0], FIELDS, table)


def test_the_factors_are_those_of_a_dense_decomposition():
    rng = np.random.default_rng(0)
    columns, starts = rng.integers(0, 6, 80), np.sort(np.concatenate([[0, 80], rng.integers(0, 81, 39)]))
    weight, dense = rng.uniform(0.5, 2, 6), rng.normal(size=(40, 3))
    whole = np.zeros((40, 6))
    for i in range(40):
        np.add.at(whole[i], columns[starts[i] : starts[i + 1]], 1)
    whole = np.concatenate([whole * weight, dense], axis=1)
    design = Design(columns, starts, weight, dense)
    x, y = rng.normal(size=(9, 2)), rng.normal(size=(40, 2))
    assert np.allclose(design.times(x), whole @ x)
    assert np.allclose(design.transposed_times(y), whole.T @ y)
    directions, centre = factors(design, 2)
    _, _, vt = np.linalg.svd(whole - whole.mean(axis=0))
    assert np.allclose(np.abs((directions * vt[:2].T).sum(axis=0)), 1, atol=1e-6)
    assert np.allclose(centre, whole.mean(axis=0) @ directions)


def test_rows_of_a_hidden_group_are_near_one_another(encoder):
    rows, groups = shop(100, seed=1)
    v = encoder.encode([json.dumps(row) for row in rows]).values
    scores = v @ v.T
    same = groups[:, None] == groups[None, :]
    assert scores[same].mean() > scores[~same].mean() + 0.5
    half = encoder.encode_query(['{"kind": "pan"}', '{"kind": "boot"}']).values @ v.T
    assert half[0, groups == 1].mean() > half[0, groups == 0].mean() + 0.3
    assert half[1, groups == 0].mean() > half[1, groups == 1].mean() + 0.3


def test_what_is_unknown_or_missing_adds_nothing(encoder):
    known, *others = encoder.encode(
        ['{"kind": "pan"}', '{"kind": "pan", "tags": ["never seen"]}', '{"kind": "pan", "price": null}',
         '{"kind": "pan", "price": "dear"}', '{"kind": "pan", "tags": [], "more": 1}']
    ).values  # fmt: skip
    for other in others:
        assert np.allclose(known, other, atol=1e-6)
    assert encoder.encode([]).values.shape == (0, 3)


def test_it_is_an_encoder_that_a_collection_takes(encoder, tmp_path):
    assert isinstance(encoder, Encoder)
    rows, _ = shop(20, seed=2)
    with Collection.create(tmp_path / "c", encoder=encoder) as collection:
        collection.add([row_record(str(i), row) for i, row in enumerate(rows)])
        changed = {**rows[0], "kind": "pan" if rows[0]["kind"] != "pan" else "boot"}
        assert collection.add([row_record("0", changed)]).encoded == 1
        found = collection.search(json.dumps(rows[5]), k=1)
        assert len(found) == 1
    before = encoder.space.fingerprint
    encoder.table.learn(np.array([2]), np.ones((1, 3)))
    assert encoder.space.fingerprint != before


def test_text_is_one_of_the_fields(encoder, tmp_path):
    fields = RowFields(categorical=("kind",), text=("about",))
    rows = [{"kind": row["kind"], "about": json.dumps(row)} for row in shop(60)[0]]
    with GrowingTable.create(tmp_path / "u", GrowingSpec(dim=3, cap=1 << 20)) as table:
        made = RowEncoder.fit(rows, fields, table, text_encoder=encoder)
        one, other = made.encode(
            [json.dumps(rows[0]), json.dumps({"kind": rows[0]["kind"]} | {"about": '{"kind": "other"}'})]
        ).values
        assert not np.allclose(one, other)
        with pytest.raises(InputError, match="text encoder"):
            RowEncoder.fit(rows, fields, table)


def test_bad_rows_are_refused(encoder, tmp_path):
    for bad in ("no json", "[1]", '"text"'):
        with pytest.raises(InputError, match="a row must be"):
            encoder.encode([bad])
    with pytest.raises(InputError, match="as several"):
        encoder.encode("{}")
    with pytest.raises(InputError, match="one size"):
        encoder.encode(["{}"], size="d2")
    with pytest.raises(InputError, match="different fields"):
        RowFields(("a",), ("a",))
    rows = [{**row, "deep": {"a": 1}, "word": "x"} for row in shop(40)[0]]
    for fields, said in (
        (RowFields(("colours",)), "a field must be one that rows have, got 'colours'; there are .*deep"),
        (RowFields(("deep",)), r"values of 'deep' must be strings, .* got \{'a': 1\}"),
        (RowFields(("word",), ("deep",)), "numeric field must have numbers, got none in the 40 rows of 'deep'"),
    ):
        with (
            GrowingTable.create(tmp_path / said[:8], GrowingSpec(dim=2, cap=1 << 20)) as table,
            pytest.raises(InputError, match=said),
        ):
            RowEncoder.fit(rows, fields, table)
        assert table.occupancy.rows == 0  # nothing was let in
    wide = GrowingSpec(dim=30, cap=1 << 20)
    with GrowingTable.create(tmp_path / "v", wide) as table, pytest.raises(InputError, match="fewer dimensions"):
        RowEncoder.fit(shop(5)[0], FIELDS, table)
