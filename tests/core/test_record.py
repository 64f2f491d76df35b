import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Place, Record, Text
from nestvec.core.errors import InputError


def test_a_string_becomes_one_text_part():
    assert Record("a", "hello").content == (Text("hello"),)
    assert Record("a", "hello").text == "hello"


def test_parts_are_joined_by_blank_lines_and_the_title_comes_first():
    record = Record("a", (Text("one"), Text("two")), title="Three")
    assert record.text == "one\n\ntwo"
    assert record.full_text == "Three one\n\ntwo"
    assert Record("a", "one").full_text == "one"


@pytest.mark.parametrize("name", ["", "a\0b"])
def test_an_id_must_be_usable_as_one(name):
    with pytest.raises(InputError, match="id must be"):
        Record(name, "text")


def test_content_must_be_there_but_may_be_empty_text():
    with pytest.raises(InputError, match="got none for id 'a'"):
        Record("a", ())
    assert Record("a", "").text == ""


@given(st.text(), st.text())
def test_the_digest_follows_what_an_encoder_reads(a, b):
    left, right = Record("1", a, metadata={"x": 1}), Record("2", b)
    assert len(left.digest) == 16
    assert (left.digest == right.digest) == (a == b)


def test_the_digest_survives_text_that_is_no_utf8():
    assert len(Record("a", "\ud800").digest) == 16


def test_a_place_says_where_a_passage_stands():
    place = Place("doc", 10, 20, heading=("A", "B"), number=3)
    record = Record("doc#3", "x" * 10, place=place)
    assert record.place is place
    assert place.end - place.start == len(record.text)
    assert Record("a", "b").place is None


def test_records_do_not_share_their_metadata():
    assert Record("a", "x").metadata is not Record("b", "x").metadata
