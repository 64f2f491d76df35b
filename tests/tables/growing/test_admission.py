"""Who gets a row and who makes room, without a table around it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.tables.growing import NULL, UNKNOWN, GrowingSpec
from nestvec.tables.growing.admission import Admission
from nestvec.tables.growing.book import Book
from nestvec.tables.growing.keys import fingerprints
from nestvec.tables.growing.spec import FIRST


def keys(names):
    return fingerprints(names, field="", seed=0)


def begun(spec):
    book, told = Book(spec), []
    return Admission(spec, book, lambda rows, _: told.extend(rows.tolist())), book, told


@given(st.lists(st.lists(st.sampled_from(["a", "b", "c", None]), max_size=6), max_size=8), st.integers(1, 4))
@settings(max_examples=30)
def test_a_key_has_its_row_from_the_batch_in_which_it_came_often_enough(batches, admit_after):
    admission, _, told = begun(GrowingSpec(dim=1, cap=1 << 20, admit_after=admit_after))
    counts, rows = {}, {}
    for batch in batches:
        for name in batch:
            counts[name] = counts.get(name, 0) + 1
        due = dict.fromkeys(n for n in batch if n is not None and n not in rows and counts[n] >= admit_after)
        rows.update({name: FIRST + len(rows) + i for i, name in enumerate(due)})
        expected = [NULL if name is None else rows.get(name, UNKNOWN) for name in batch]
        assert admission.admit(keys(batch), 0, 0).tolist() == expected
    assert told == sorted(rows.values())


def test_a_row_that_cannot_be_begun_is_taken_back():
    spec = GrowingSpec(dim=1, cap=1 << 20)
    book = Book(spec)

    def refuse(*_):
        raise OSError("full")

    admission = Admission(spec, book, refuse)
    with pytest.raises(OSError, match="full"):
        admission.admit(keys(["a", "b"]), 0, 0)
    assert len(book) == 0
    assert (book.find(keys(["a", "b"])) < 0).all()


def test_keys_without_end_are_counted_and_refused_or_the_least_used_go():
    few = GrowingSpec(dim=1, cap=1 << 20)
    admission, book, _ = begun(few)
    for a in range(0, 10 * few.most_rows, 1 << 15):
        admission.admit(keys(np.arange(a, a + (1 << 15))), 0, 0)
    assert len(book) == few.most_rows - FIRST
    assert admission.refused > 9 * (few.most_rows - FIRST)
    going = GrowingSpec(dim=1, cap=1 << 20, expiry=True, full="least_used")
    admission, book, _ = begun(going)
    for second, a in enumerate(range(0, 4 * going.most_rows, 1 << 14)):
        rows = admission.admit(keys(np.arange(a, a + (1 << 14))), 0, second)
        assert (rows >= FIRST).all()
    assert admission.refused == 0
    assert admission.expired >= 3 * going.most_rows - (1 << 14)
    held = len(book)
    assert admission.expire(before=None, keep=5) == held - 5
    assert admission.expire(before=10**9, keep=None) == 5
    assert len(book) == 0
