"""The rows of a table as a collection: found by key and by vector, new keys at any time, training in one step."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, NotFoundError, SpaceMismatchError
from nestvec.core.protocols import Encoder
from nestvec.search import Collection
from nestvec.tables.growing import GrowingSpec, GrowingTable
from nestvec.tables.growing.key_encoder import KeyEncoder

NAMES = [f"user {i}" for i in range(40)]


@pytest.fixture
def table(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=6, cap=1 << 20)) as table:
        yield table


def items(names):
    return [{"id": name, "text": name, "even": int(name.split()[1]) % 2 == 0} for name in names]


def nearest(table, query, names, k):
    v = table.vectors([query, *names], field="user").values
    v = v / np.linalg.norm(v, axis=1, keepdims=True)
    return [names[i] for i in np.argsort(-(v[1:] @ v[0]), kind="stable")[:k]]


def test_rows_are_found_by_key_and_by_vector_and_new_ones_join(table, tmp_path):
    table.admit(NAMES[:30], field="user")
    encoder = KeyEncoder(table, "user")
    assert isinstance(encoder, Encoder)
    with Collection.create(tmp_path / "c", encoder=encoder) as near:
        assert near.add(items(NAMES[:30])).encoded == 30
        found = [result.record.id for result in near.search(NAMES[3], k=4)]
        assert found == nearest(table, NAMES[3], NAMES[:30], 4)
        table.admit(NAMES[30:], field="user")
        assert near.add(items(NAMES)).encoded == 10  # those that are there cost nothing
        found = [result.record.id for result in near.search(NAMES[35], k=5)]
        assert found == nearest(table, NAMES[35], NAMES, 5)
        even = near.search(NAMES[35], k=5, where={"even": True})
        assert [result.record.id for result in even] == nearest(table, NAMES[35], NAMES[::2], 5)
        by_vector = near.find(table.vectors(NAMES[:2], field="user"), k=1)
        assert np.allclose(by_vector.scores, 1, atol=1e-5)


def test_training_makes_another_space_and_a_resize_brings_the_collection_over(table, tmp_path):
    table.admit(NAMES, field="user")
    with Collection.create(tmp_path / "c", encoder=KeyEncoder(table, "user")) as near:
        near.add(items(NAMES[:35]))
        table.learn(table.lookup(NAMES[:9], field="user"), np.ones((9, 6)), rate=1.0)
        with pytest.raises(SpaceMismatchError):
            near.search(NAMES[0])
        with pytest.raises(SpaceMismatchError):
            near.add(items(NAMES))
        assert len(near) == 35
        assert near.resize("full", encoder=KeyEncoder(table, "user")).encoded == 35
        assert near.add(items(NAMES)).encoded == 5
        found = [result.record.id for result in near.search(NAMES[1], k=9)]
        assert found == nearest(table, NAMES[1], NAMES, 9)
    with Collection.open(tmp_path / "c", encoder=KeyEncoder(table, "user")) as near:
        assert near.search(NAMES[2], k=1)[0].record.id == NAMES[2]


def test_whole_numbers_are_keys_where_that_is_said(table):
    table.admit([7, 8])
    rows = KeyEncoder(table, integers=True).encode(["7", " 8 "]).values
    assert (rows == table.vectors([7, 8]).values).all()
    chunks = list(KeyEncoder(table, integers=True).stream(["7", "8"]))
    assert [record.id for record in chunks[0][0]] == ["0", "1"]
    assert KeyEncoder(table).encode([]).values.shape == (0, 6)
    with pytest.raises(NotFoundError, match="'7' without one"):
        KeyEncoder(table).encode(["7"])
    with pytest.raises(InputError, match="whole number"):
        KeyEncoder(table, integers=True).encode(["seven"])
    with pytest.raises(InputError, match="as several"):
        KeyEncoder(table).encode("7")
    with pytest.raises(InputError, match="one size"):
        KeyEncoder(table).encode(["7"], size="d2")
