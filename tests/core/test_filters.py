import inspect

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import FilterError
from nestvec.core.filters import All, AnyOf, Condition, Not, conditions, matches, parse_filter

parse_anything = inspect.unwrap(parse_filter)  # what comes out of a request has not been through the type checker

DATA = {
    "section": "net",
    "size": 10,
    "ratio": 1.0,
    "ok": True,
    "none": None,
    "tags": ["a", "b", 3, None],
    "deep": {"er": {"x": "y"}},
    "objects": [{"k": 1}],
    "empty": [],
}


@pytest.mark.parametrize(
    ("where", "met"),
    [
        ({}, True),
        ({"section": "net"}, True),
        ({"section": "Net"}, False),
        ({"section": "net", "size": 10}, True),
        ({"section": "net", "size": 11}, False),
        ({"size": 10.0}, True),
        ({"ratio": 1}, True),
        ({"ratio": True}, False),
        ({"ok": 1}, False),
        ({"ok": True}, True),
        ({"size": "10"}, False),
        ({"none": None}, True),
        ({"absent": None}, False),
        ({"none": {"$exists": True}}, True),
        ({"absent": {"$exists": False}}, True),
        ({"absent": {"$ne": 1}}, True),
        ({"absent": {"$nin": [1]}}, True),
        ({"absent": {"$gt": 1}}, False),
        ({"size": {"$gt": 9, "$lt": 11}}, True),
        ({"size": {"$gte": 10, "$lte": 10}}, True),
        ({"size": {"$gt": 10}}, False),
        ({"size": {"$gt": "1"}}, False),
        ({"section": {"$gte": "nes", "$lt": "neu"}}, True),
        ({"tags": "a"}, True),
        ({"tags": 3}, True),
        ({"tags": None}, True),
        ({"tags": {"$ne": "a"}}, False),
        ({"tags": {"$in": ["z", "b"]}}, True),
        ({"tags": {"$nin": ["z"]}}, True),
        ({"empty": {"$ne": 1}}, True),
        ({"empty": {"$exists": True}}, True),
        ({"section": {"$in": []}}, False),
        ({"deep.er.x": "y"}, True),
        ({"deep.er": "y"}, False),
        ({"deep.er": {"$exists": True}}, True),
        ({"section.x": {"$exists": True}}, False),
        ({"objects.k": 1}, False),
        ({"$or": [{"size": 1}, {"section": "net"}]}, True),
        ({"$and": [{"size": 1}, {"section": "net"}]}, False),
        ({"$not": {"size": 1}}, True),
        ({"$not": {"$not": {"size": 1}}}, False),
    ],
)
def test_what_a_filter_means(where, met):
    assert matches(parse_filter(where), DATA) is met


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ([], "where must be an object"),
        ("section = 'net'", "where must be an object"),
        ({"": 1}, "field name in where must be a non-empty string"),
        ({1: 2}, "field name in where must be a non-empty string, got 1"),
        ({"a..b": 1}, "names joined by single dots"),
        ({".a": 1}, "names joined by single dots"),
        ({'a"b': 1}, "no double quote"),
        ({"a\0b": 1}, "no null character"),
        ({"a": {}}, "must have an operator such as"),
        ({"a": {"$gth": 1}}, "did you mean \\$gt"),
        ({"a": {"b": 1}}, "unknown operator 'b'"),
        ({"a": {"$xyzzy": 1}}, "there are \\$eq"),
        ({"a": [1]}, "where.a must be null, true, false, a number or a string, got \\[1\\]"),
        ({"a": {"$gt": None}}, "where.a.\\$gt must be a number or a string, got None"),
        ({"a": {"$lt": True}}, "must be a number or a string, got True"),
        ({"a": {"$in": "abc"}}, "must be a list"),
        ({"a": {"$in": [1, [2]]}}, "must be null, true"),
        ({"a": {"$nin": 1}}, "must be a list"),
        ({"a": {"$exists": 1}}, "must be true or false, got 1"),
        ({"a": float("nan")}, "must be finite"),
        ({"a": {"$gt": float("inf")}}, "must be finite"),
        ({"a": 2**63}, "must fit into 64 bits"),
        ({"a": {"$in": [-(2**63) - 1]}}, "must fit into 64 bits"),
        ({"a": "\ud800"}, "must be valid Unicode"),
        ({"a\ud800": 1}, "must be valid Unicode"),
        ({"$and": []}, "where.\\$and must be a non-empty list"),
        ({"$or": "ab"}, "where.\\$or must be a non-empty list"),
        ({"$or": [{"a": 1}, 2]}, "where.\\$or\\[1\\] must be an object"),
        ({"$not": [1]}, "where.\\$not must be an object"),
        ({"$gt": 1}, "\\$gt stands inside a field"),
    ],
)
def test_a_malformed_filter_says_what_and_where(where, message):
    with pytest.raises(FilterError, match=message):
        parse_anything(where)


def test_filters_have_a_limit_in_depth_and_width():
    deep = {"a": 1}
    for _ in range(51):
        deep = {"$not": deep}
    with pytest.raises(FilterError, match="at most 50 deep"):
        parse_filter(deep)
    with pytest.raises(FilterError, match="at most 1000 conditions"):
        parse_filter({"$or": [{"a": i} for i in range(1001)]})
    assert len(list(conditions(parse_filter({"$or": [{"a": i} for i in range(1000)]})))) == 1000
    with pytest.raises(FilterError, match="at most 100000 values"):
        parse_filter({"a": {"$in": [0] * 100_001}})


def test_the_tree_of_a_filter():
    assert parse_filter({"a.b": 1}) == Condition(("a", "b"), "$eq", 1)
    assert parse_filter({"a": {"$nin": [1]}}) == Not(Condition(("a",), "$in", (1,)))
    assert parse_filter({}) == All(())
    both = (Condition(("a",), "$gt", 1), Condition(("a",), "$lt", 3))
    assert parse_filter({"a": {"$gt": 1, "$lt": 3}}) == All(both)
    assert parse_filter({"$or": [{"a": {"$gt": 1}}, {"a": {"$lt": 3}}]}) == AnyOf(both)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["$and", "$or", "$not", "$in", "$gt", "a"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4) | st.sampled_from(["$and", "$or", "$not", "a"]), anything, max_size=3))
def test_nothing_but_a_filter_error_comes_out_of_the_parser(where):
    try:
        parsed = parse_anything(where)
    except FilterError:
        return
    assert matches(parsed, DATA) in (True, False)
