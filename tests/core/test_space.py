import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Space
from nestvec.core.errors import InputError, SpaceMismatchError

BASE = Space("mini", "w", "mean", 8)
OTHER = {
    "weights": "v",
    "pooling": "cls",
    "dim": 9,
    "instruction": "passage: ",
    "query_instruction": "query: ",
    "metric": "dot",
    "unit": False,
}

spaces = st.builds(
    Space,
    encoder=st.text(),
    weights=st.text(),
    pooling=st.sampled_from(["mean", "cls"]),
    dim=st.integers(1, 4096),
    instruction=st.text(),
    query_instruction=st.text(),
    metric=st.sampled_from(["cosine", "dot"]),
    unit=st.booleans(),
)


def test_every_field_but_the_name_is_changed_below():
    assert set(OTHER) | {"encoder"} == {field.name for field in dataclasses.fields(Space)}


@pytest.mark.parametrize("name", OTHER)
def test_everything_that_matters_changes_the_fingerprint(name):
    changed = dataclasses.replace(BASE, **{name: OTHER[name]})
    assert changed.fingerprint != BASE.fingerprint
    assert [field for field, _, _ in BASE.differences(changed)] == [name]
    with pytest.raises(SpaceMismatchError, match=name):
        BASE.require(changed)


def test_the_name_is_for_people_only():
    renamed = dataclasses.replace(BASE, encoder="a folder that moved")
    assert renamed.fingerprint == BASE.fingerprint
    BASE.require(renamed)
    assert not list(BASE.differences(renamed))


def test_the_fingerprint_is_pinned():
    """Collections on disk hold it: a change here locks every one of them."""
    assert BASE.fingerprint == "72fda8237dc40a74b8653e104c61b69b"


@given(spaces)
def test_json_and_back(space):
    again = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert again == space
    assert again.fingerprint == space.fingerprint


@given(spaces, spaces)
def test_fingerprints_agree_exactly_when_nothing_differs(a, b):
    assert (a.fingerprint == b.fingerprint) == (not list(a.differences(b)))


@pytest.mark.parametrize(
    "change",
    [{"dim": "8"}, {"dim": True}, {"unit": 1}, {"extra": 1}, {"dim": 0}, {"weights": None}],
)
def test_a_damaged_description_is_refused(change):
    with pytest.raises(InputError):
        Space.from_json(BASE.to_json() | change)


def test_a_missing_field_is_refused():
    data = BASE.to_json()
    del data["pooling"]
    with pytest.raises(InputError, match="pooling"):
        Space.from_json(data)


def test_it_reads_well():
    assert str(BASE) == f"mini (mean, 8 dims, cosine, {BASE.fingerprint[:8]})"
