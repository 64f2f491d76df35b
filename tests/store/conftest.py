"""Small collections."""

import numpy as np
import pytest

from nestvec.core.record import Record
from nestvec.store import Store

SETTINGS = {"arrays": {"dense": 4}}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "c"


@pytest.fixture
def store(path):
    with Store.create(path, settings=SETTINGS) as made:
        yield made


@pytest.fixture
def put(store):
    """Commit records by id; the vector of a record is its number, four times."""

    def put(*ids, start=0, **fields):
        records = [Record(id_, fields.get("text", f"text of {id_}"), fields.get("metadata", {})) for id_ in ids]
        values = np.repeat(np.arange(start, start + len(ids), dtype=np.float32), 4).reshape(-1, 4)
        return store.commit(records, {"dense": values})

    return put
