"""Tables that fit."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import BudgetError, InputError, UnknownNameError
from nestvec.tables import METHODS, fit_spec, least_bytes, make_spec, stored_bytes
from nestvec.tables.budget import _bisect
from nestvec.tables.spec import TableSpec

names = st.sampled_from([name.partition("@")[0] for name in METHODS])
fields = st.lists(st.integers(1, 200_000), min_size=1, max_size=6)


@given(name=names, codec=st.sampled_from(["", "+int8", "+int4", "+float16"]), rows=fields,
       dim=st.sampled_from([1, 4, 8, 16]), budget=st.integers(100, 5_000_000))  # fmt: skip
@settings(max_examples=60)
def test_never_over_and_says_how_small_it_can_be(name, codec, rows, dim, budget):
    if name in ("unified", "subspace", "cce") and dim < 4:
        dim = 4
    least = least_bytes(name + codec, rows, dim)
    if least > budget:
        with pytest.raises(BudgetError, match=f"{least:,} bytes"):
            fit_spec(name + codec, rows, dim, budget)
        assert stored_bytes(fit_spec(name + codec, rows, dim, least)) <= least  # what it said is true
        return
    spec = fit_spec(name + codec, rows, dim, budget)
    assert stored_bytes(spec) <= budget
    assert spec.rows == tuple(rows)
    assert TableSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("name", ["hash", "unified", "robe", "bloom", "memcom", "hash_embedding", "unified+int4"])
def test_nearly_all_of_a_budget_is_used(name):
    spec = fit_spec(name, (50_000, 3, 900), 16, 400_000)
    assert stored_bytes(spec) > 0.995 * 400_000


def test_small_fields_are_exact_as_far_as_a_quarter_goes():
    assert fit_spec("hash", (100_000, 150, 3, 201), 16, 500_000).exact_below == 150
    assert fit_spec("hash", (100_000, 150, 3, 201), 16, 20_000).exact_below == 3
    assert fit_spec("hash", (100_000, 150, 3, 201), 16, 1500).exact_below == 0


def test_what_is_given_is_held():
    spec = fit_spec("robe", 1000, 8, 9_000, block=2, signed=False)
    assert spec.settings["block"] == 2
    assert spec.settings["numbers"] > 1500
    held = fit_spec("hash", 1000, 8, 9_000, buckets=20)
    assert held.settings == {"buckets": 20}
    with pytest.raises(BudgetError, match="least"):
        fit_spec("hash", 1000, 8, 900, buckets=2000)


def test_a_hundred_bytes_and_unknown_names():
    with pytest.raises(BudgetError, match=r"of 1,000 ids and dim 8 needs at least [\d,]+ bytes, got a budget of 100"):
        fit_spec("hash", {"user": 600, "item": 400}, 8, 100)
    assert least_bytes("hash", 1000, 8) < 1000 < least_bytes("full", 1000, 8)
    with pytest.raises(UnknownNameError, match="did you mean 'bloom"):
        fit_spec("blom", 10, 4, 1000)
    with pytest.raises(InputError, match="codec must be one of"):
        fit_spec("hash+int3", 10, 4, 1000)
    with pytest.raises(InputError, match="must be known to it"):
        fit_spec("hash", 10, 4, 1000, bucket=3)
    with pytest.raises(InputError, match="rows of field 1 must be at least 1"):
        make_spec("hash", (10, 0), 4)
    with pytest.raises(InputError, match="JSON of a TableSpec"):
        TableSpec.from_json("{}")


def test_bisection_finds_the_last_that_fits():
    for limit in range(20):
        assert _bisect(lambda v, limit=limit: v <= limit, 0, 19) == limit
        assert _bisect(lambda v, limit=limit: v >= limit, 19, 0) == limit
