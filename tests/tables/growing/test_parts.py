"""The index, the sketch and the rows of a growing table, each by itself."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.tables.growing.book import Book, where
from nestvec.tables.growing.keys import Fingerprints, fingerprints
from nestvec.tables.growing.rows import Record, RowFile, first_values, runs
from nestvec.tables.growing.saving import changes
from nestvec.tables.growing.sketch import Sketch
from nestvec.tables.growing.slots import LOAD, Slots, home
from nestvec.tables.growing.spec import FIRST, GrowingSpec


@given(st.integers(1, 1500), st.integers(0, 10))
@settings(max_examples=12)
def test_the_index_finds_every_row_and_no_other(n, seed):
    rng = np.random.default_rng(seed)
    # few different upper halves, so that many keys begin at one entry, and some differ in the last 32 bits only
    low = (rng.integers(0, 20, n + 50).astype(np.uint64) << np.uint64(58)) | rng.integers(1, 40, n + 50).astype(
        np.uint64
    )
    high = rng.permutation(n + 50).astype(np.uint32)
    known = Fingerprints(np.zeros(n, np.uint64), np.zeros(n, np.uint32))
    slots = Slots(n, known)
    for a in range(0, n, 700):
        rows = np.arange(a, min(a + 700, n))
        known.low[rows], known.high[rows] = low[rows], high[rows]
        slots.place(rows, held=int(rows[-1]) + 1)
    assert (slots.find(Fingerprints(low, high)) == np.where(np.arange(n + 50) < n, np.arange(n + 50), -1)).all()
    assert slots.nbytes <= 4 * max(1024, 2 * n / LOAD + 1)
    assert ((home(low, 77) >= 0) & (home(low, 77) < 77)).all()


def test_the_sketch_is_never_too_low_and_rarely_too_high():
    sketch, rng = Sketch.empty(1 << 16), np.random.default_rng(0)
    keys = fingerprints(np.arange(5000), field="", seed=0)
    truth = rng.geometric(0.3, 5000)
    for _ in range(2):
        counts = sketch.add(keys, truth)
    assert (counts >= 2 * truth).all()
    assert (counts == 2 * truth).mean() > 0.95
    for a in range(0, 400_000, 5000):  # what comes without end fades
        sketch.add(fingerprints(np.arange(10**6 + a, 10**6 + a + 5000), field="", seed=0), np.ones(5000, np.int64))
    assert sketch.counters.mean() < 20


@given(st.lists(st.integers(0, 60), max_size=60))
@settings(max_examples=40)
def test_different_keys_are_told_apart_in_the_order_they_come(numbers):
    low, high = np.array([n % 7 + 1 for n in numbers], np.uint64), np.array([n // 7 for n in numbers], np.uint32)
    first, which, times = Fingerprints(low, high).distinct()
    assert len(first) == len(set(numbers))
    assert [numbers[first[i]] for i in which.tolist()] == numbers
    assert all(numbers.index(numbers[i]) == i for i in first.tolist())
    assert times.tolist() == [numbers.count(numbers[i]) for i in first.tolist()]


@pytest.mark.parametrize("mapped", [0, 1000])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_records_are_read_as_they_were_written_mapped_or_not(tmp_path, dtype, mapped):
    record, rng = Record(5, dtype), np.random.default_rng(0)
    file = RowFile(tmp_path, record, 200, mapped=mapped)
    assert list(tmp_path.iterdir()) == []
    values, state = rng.normal(size=(200, 5)).astype(np.float32), rng.random(200).astype(np.float32)
    made = record.made(values, state)
    file.write(np.arange(200), made)
    some = np.array([3, 199, 3, 4, 5, 0])
    assert (file.take(some) == made[some]).all()
    file.write(np.array([4, 7, 8]), made[:3])
    assert (file.take(np.array([4, 7, 8])) == made[:3]).all()
    assert np.abs(record.values(made) - values).max() <= (0 if dtype == "float32" else np.abs(values).max() / 127)
    assert (record.state(made) == state).all()
    assert file.take(some[:0]).shape == (0, record.width)
    file.close()
    file.close()


def test_runs_and_first_places():
    assert list(runs(np.array([1, 2, 3, 7, 8, 1]))) == [(0, 3), (3, 5), (5, 6)]
    assert list(runs(np.array([], np.int64))) == []
    mask = np.arange(70_000) % 3 == 0
    assert (where(mask, 10_000) == np.flatnonzero(mask)[:10_000]).all()
    keys = fingerprints(["a", "b"], field="", seed=0)
    assert (first_values(keys, 3, 1.0)[1] == first_values(keys.at(np.array([1])), 3, 1.0)[0]).all()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40), st.integers(0, 45))
@settings(max_examples=40)
def test_the_least_used_are_those_of_a_plain_sort(use, n):
    book = Book(GrowingSpec(dim=1, cap=1 << 20, expiry=True))
    rows = book.give(fingerprints(np.arange(len(use)), field="", seed=0), 0)
    book.count[rows], book.seen[rows] = np.array(use, np.uint32).T
    order = sorted(range(len(use)), key=lambda i: (*use[i], i))[:n]
    assert book.least_used(n).tolist() == sorted(int(rows[i]) for i in order)
    assert book.used == FIRST + len(use)


def test_changes_hold_what_changed_only(tmp_path):
    spec = GrowingSpec(dim=2, cap=1 << 20)
    book, file = Book(spec), RowFile(tmp_path, spec.record, spec.most_rows, mapped=10)
    rows = book.give(fingerprints(["a", "b", "c"], field="", seed=0), 3)
    file.write(rows, spec.record.made(np.ones((3, 2), np.float32), np.zeros(3, np.float32)))
    book.flags[rows[:2]] = 0
    found = {name: np.concatenate(list(stream.blocks)) for name, stream in changes(book, file, None).items()}
    assert found["rows"].tolist() == [rows[2]]
    assert found["field"].tolist() == [3]
    assert found["record"].shape == (1, spec.record.width)
    file.close()
