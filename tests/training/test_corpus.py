"""Texts as token ids, and batches cut from them."""

import gzip
import json

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.training.corpus import Corpus, read_texts
from nestvec.training.sampling import Recipe, Sampler, Special, windows


class Letters:
    """A tokenizer that knows letters."""

    class Found:
        def __init__(self, ids):
            self.ids = ids

    def encode_batch(self, texts, *, add_special_tokens):
        assert not add_special_tokens
        return [self.Found([ord(c) - 96 for c in text if c.isalpha()]) for text in texts]


SPECIAL = Special((101,), (102,), 0, np.arange(1, 27))
NO_NOISE = {"noisy": 0.0}


def make(texts):
    return Corpus.of(texts, tokenizer=Letters())


def alphabet(n=40, size=30):
    rng = np.random.default_rng(0)
    return make([("ab" if i % 2 else "", "".join(chr(97 + c) for c in rng.integers(0, 26, size))) for i in range(n)])


def test_texts_come_back_from_the_flat_array():
    corpus = make([("t", f"{'a' * i}b") for i in range(12)])
    assert len(corpus) == 12
    assert corpus.lengths.tolist() == [i + 2 for i in range(12)]
    assert corpus.titles.tolist() == [1] * 12
    part = corpus.subset(np.array([3, 0]))
    assert part.ids.tolist() == [20, 1, 1, 1, 2, 20, 2]
    assert corpus.frequencies(30)[20] == 12


def test_ten_texts_are_needed():
    with pytest.raises(InputError, match="at least 10 texts"):
        make([("", "a")] * 9)
    with pytest.raises(InputError, match="at least 10 texts"):
        Corpus.of([("", "ab")] * 20, tokenizer=Letters(), least=3)
    assert len(make([("", "a")] * 10)) == 10


def test_a_split_shares_nothing_and_repeats():
    corpus = alphabet()
    learn, held = corpus.split(5, seed=3)
    assert (len(learn), len(held)) == (35, 5)
    assert (corpus.split(5, seed=3)[1].ids == held.ids).all()
    assert len(corpus.split(1000, seed=0)[1]) == 8  # a fifth at most


def test_files_of_lines_and_of_json(tmp_path):
    plain = tmp_path / "a.txt"
    plain.write_text("one\n\n two \n", encoding="utf-8")
    assert list(read_texts(plain)) == [("", "one"), ("", "two")]
    packed = tmp_path / "b.jsonl.gz"
    with gzip.open(packed, "wt", encoding="utf-8") as file:
        file.write(json.dumps({"title": "t", "text": "x"}) + "\n" + json.dumps({"text": "y"}) + "\n")
    assert list(read_texts(packed)) == [("t", "x"), ("", "y")]
    wrong = tmp_path / "c.jsonl"
    wrong.write_text('{"texts": 1}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1"):
        list(read_texts(wrong))


def test_batches_repeat_by_number_and_rows_are_well_formed():
    corpus = alphabet()
    neighbours = np.random.default_rng(1).integers(0, len(corpus), (len(corpus), 5)).astype(np.int32)
    recipe = Recipe(tokens=1024, caps=(32, 64), short=16)
    sampler = Sampler(corpus, neighbours, SPECIAL, recipe, seed=7)
    for number in range(20):
        batch = sampler.batch(number)
        again = Sampler(corpus, neighbours, SPECIAL, recipe, seed=7).batch(number)
        for rows, same, cap in zip(batch, again, (16, 64), strict=True):
            assert (rows.ids == same.ids).all()
            assert rows.ids.shape[1] <= cap
            assert (rows.ids[:, 0] == 101).all()
            lengths = rows.mask.sum(axis=1)
            assert (lengths >= 3).all()
            assert (rows.ids[np.arange(len(rows.ids)), lengths - 1] == 102).all()
            assert (rows.ids[~rows.mask] == 0).all()
            inner = rows.ids[rows.mask]
            assert ((inner > 0) & ((inner <= 26) | (inner > 100))).all()
    other = Sampler(corpus, neighbours, SPECIAL, recipe, seed=8).batch(0)
    assert other[0].ids.shape != sampler.batch(0)[0].ids.shape or (other[0].ids != sampler.batch(0)[0].ids).any()


def test_rows_are_cut_from_texts():
    corpus = alphabet(size=20)
    texts = {tuple(corpus.ids[a:b].tolist()) for a, b in zip(corpus.offsets, corpus.offsets[1:], strict=False)}
    sampler = Sampler(corpus, np.empty((len(corpus), 0), np.int32), SPECIAL, Recipe(**NO_NOISE, caps=(64,)), seed=0)
    short, long = sampler.batch(0)
    for ids, mask in zip(long.ids, long.mask, strict=True):
        inner = ids[mask][1:-1].tolist()
        assert any(inner == list(text[i : i + len(inner)]) for text in texts for i in range(len(text)))
    for ids, mask in zip(short.ids, short.mask, strict=True):
        inner = ids[mask][1:-1].tolist()
        assert any(inner == list(text[i : i + len(inner)]) for text in texts for i in range(len(text)))


def test_noise_replaces_some_tokens():
    corpus = make([("", "a" * 20)] * 40)
    sampler = Sampler(
        corpus, np.empty((40, 0), np.int32), SPECIAL, Recipe(noisy=1.0, noise=0.5, caps=(32,), tokens=1024), seed=0
    )
    _, long = sampler.batch(0)
    changed = (long.ids[:, 1:21] != 1).mean()
    assert 0.1 < changed < 0.4


def test_windows_are_beginnings_or_titles():
    corpus = make([("ab", "cdefgh")] * 10)
    rows = windows(corpus, SPECIAL, width=6, rows=np.array([0, 3]))
    assert rows.ids.tolist() == [[101, 1, 2, 3, 4, 102]] * 2
    rows = windows(corpus, SPECIAL, width=6, rows=np.array([1]), titles=True)
    assert rows.ids.tolist() == [[101, 1, 2, 102]]
