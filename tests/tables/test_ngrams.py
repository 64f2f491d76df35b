"""N-grams in a mapped file: found as a dictionary would find them, saved and damaged as tables are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import CorruptError, DiskError, FormatError, InputError
from nestvec.tables import saving
from nestvec.tables.ngrams import NgramTable, frequent_ngrams

texts_of_tokens = st.lists(st.lists(st.integers(0, 3), max_size=7), min_size=1, max_size=8)


def flat(texts):
    return np.array([i for text in texts for i in text], np.int64), np.cumsum([0, *map(len, texts)])


@given(texts_of_tokens, texts_of_tokens, st.integers(2, 4), st.integers(1, 3))
@settings(max_examples=60)
def test_the_longest_known_run_is_found_and_none_over_a_border(seen, texts, longest, least):
    counts = {}
    for text in seen:
        for n in range(2, longest + 1):
            for i in range(len(text) - n + 1):
                run = tuple(text[i : i + n])
                counts[run] = counts.get(run, 0) + 1
    wanted = {run for run, count in counts.items() if count >= least}
    grams, lengths, times = frequent_ngrams(*flat(seen), longest=longest, most=1000, least=least)
    runs = [tuple(line[longest - n :].tolist()) for line, n in zip(grams, lengths, strict=True)]
    assert set(runs) == wanted
    assert len(runs) == len(wanted)
    assert [counts[run] for run in runs] == times.tolist()
    rows = np.arange(len(runs), dtype=np.float32)[:, None] - 3
    table = NgramTable.of(grams, lengths, rows, base="b")
    ids, offsets = flat(texts)
    got = table.find(ids, offsets)
    for text, start in zip(texts, offsets, strict=False):
        for end in range(len(text)):
            known = [n for n in range(2, longest + 1) if n <= end + 1 and tuple(text[end + 1 - n : end + 1]) in wanted]
            number = got[start + end]
            assert (number < 0) == (not known)
            if known:
                assert runs[number] == tuple(text[end + 1 - max(known) : end + 1])
                assert np.allclose(table.rows(np.array([number])), rows[number], atol=0.05)


def test_the_most_frequent_are_taken():
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 6, 12).tolist() for _ in range(40)]
    every = frequent_ngrams(*flat(texts), longest=3, most=10**6, least=1)[2]
    few = frequent_ngrams(*flat(texts), longest=3, most=10, least=1)[2]
    assert sorted(few)[::-1] == sorted(every)[::-1][:10]


@pytest.fixture
def saved(tmp_path):
    ids, offsets = flat([[1, 2, 3, 1, 2], [2, 3]])
    grams, lengths, _ = frequent_ngrams(ids, offsets, longest=3, most=10, least=1)
    table = NgramTable.of(
        grams, lengths, np.random.default_rng(0).normal(size=(len(grams), 5)).astype(np.float32), base="me"
    )
    table.save(tmp_path / "n.grams")
    return table, tmp_path / "n.grams", ids, offsets


def test_a_file_gives_the_same_rows_out_of_a_map(saved):
    table, path, ids, offsets = saved
    again = NgramTable.open(path)
    assert (again.find(ids, offsets) == table.find(ids, offsets)).all()
    every = np.arange(len(table))
    assert (again.rows(every) == table.rows(every)).all()
    assert (again.base, again.longest, again.fingerprint) == ("me", 3, table.fingerprint)
    assert again.nbytes == len(table) * (8 + 5 + 2)
    base = again.codes
    while base is not None and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)


def test_a_damaged_or_foreign_file_is_refused(saved, tmp_path):
    _, path, *_ = saved
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorruptError):
        NgramTable.open(path)
    saving.write(path, {"x": np.zeros(3, np.float32)}, {})
    with pytest.raises(FormatError, match="n-grams of format"):
        NgramTable.open(path)
    with pytest.raises(DiskError):
        NgramTable.open(tmp_path / "nothing")


def test_nothing_and_nonsense():
    none = NgramTable.of(np.empty((0, 2), np.int64), np.empty(0, np.int64), np.empty((0, 4), np.float32), base="")
    assert none.find(*flat([[1, 2], []])).tolist() == [-1, -1]
    assert none.find(*flat([[]])).shape == (0,)
    one = np.array([[1, 2]])
    with pytest.raises(InputError, match="one twice"):
        NgramTable.of(np.repeat(one, 2, 0), np.array([2, 2]), np.zeros((2, 1), np.float32), base="")
    with pytest.raises(InputError, match="at most"):
        NgramTable(np.zeros(1, np.uint64), np.zeros((1, 1), np.int8), np.zeros(2, np.float16), 2, "")
