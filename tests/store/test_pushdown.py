"""What SQLite selects is what :func:`nestvec.core.filters.matches` means."""

import apsw
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nestvec.core.errors import FilterError
from nestvec.core.filters import matches, parse_filter
from nestvec.core.record import Record
from nestvec.store.pushdown import to_sql
from nestvec.store.schema import INSERT_ROW, TABLES, to_row

NAMES = st.sampled_from(
    ["a", "b", "c d", "ä", "[0]", "#", "x$", "x'y", "back\\slash", "b\\n", "tab\t", "line\n", "a:b", "😀", "/", "%"]
)
KEYS = NAMES | st.sampled_from(['quo"te', "dot.ted", "a.b", "", "nul\0", '"'])
NUMBERS = st.integers(-3, 3) | st.sampled_from(
    [0.5, -0.0, 1.0, 2.0**53, 2**53 + 1, 2**63 - 1, -(2**63), float(2**63), 1e308, 5e-324, 0.1, 0.1 + 0.2]
)
SCALARS = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(
        ["", "a", "b", "A", "1", "true", "null", "ä", "a\u0308", "😀", "\uffff", "x\0y", "x", 'q"', "'", "\\", "[1]"]
    )
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
PATHS = st.lists(NAMES, min_size=1, max_size=2).map(".".join)
ORDERED = NUMBERS | st.sampled_from(["", "a", "b", "ä", "😀", "\uffff", "x\0y", "x"])
TESTS = st.one_of(
    SCALARS,
    st.dictionaries(st.sampled_from(["$eq", "$ne"]), SCALARS, min_size=1),
    st.dictionaries(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ORDERED, min_size=1, max_size=2),
    st.dictionaries(st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=4), min_size=1),
    st.booleans().map(lambda value: {"$exists": value}),
)
FILTERS = st.recursive(
    st.dictionaries(PATHS, TESTS, max_size=2),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$or": parts})
        | st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"$and": parts})
        | inner.map(lambda part: {"$not": part})
    ),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def db():
    db = apsw.Connection(":memory:")
    db.execute(TABLES)
    yield db
    db.close()


@settings(max_examples=400)
@given(metadata=st.dictionaries(KEYS, VALUES, max_size=4), where=FILTERS)
@example(metadata={"back\\slash": 1}, where={"back\\slash": 1})
@example(metadata={"a": [None, True]}, where={"a": {"$in": [1, None]}})
@example(metadata={"a": 2**53 + 1}, where={"a": float(2**53)})
def test_pushdown_means_what_matches_means(db, metadata, where):
    parsed = parse_filter(where)
    db.execute("DELETE FROM row")
    db.execute(INSERT_ROW, to_row(Record("a", "x", metadata), 1, 1))
    sql, names = to_sql(parsed)
    (found,) = db.execute(f"SELECT {sql} FROM row", names).fetchall()  # noqa: S608
    assert found == (int(matches(parsed, metadata)),)


def test_every_key_that_metadata_may_have_can_be_asked_for_or_is_refused(db):
    for key in [chr(i) for i in range(1, 300)] + ["\ud7ff", "\ue000", "\U0010ffff"]:
        if key == ".":
            continue
        try:
            parsed = parse_filter({key: 1})
        except FilterError:
            assert key in '"$'
            continue
        db.execute("DELETE FROM row")
        db.execute(INSERT_ROW, to_row(Record("a", "x", {key: 1}), 1, 1))
        sql, names = to_sql(parsed)
        assert db.execute(f"SELECT {sql} FROM row", names).get == 1, key  # noqa: S608


def test_the_widest_filter_allowed_still_runs(db):
    db.execute("DELETE FROM row")
    db.execute(INSERT_ROW, to_row(Record("a", "x", {"a": 999}), 1, 1))
    deep = {"a": 999}
    for _ in range(24):
        deep = {"$not": {"$or": [deep, {"a": -1}, {"a": -2}]}}
    for where in ({"$or": [{"a": i} for i in range(1000)]}, {"a": {"$in": list(range(20_000))}}, deep):
        sql, names = to_sql(parse_filter(where))
        got = db.execute(f"SELECT {sql} FROM row", names).get  # noqa: S608
        assert got == int(matches(parse_filter(where), {"a": 999}))
