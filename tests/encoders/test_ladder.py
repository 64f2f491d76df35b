"""The ladder's files, what they refuse, and what a ladder does to the sizes of a model."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nestvec.core.errors import CorruptError, FormatError, InputError, NotFiniteError, ShapeError
from nestvec.encoders import Ladder, Rung
from nestvec.encoders.ladder import JSON_FILE, TENSOR_FILE, Adapter, shipped, shipped_at_depth_0
from nestvec.encoders.ladder_tensors import check

QUERY = "encoder.layer.0.attention.self.query"
TEXTS = ["the wing lifts .", "a cat sat on the mats", "b"]


def _tensors(dim=8, width=8, vocab=20, rank=4, seed=0):
    rng = np.random.default_rng(seed)

    def half(*shape):
        return rng.normal(size=shape).astype(np.float16)

    return {
        "head.1.weight": half(dim, width),
        "head.1.bias": half(dim),
        f"lora.1.{QUERY}.down": half(2, width),
        f"lora.1.{QUERY}.up": half(width, 2),
        "value.all.encoder.layer.1.output.dense.bias": half(width),
        "table.codes": rng.integers(-127, 128, (vocab, rank)).astype(np.int8),
        "table.scale": np.abs(half(vocab)),
        "table.projection": half(rank, dim),
        "table.bias": half(dim),
        "rotation": np.linalg.qr(rng.normal(size=(dim, dim)))[0].astype(np.float16),
    }


def _ladder(*, base="b" * 32, tokenizer="t" * 32, dim=8, tensors=None, rungs=None):
    rungs = rungs or (Rung(0, (dim,), "closed"), Rung(1, (dim, 4), "distilled", {"stsb": 0.7, "stsb@4": 0.6}))
    tensors = _tensors(dim, dim) if tensors is None else tensors
    return Ladder(base, "some model", tokenizer, dim, rungs, tensors, {"steps": 3}, ("CC0",))


def test_what_is_saved_is_what_is_loaded(tmp_path):
    ladder = _ladder()
    folder = ladder.save(tmp_path / "deep" / "ladder")
    again = Ladder.load(folder)
    assert sorted(path.name for path in folder.iterdir()) == [JSON_FILE, TENSOR_FILE]
    assert [path.name for path in folder.parent.iterdir()] == ["ladder"]
    assert (again.base, again.name, again.tokenizer, again.dim) == (ladder.base, "some model", ladder.tokenizer, 8)
    assert (again.rungs, again.recipe, again.licences) == (ladder.rungs, {"steps": 3}, ("CC0",))
    assert set(again.tensors) == set(ladder.tensors)
    for name, tensor in ladder.tensors.items():
        assert again.tensors[name].dtype == tensor.dtype
        np.testing.assert_array_equal(again.tensors[name], tensor)
    assert again.nbytes == ladder.nbytes
    assert [again.fingerprint(k) for k in (0, 1)] == [ladder.fingerprint(k) for k in (0, 1)]


def test_an_older_ladder_is_replaced_and_anything_else_is_not(tmp_path):
    folder = _ladder().save(tmp_path / "ladder")
    _ladder(base="c" * 32).save(folder)
    assert Ladder.load(folder).base == "c" * 32
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    with pytest.raises(InputError, match="new or empty folder"):
        _ladder().save(tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").exists()
    with pytest.raises(InputError, match="folder with ladder"):
        Ladder.load(tmp_path / "thesis")


def test_damage_and_other_formats_are_noticed(tmp_path):
    folder = _ladder().save(tmp_path / "ladder")
    blob = bytearray((folder / TENSOR_FILE).read_bytes())
    blob[-1] ^= 1
    (folder / TENSOR_FILE).write_bytes(blob)
    with pytest.raises(CorruptError, match="must be the"):
        Ladder.load(folder)
    (folder / TENSOR_FILE).unlink()
    with pytest.raises(CorruptError):
        Ladder.load(folder)
    said = json.loads((folder / JSON_FILE).read_text())
    (folder / JSON_FILE).write_text(json.dumps(said | {"format": 2}))
    with pytest.raises(FormatError, match="got 2"):
        Ladder.load(folder)
    (folder / JSON_FILE).write_text(json.dumps({k: v for k, v in said.items() if k != "rungs"}))
    with pytest.raises(InputError, match="rungs"):
        Ladder.load(folder)
    (folder / JSON_FILE).write_text("{")
    with pytest.raises(CorruptError, match="JSON"):
        Ladder.load(folder)


def test_it_is_for_one_model():
    ladder = _ladder()
    ladder.require("b" * 32)
    with pytest.raises(InputError, match=r"some model \(bbbbbbbb\), got other \(dddddddd\)"):
        ladder.require("d" * 32, name="other")


@pytest.mark.parametrize(
    ("change", "error", "match"),
    [
        ({"extra": np.zeros(2, np.float32)}, InputError, "name of the format, got 'extra'"),
        ({f"lora.1.{QUERY}.up": None}, InputError, "must also have"),
        ({"lora.1.down": np.zeros((1, 8), np.float32)}, InputError, "must also have"),
        ({"delta.1.x.weights": np.zeros(2, np.float32)}, InputError, "must end in .codes or .scale"),
        ({"head.1.weight": None}, InputError, "head.1.weight"),
        ({"head.1.weight": np.zeros((7, 8), np.float32)}, ShapeError, r"\[8, None\]"),
        ({"head.1.bias": np.full(8, np.nan, np.float32)}, NotFiniteError, "head.1.bias"),
        ({"table.codes": np.zeros((20, 4), np.float32)}, InputError, "int8"),
        ({"table.projection": np.zeros((5, 8), np.float32)}, ShapeError, r"\[4, 8\]"),
        ({"table.projection": None}, ShapeError, "without a projection"),
        ({"table.scale": None}, InputError, "table.scale"),
        ({"rotation": np.zeros((8, 7), np.float32)}, ShapeError, "rotation"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(change, error, match):
    tensors = {name: tensor for name, tensor in (_tensors() | change).items() if tensor is not None}
    with pytest.raises(error, match=match):
        check(tensors, dim=8)
    with pytest.raises(error, match=match):
        _ladder(tensors=tensors)


def test_rungs_must_make_sense():
    with pytest.raises(InputError, match="rising"):
        _ladder(rungs=(Rung(1, (8,), "closed"), Rung(1, (8,), "closed")))
    with pytest.raises(InputError, match="token table"):
        _ladder(rungs=(Rung(0, (8,), "closed"),), tensors={})
    with pytest.raises(InputError, match="depth >= 0"):
        Rung(1, (), "closed")


def test_a_fingerprint_is_of_what_decides_that_depth():
    tensors = _tensors()
    ladder = _ladder(tensors=tensors)
    other = _ladder(tensors=tensors | {"head.1.bias": np.ones(8, np.float16)})
    assert ladder.fingerprint(0) == other.fingerprint(0) != ladder.fingerprint(1) != other.fingerprint(1)
    turned = _ladder(tensors=tensors | {"rotation": np.eye(8, dtype=np.float16)})
    assert turned.fingerprint(0) != ladder.fingerprint(0)


def test_adapters_are_those_of_the_depth_and_those_of_all():
    ladder = _ladder()
    assert [(a.kind, a.path, a.required) for a in ladder.adapters(1)] == [
        ("lora", QUERY, True), ("value", "encoder.layer.1.output.dense.bias", False),
    ]  # fmt: skip
    assert ladder.adapters(2) == []
    assert ladder.head(2) is None
    got = Adapter("value", "x", {"value": np.ones(3, np.float16)}, required=True).applied(np.zeros(3, np.float32))
    assert got.dtype == np.float32
    assert got.tolist() == [1, 1, 1]


@pytest.fixture(scope="module")
def model(make_model):
    """A folder of a small model, and a ladder for it."""
    from nestvec.encoders.checkpoint import find

    folder = make_model(pooling="mean", normalize=True, similarity="cosine")
    found = find(folder)
    return folder, _ladder(base=found.fingerprint, tokenizer=found.tokenizer, dim=32)


@pytest.mark.text
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*")
def test_a_rung_applies_adapters_head_and_rotation(model):
    from nestvec.encoders import depth, load

    folder, ladder = model
    encoder = load(folder, precision="float32", ladder=ladder)
    plain = load(folder, precision="float32", ladder=None)
    stack = depth.pooled(depth.adapted(plain.at("L1").stack, ladder.adapters(1)))
    from dataclasses import replace

    state = replace(plain, _stack=stack)._in_chunks(iter(TEXTS), prompt="", role="document")
    weight, bias = ladder.head(1)
    full = state @ weight.T + bias
    np.testing.assert_allclose(encoder.encode(TEXTS, size="L1").values, _unit(full), atol=1e-5)
    turned = full @ ladder.tensors["rotation"].astype(np.float32).T
    np.testing.assert_allclose(encoder.encode(TEXTS, size="L1-d4").values, _unit(turned[:, :4]), atol=1e-5)
    whole = plain.encode(TEXTS).values @ ladder.tensors["rotation"].astype(np.float32).T
    np.testing.assert_allclose(encoder.encode(TEXTS, size="d4").values, _unit(whole[:, :4]), atol=1e-5)
    np.testing.assert_array_equal(encoder.encode(TEXTS).values, plain.encode(TEXTS).values)
    spaces = [e.at(s).space.fingerprint for e in (encoder, plain) for s in ("L1", "L1-d4", "d4", "L0", "L0-d4")]
    assert len(set(spaces)) == len(spaces)
    assert encoder.at("full").space == plain.space
    fast = load(folder, precision="bfloat16", ladder=ladder)
    assert (fast.encode(TEXTS, size="L1").values * encoder.encode(TEXTS, size="L1").values).sum(1).min() > 0.99


@pytest.mark.text
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*")
def test_a_ladder_of_another_model_is_refused_at_the_door(model, make_model, tmp_path):
    from nestvec.encoders import load

    _, ladder = model
    other = make_model(pooling="cls")
    for size in ("full", "L0"):
        with pytest.raises(InputError, match="made for, some model"):
            load(other, ladder=ladder, size=size)
    saved = ladder.save(tmp_path / "ladder")
    with pytest.raises(InputError, match="made for, some model"):
        load(other, ladder=saved)


@pytest.mark.text
@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*")
def test_a_ladder_may_lie_in_the_folder_of_its_model(make_model):
    from nestvec.encoders.checkpoint import find

    folder = make_model(pooling="mean")
    before = find(folder).fingerprint
    _ladder(base=before).save(folder / "ladder")
    assert find(folder).fingerprint == before


def test_a_shipped_ladder_is_found_by_fingerprint(tmp_path, monkeypatch):
    import nestvec.encoders.ladder as module

    monkeypatch.setattr(module, "_SHIPPED", tmp_path)
    folder = _ladder().save(tmp_path / "some model")
    assert shipped("b" * 32) == folder
    assert shipped("c" * 32) is None
    assert shipped_at_depth_0("some model", "t" * 32) == folder
    assert shipped_at_depth_0("some model", "u" * 32) is None
    assert shipped_at_depth_0("none", "t" * 32) is None


def _unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)
