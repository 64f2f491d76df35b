"""What columns seem to be, and values of every kind."""

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.tables.growing import GrowingSpec, GrowingTable
from nestvec.tables.row_encoding import RowEncoder, RowFields, guess_fields, row_record
from nestvec.tables.row_encoding.fields import standardised, text_of


def test_columns_are_guessed_from_their_values():
    rng = np.random.default_rng(0)
    rows = [
        {
            "sku": f"S{i}", "number": i, "kind": "abc"[i % 3], "tags": ["x", "y"][: i % 3], "price": rng.normal(),
            "year": 1990 + i % 40, "stars": i % 5, "new": bool(i % 2), "about": f"the text of item {i}", "same": 1,
            "nothing": None,
        }
        for i in range(200)
    ]  # fmt: skip
    found = guess_fields(rows)
    assert found.categorical == ("kind", "tags", "stars", "new")
    assert found.numeric == ("price", "year")
    assert found.text == ("about",)
    assert guess_fields(rows, text=False).text == ()
    with pytest.raises(InputError, match="among: sku"):
        guess_fields([{"sku": row["sku"]} for row in rows])
    with pytest.raises(InputError, match="among: none"):
        guess_fields([])


def test_numbers_of_any_size_are_standardised_and_missing_ones_are_0():
    values = [1e308, -1e308, 5e307, None, float("nan"), float("inf"), 10**400, True, "7", 0]
    z, mean, deviation = standardised([{"a": v} for v in values], ("a",))
    assert np.isfinite([*z.ravel(), *mean, *deviation]).all()
    assert (z[3:9] == 0).all()
    assert z[0, 0] > z[2, 0] > z[9, 0] > z[1, 0]
    plain = np.random.default_rng(0).normal(3, 2, 50)
    z, _, _ = standardised([{"a": v} for v in plain], ("a",))
    assert np.allclose(z[:, 0], np.clip((plain - plain.mean()) / plain.std(), -4, 4))
    assert standardised([], ("a", "b"))[0].shape == (0, 2)


def test_what_is_no_row_of_json_is_said():
    endless: list = []
    endless.append(endless)
    with pytest.raises(InputError, match="row 'a' must hold values that JSON has: Circular"):
        row_record("a", {"price": endless})


def test_text_is_what_is_there():
    assert text_of({"a": "x", "b": None, "c": 0}, ("a", "b", "c", "d")) == "x 0"


@pytest.mark.filterwarnings("error")
def test_odd_values_of_a_column_are_keys_or_said(tmp_path):
    kinds = ["a", 1, 1.0, True, None, float("nan"), ["a", None, 2], [], "1", 2**80]
    rows = [{"kind": kinds[i % len(kinds)], "price": i * 1e300} for i in range(60)]
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=2, cap=1 << 20)) as table:
        encoder = RowEncoder.fit(rows, RowFields(("kind",), ("price",)), table)
        assert table.occupancy.fields == {"kind": 5}  # a, 1 (which 1.0 and True are), 2, "1", 2^80
        same = encoder.encode(['{"kind": 1}', '{"kind": 1.0}', '{"kind": true}', '{"kind": "1"}']).values
        assert (same[0] == same[1]).all()
        assert (same[0] == same[2]).all()
        assert not np.allclose(same[0], same[3])
        nothing = encoder.encode(['{"kind": null}', '{"kind": NaN}', '{"kind": []}', '{"kind": "never"}']).values
        assert (nothing == nothing[0]).all()
        with pytest.raises(InputError, match="a key must be a string"):
            encoder.encode(['{"kind": {"deep": 1}}'])
        with pytest.raises(InputError, match="one or more of kind, price, got colour"):
            encoder.encode(['{"colour": "red"}'])
        with pytest.raises(InputError, match="JSON object"):
            encoder.encode(["[" * 100_000])
