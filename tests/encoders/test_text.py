"""The text encoder against sentence-transformers, and its own promises."""

from __future__ import annotations

import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError, SpaceMismatchError
from nestvec.core.protocols import Encoder
from nestvec.encoders import TruncationWarning, load

pytestmark = [
    pytest.mark.text,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*"),
]

TEXTS = ["the wing lifts .", "", "a cat sat on the mats", "b", "the the the the the the wing", "cat . cat"]
SOME = [
    "short",
    "a much longer text about the boundary layer of a wing " * 3,
    "",
    "Größe, 東京 and 🙂",
    "x = [i for i in y]",
]


def _cosine(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def test_float32_equals_the_reference(exact, reference):
    got = exact.encode(SOME).values
    np.testing.assert_allclose(got, reference.encode(SOME, show_progress_bar=False), atol=1e-5)
    assert exact.precision == "float32"
    assert got.dtype == np.float32
    assert (exact.space.dim, exact.space.pooling, exact.space.unit, exact.space.metric) == (384, "mean", True, "cosine")
    assert exact.space.encoder == "all-MiniLM-L6-v2"
    assert exact.window == 254


def test_the_precision_that_auto_takes_is_close_enough(encoder, exact):
    assert _cosine(encoder.encode(SOME).values, exact.encode(SOME).values).min() >= 0.999
    assert encoder.precision in encoder.precision_reason
    assert encoder.space == exact.space


def test_bfloat16_is_close_enough_on_any_processor(make_model):
    folder = make_model(pooling="mean", normalize=True)
    a, b = load(folder, precision="bfloat16"), load(folder, precision="float32")
    assert _cosine(a.encode(TEXTS).values, b.encode(TEXTS).values).min() >= 0.999


def test_alone_or_in_company_is_the_same(encoder):
    together = encoder.encode(SOME).values
    alone = np.concatenate([encoder.encode([text]).values for text in SOME])
    assert np.abs(together - alone).max() <= 1e-3
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_order_is_kept_over_batches_and_chunks(make_model):
    encoder = load(make_model(), precision="float32")
    many = [TEXTS[i % len(TEXTS)] for i in range(2500)]
    got = encoder.encode(iter(many)).values
    np.testing.assert_allclose(got, encoder.encode(TEXTS).values[np.arange(2500) % len(TEXTS)], atol=1e-5)


@pytest.mark.parametrize(
    ("prompts", "default"),
    [
        ({"query": "query : ", "document": "passage : "}, None),
        ({"query": "query : ", "passage": "passage : "}, None),
        ({"passage": "passage : ", "corpus": "a "}, "corpus"),
        ({"query": "query : "}, "query"),
        ({"other": "document : "}, "other"),
        (None, None),
    ],
)
@pytest.mark.parametrize("how", [{}, {"pooling": "mean", "normalize": True, "similarity": "cosine"}])
def test_prompts_are_those_of_the_reference(make_model, prompts, default, how):
    from nestvec.encoders.backbone import open_model

    folder = make_model(prompts=prompts, default_prompt=default, **how)
    encoder, model = load(folder, precision="float32"), open_model(folder, device="cpu")
    np.testing.assert_allclose(encoder.encode(TEXTS).values, model.encode_document(TEXTS), atol=1e-5)
    np.testing.assert_allclose(encoder.encode_query(TEXTS).values, model.encode_query(TEXTS), atol=1e-5)
    assert encoder.space.unit is bool(how)
    assert encoder.space.metric == ("cosine" if how else "dot")
    assert encoder.space.pooling == how.get("pooling", "cls")
    assert encoder.window == 22 - encoder.count_tokens([encoder.space.instruction])[0]


def test_a_prompt_that_pooling_leaves_out(make_model):
    from nestvec.encoders.backbone import open_model

    folder = make_model(pooling="mean", prompts={"document": "passage : "}, include_prompt=False)
    got = load(folder, precision="float32").encode(TEXTS).values
    np.testing.assert_allclose(got, open_model(folder, device="cpu").encode_document(TEXTS), atol=1e-5)


def test_another_instruction_is_another_space(make_model):
    encoder = load(make_model(prompts={"document": "passage : "}), precision="float32")
    other = encoder.encode(["cat"], instruction="document : ")
    plain = encoder.encode(["cat"], instruction="")
    assert other.space.instruction == "document : "
    np.testing.assert_allclose(other.values, encoder.encode(["document : cat"], instruction="").values, atol=1e-6)
    assert not np.allclose(other.values, plain.values, atol=1e-3)
    assert encoder.encode(["cat"], instruction="passage : ").space == encoder.space
    asked = encoder.encode_query(["cat"], instruction="a ")
    assert asked.space == encoder.space
    np.testing.assert_allclose(asked.values, encoder.encode(["a cat"], instruction="").values, atol=1e-6)
    with pytest.raises(SpaceMismatchError):
        encoder.space.require(other.space)


def test_records_are_read_with_their_title(encoder):
    record = Record("1", "lifts", title="the wing")
    assert np.abs(encoder.encode([record]).values - encoder.encode(["the wing lifts"]).values).max() < 1e-6


def test_no_records_give_no_rows(encoder):
    assert encoder.encode([]).values.shape == encoder.encode_query([]).values.shape == (0, 384)
    assert list(encoder.stream([])) == []
    assert encoder.count_tokens([]) == []


def test_lone_surrogates_are_read(encoder):
    assert np.isfinite(encoder.encode(["a\ud800b"]).values).all()


def test_a_size_may_be_given_with_a_call(encoder):
    for call in (encoder.encode, encoder.encode_query):
        assert call(["a"], size="full").space == encoder.space
        assert call(["a"], size="L6-d128").values.shape == (1, 128)
        with pytest.raises(InputError, match="depth must be 0 to 6"):
            call(["a"], size="L7")


def test_what_is_no_text_is_named(encoder):
    with pytest.raises(InputError, match=r"pass \[text\]"):
        encoder.encode("one text")
    with pytest.raises(InputError, match=r"pass \[text\]"):
        encoder.encode_query("one text")


def test_over_the_window_is_counted_and_warned_of_once(make_model):
    encoder = load(make_model(), precision="float32")
    long = "cat " * 30
    with pytest.warns(TruncationWarning, match="1 of 2"):
        encoder.encode(["cat " * encoder.window, long])
    encoder.encode_query([long, long])  # a second warning would be an error here
    assert encoder.truncated == 3


def test_tokens_are_counted_as_the_tokenizer_does(encoder, reference):
    want = [len(reference.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) for text in SOME]
    assert encoder.count_tokens(SOME) == want
    assert encoder.count_tokens(["wing " * 1000]) == [1000]


def test_a_stream_is_read_as_it_is_used(make_model):
    encoder = load(make_model(), precision="float32")
    seen = 0

    def source():
        nonlocal seen
        for i in range(5000):
            seen += 1
            yield Record(f"r{i}", TEXTS[i % len(TEXTS)]) if i % 2 else TEXTS[i % len(TEXTS)]

    stream = encoder.stream(source())
    assert seen == 0
    records, vectors = next(stream)
    assert seen == len(records) == len(vectors) == 2048
    rest = list(stream)
    ids = [record.id for chunk in [records, *(chunk for chunk, _ in rest)] for record in chunk]
    assert ids == [f"r{i}" if i % 2 else str(i) for i in range(5000)]
    np.testing.assert_allclose(vectors.values[:6], encoder.encode(TEXTS).values, atol=1e-5)


def test_threads_do_not_disturb_one_another(encoder):
    want = encoder.encode(SOME).values
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda i: encoder.encode(SOME if i % 2 else SOME[::-1]).values, range(8)))
    for i, got in enumerate(found):
        assert np.abs((got if i % 2 else got[::-1]) - want).max() <= 1e-3


def test_the_fingerprint_stays_when_the_folder_moves(make_model, tmp_path):
    folder = make_model()
    first = load(folder, precision="float32").space
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder, moved)
    second = load(moved, precision="float32").space
    assert second.encoder == "elsewhere"
    first.require(second)
    weights = moved / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-2] ^= 1
    weights.write_bytes(data)
    assert load(moved, precision="float32").space.weights != first.weights


def test_damaged_models_and_wrong_settings_are_named(make_model, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(make_model(), broken)
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="must be one that sentence-transformers opens"):
        load(broken)
    with pytest.raises(InputError, match="compare by cosine or dot, got 'euclidean'"):
        load(make_model(similarity="euclidean"))
    encoder_class = type(load(make_model(), precision="float32"))
    with pytest.raises(InputError, match="batch_tokens"):
        encoder_class.load(batch_tokens=0)


def test_it_satisfies_the_protocol(encoder):
    assert isinstance(encoder, Encoder)
    assert "_stack" not in repr(encoder)


def test_float32_is_taken_where_bfloat16_is_slow(monkeypatch, make_model):
    from nestvec.encoders import precision

    folder = make_model(pooling="mean")
    monkeypatch.setattr(precision, "cpu_features", frozenset)
    slow = load(folder)
    assert slow.precision == "float32"
    assert "no fast bfloat16" in slow.precision_reason
    monkeypatch.setattr(precision, "cpu_features", lambda: frozenset({"amx_bf16"}))
    assert load(folder).precision == "bfloat16"
    monkeypatch.setattr(precision, "COSINE_FLOOR", 1.5)
    unsafe = load(folder)
    assert unsafe.precision == "float32"
    assert "self-check" in unsafe.precision_reason
    np.testing.assert_array_equal(unsafe.encode(TEXTS).values, slow.encode(TEXTS).values)


def test_parity_passes_and_can_be_printed(make_model, encoder):
    from nestvec.encoders import check_parity

    folder = make_model(prompts={"query": "query : ", "document": "passage : "}, normalize=True)
    got = check_parity(folder, precision="float32")
    assert got.passed
    assert got.cosine_min > 0.99999
    assert got.truncated > 0
    assert got.to_json()["passed"] is True
    assert "passed" in str(got)
    assert "sentence-transformers" in str(got)
    with pytest.raises(InputError, match="at least one text"):
        check_parity(folder, [])
    assert check_parity(texts=SOME).passed


def test_stored_vectors_come_out_again(encoder, data_dir):
    import gzip
    import json

    with gzip.open(data_dir / "cranfield" / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file][::7]
    stored = np.load(data_dir / "embeddings_minilm" / "cranfield.npz")
    where = {str(name): i for i, name in enumerate(stored["doc_ids"])}
    records = [Record(row["_id"], row["text"], title=row["title"]) for row in rows if row["text"]]
    want = stored["doc_emb"][[where[record.id] for record in records]].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)
        got = encoder.encode(records).values
    assert len(records) >= 190
    assert _cosine(got, want).min() >= 0.999
