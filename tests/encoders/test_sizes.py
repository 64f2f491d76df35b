"""Size as an argument: of an encoder, of a call, of a collection; and the list of sizes."""

from __future__ import annotations

import numpy as np
import pytest

from nestvec.core import Size, Space
from nestvec.core.errors import InputError, SpaceMismatchError
from nestvec.encoders.chunks import chunks
from nestvec.encoders.shaping import Shaping
from nestvec.encoders.sizing import resolve, smaller_space

SPACE = Space("m", "w" * 32, "mean", 8)
TEXTS = ["the wing lifts .", "a cat sat on the mats", "b"]
text = [
    pytest.mark.text,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*"),
]


def marked(test):
    for mark in text:
        test = mark(test)
    return test


def test_a_dial_that_is_fully_up_is_left_out():
    assert str(resolve("L6-v1-d8-b8", depth=6, dim=8, name="m")) == "v1-b8"
    assert str(resolve("L3-d4", depth=6, dim=8, name="m")) == "L3-d4"
    assert resolve(None, depth=None, dim=8, name="m") == Size()


@pytest.mark.parametrize(
    ("size", "match"),
    [
        ("L9", "depth must be 0 to 6, the layers that m has, got 9"),
        ("d500", "dim must be 1 to 8, which is what m has, got 500"),
        ("v2", "vectors must be 1"),
        ("big", "must look like"),
    ],
)
def test_a_size_that_is_not_there_names_what_is(size, match):
    with pytest.raises(InputError, match=match):
        resolve(size, depth=6, dim=8, name="m")


def test_every_size_has_a_space_of_its_own_but_bits_have_none():
    at = {size: smaller_space(SPACE, Size.parse(size), dim=4, ladder="") for size in ("L3", "L2", "d4", "L3-d4")}
    assert len({space.fingerprint for space in at.values()} | {SPACE.fingerprint}) == 5
    assert smaller_space(SPACE, Size.parse("v1-b8"), dim=8) is SPACE
    assert smaller_space(SPACE, Size.parse("L3-b8"), dim=4) == at["L3"]
    assert smaller_space(SPACE, Size.parse("L3"), dim=4, ladder="x") != at["L3"]
    assert at["L3-d4"].encoder == "m@L3-d4"
    with pytest.raises(SpaceMismatchError, match="m@L3"):
        SPACE.require(at["L3"])


def test_shaping_is_head_then_rotation_then_leading_dimensions():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 5)).astype(np.float32)
    weight, bias = rng.normal(size=(4, 5)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0].astype(np.float32)
    full = x @ weight.T + bias
    got = Shaping.of(2, unit=False, head=(weight, bias), rotation=rotation[:2])(x)
    np.testing.assert_allclose(got, (full @ rotation.T)[:, :2], atol=1e-5)
    np.testing.assert_allclose(Shaping.of(4, unit=True, head=(weight, bias))(x), full / _length(full), atol=1e-5)
    cut = Shaping.of(2, unit=True)(x)
    np.testing.assert_allclose(cut, x[:, :2] / _length(x[:, :2]), atol=1e-6)
    assert cut.flags.c_contiguous
    zeros = Shaping.of(2, unit=True)(np.zeros((2, 5), np.float32))
    np.testing.assert_array_equal(zeros, 0)


def test_chunks_are_cut_by_number_and_by_length():
    assert [len(c) for c in chunks(range(5000), size_of=lambda _: 1)] == [2048, 2048, 904]
    assert [len(c) for c in chunks(range(3), size_of=lambda _: 8 << 20)] == [1, 1, 1]


@pytest.fixture(scope="module")
def small(make_model):
    from nestvec.encoders import load

    return load(make_model(pooling="mean", normalize=True, similarity="cosine"), precision="float32")


@marked
def test_the_same_size_by_every_way(small):
    from nestvec.encoders import TextEncoder, load

    assert isinstance(small.at("L1-d16"), TextEncoder)
    by_view = small.at("L1-d16").encode(TEXTS)
    by_call = small.encode(TEXTS, size="L1-d16")
    by_load = load(small.folder, precision="float32", size="L1-d16").encode(TEXTS)
    by_value = small.encode_query(TEXTS, size=Size(depth=1, vectors=1, dim=16))
    for other in (by_call, by_load, by_value):
        np.testing.assert_allclose(other.values, by_view.values, atol=1e-6)
        assert other.space == by_view.space
    np.testing.assert_allclose(np.linalg.norm(by_view.values, axis=1), 1, atol=1e-5)
    cut = small.encode(TEXTS, size="L1").values[:, :16]
    np.testing.assert_allclose(by_view.values, cut / _length(cut), atol=1e-5)


@marked
def test_views_are_of_the_whole_model_whatever_they_are_taken_of(small):
    from nestvec.encoders.elastic import View

    view = small.at("L1-d16-b8")
    made = small._whole.at("L1-d16-b8")
    assert isinstance(made, View)
    assert (made.space, made.size, made.stack) == (view.space, view.size, view.stack)
    assert (view.space.dim, str(view.size), small.size) == (16, "L1-d16-b8", Size())
    assert view.at("d20").space == small.at("d20").space
    assert view.at("full").space == small.space == small.at("L2-v1-d32-b32").space
    assert small.at("L0").window == small.window
    assert [len(v) for _, v in view.stream(TEXTS)] == [3]


@marked
def test_depth_0_is_the_same_through_the_model_and_without_it(small):
    from nestvec.encoders import StaticEncoder, load

    through, without = small.at("L0-d16"), load(small.folder, size="L0-d16")
    assert isinstance(without, StaticEncoder)
    assert through.space == without.space
    np.testing.assert_array_equal(through.encode(TEXTS).values, without.encode(TEXTS).values)


@marked
def test_a_size_that_is_not_there_is_refused_by_call_and_load(small):
    from nestvec.encoders import load

    for wrong in ("L3", "d33", "v2"):
        with pytest.raises(InputError, match="got"):
            small.encode(TEXTS, size=wrong)
    with pytest.raises(InputError, match="depth must be 0 to 2"):
        load(small.folder, size="L7")


@marked
def test_vectors_that_are_compared_by_dot_keep_their_lengths(make_model):
    from nestvec.encoders import load

    encoder = load(make_model(pooling="mean", similarity="dot"), precision="float32")
    view = encoder.at("d16")
    assert not view.space.unit
    np.testing.assert_allclose(view.encode(TEXTS).values, encoder.encode(TEXTS).values[:, :16], atol=1e-6)


@marked
def test_a_collection_pins_its_size(small, make_model, tmp_path):
    from nestvec.encoders import load
    from nestvec.search import Collection

    with Collection.create(tmp_path / "a", encoder=small.folder, size="L1-d16-b8") as made:
        made.add(TEXTS)
        assert made.settings.size == "L1-d16-b8"
        assert made.space == small.at("L1-d16").space
        assert made.vectors([next(iter(made.records())).id]).values.shape == (1, 16)
    with Collection.open(tmp_path / "a", write=True) as again:
        assert str(again.encoder.size) == "L1-d16"  # bits are no business of the encoder
        assert again.search("a cat sat", 1)[0].record.text == TEXTS[1]
        assert again.info()["size"] == "L1-d16-b8"
    with Collection.open(tmp_path / "a", encoder=small) as brought:  # put to the size that is pinned
        assert str(brought.encoder.size) == "L1-d16"
        assert brought.search("a cat sat", 1)[0].record.text == TEXTS[1]
    with pytest.raises(SpaceMismatchError):
        Collection.open(tmp_path / "a", encoder=load(make_model(pooling="cls")))
    with Collection.create(tmp_path / "b", encoder=small.at("L1")) as made:
        assert made.settings.size == "L1"
    with Collection.create(tmp_path / "c", encoder=small, size="d8") as made:
        assert (made.settings.size, made.space.dim) == ("d8", 8)
    with Collection.create(tmp_path / "d", encoder=small) as made:
        assert made.settings.size == "full"


@marked
def test_a_collection_of_an_encoder_with_one_size_takes_no_other(small, tmp_path):
    from nestvec.search import Collection

    class One:
        space, window, size = SPACE, 10, None

        def encode(self, records, *, size=None, instruction=None): ...

        def encode_query(self, queries, *, size=None, instruction=None): ...

        def stream(self, records): ...

        def count_tokens(self, texts, /): ...

    with pytest.raises(InputError, match="one size only, got 'd4'"):
        Collection.create(tmp_path / "a", encoder=One(), size="d4")
    with Collection.create(tmp_path / "b", encoder=One(), size="full") as made:
        assert made.settings.size == "full"


def test_settings_from_before_there_were_sizes_are_full():
    from nestvec.search.settings import Settings

    settings = Settings(SPACE, None, "", 0, 0, "L1")
    said = settings.to_json()
    assert Settings.from_json(said) == settings
    del said["size"]
    assert Settings.from_json(said).size == "full"


@marked
def test_the_list_of_sizes(small):
    from nestvec.encoders import Ladder, Rung, load, sizes
    from nestvec.encoders.checkpoint import find
    from nestvec.encoders.samples import SELF_CHECK

    rows = sizes(small, repeats=1, texts=SELF_CHECK[:2])
    assert [str(row.size) for row in rows] == ["full", "L1", "L0"]
    assert [row.made for row in rows] == ["model", "slice", "slice"]
    assert rows[0].speed == 1
    assert all(row.speed > 0 for row in rows)
    assert [row.vector_bytes for row in rows] == [128, 128, 128]
    assert rows[0].model_bytes > rows[1].model_bytes > rows[2].model_bytes
    found = find(small.folder)
    heads = {"head.1.weight": np.eye(32, dtype=np.float16), "head.1.bias": np.zeros(32, np.float16)}
    rung = Rung(1, (32, 8), "distilled", {"stsb": 0.7, "stsb.low": 0.6, "stsb@8": 0.6})
    ladder = Ladder(found.fingerprint, found.name, found.tokenizer, 32, (rung,), heads)
    rows = sizes(load(small.folder, precision="float32", ladder=ladder), repeats=0)
    assert [(str(row.size), row.made, row.figures) for row in rows] == [
        ("full", "model", {}),
        ("d8", "slice", {}),
        ("L1", "distilled", {"stsb": 0.7, "stsb.low": 0.6}),
        ("L1-d8", "distilled", {"stsb": 0.6}),
        ("L0", "slice", {}),
    ]
    said = rows[3].to_json()
    assert (said["size"], said["vector_bytes"]) == ("L1-d8", 32)
    assert said["vector_bytes_at"] == {"32": 32, "16": 16, "8": 8, "4": 4, "1": 1}
    turned = {**heads, "rotation": np.eye(32, dtype=np.float16)}
    ladder = Ladder(found.fingerprint, found.name, found.tokenizer, 32, (rung,), turned)
    rows = sizes(load(small.folder, precision="float32", ladder=ladder), repeats=0, only=("d8", "L1-d4-b1", "L2"))
    assert [(str(row.size), row.made, row.vector_bytes) for row in rows] == [
        ("d8", "closed", 32),
        ("L1-d4-b1", "cut", 1),
        ("full", "model", 128),
    ]
    assert {row.speed for row in rows} == {None}
    with pytest.raises(InputError, match="at least one text"):
        sizes(small, texts=[])
    with pytest.raises(InputError, match=r"dim must be 1 to 32, .* got 500"):
        sizes(small, only=["d500"])


def _length(x):
    return np.linalg.norm(x, axis=1, keepdims=True)
