"""All depths from one pass, against running each depth by itself (nestvec.encoders.layers)."""

import numpy as np
import pytest

from nestvec.core import Record
from nestvec.core.errors import InputError
from nestvec.encoders import load
from nestvec.encoders.ladder import Ladder, Rung

pytestmark = [
    pytest.mark.text,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*"),
]

TEXTS = ["the wing lifts .", "a cat sat on the mats", "b", "the the the the the wing a cat sat on the mat"]


@pytest.fixture(scope="module")
def normed(save_model):
    """A family that ends in a norm, three layers deep."""
    from transformers import Qwen2Config, Qwen2Model

    config = Qwen2Config(
        vocab_size=40, hidden_size=32, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=40, pad_token_id=0,
    )  # fmt: skip
    return load(save_model(Qwen2Model(config).eval(), pooling="mean"), precision="float32")


@pytest.fixture(scope="module")
def plain(make_model):
    return load(make_model(pooling="cls", prompts={"query": "query: ", "passage": "passage: "}), precision="float32")


@pytest.mark.parametrize("name", ["normed", "plain"])
def test_a_layer_is_what_running_to_that_depth_gives(name, request):
    encoder = request.getfixturevalue(name)
    layered = encoder.layered()
    found, asked = layered.encode_each(TEXTS), layered.encode_query_each(TEXTS)
    depths = [size for size in layered.spaces if size[0] == "L" and "as it is" not in size and size != "L0"]
    assert depths == [f"L{k}" for k in range(1, encoder.layers + 1)]
    for size in depths:
        one = encoder.at(size)
        np.testing.assert_allclose(found[size], one.encode(TEXTS).values, atol=2e-6)
        np.testing.assert_allclose(asked[size], one.encode_query(TEXTS).values, atol=2e-6)
        assert layered.spaces[size] == one.space
    assert layered.full == depths[-1]
    assert layered.spaces[layered.full] == encoder.space
    assert list(found) == list(layered.spaces) == list(layered.made)


def test_a_mean_of_layers_is_the_pooled_mean_of_their_states(normed):
    import torch

    model = normed.stack.modules[0].auto_model
    tokens = normed.stack.tokenizer(TEXTS[1], return_tensors="pt")
    with torch.no_grad():
        states = model(**tokens, output_hidden_states=True).hidden_states
    first, middle = (model.norm(x) for x in states[1:3])  # the last of them has been through the norm
    found = normed.layered().encode_each([TEXTS[1]])
    for name, chosen in {
        "mean L1+L3": (first, states[3]), "mean L2-L3": (middle, states[3]), "mean L1-L3": (first, middle, states[3]),
    }.items():  # fmt: skip
        wanted = torch.stack(chosen).mean(dim=0).mean(dim=1)[0].detach().numpy()
        got = found[name][0]
        np.testing.assert_allclose(got, wanted / np.linalg.norm(wanted) * np.linalg.norm(got), atol=2e-6)


def test_of_two_layers_there_is_one_mean(plain):
    assert [size for size in plain.layered().spaces if size.startswith("mean")] == ["mean L1-L2"]


def test_rungs_stand_beside_layers_as_they_are(exact):
    layered = exact.layered()
    bare = load(precision="float32", ladder=None)
    found = layered.encode_each([Record("a", "the wing lifts", title="air"), "a cat sat on the mat"])
    texts = ["air the wing lifts", "a cat sat on the mat"]
    for size in ("L0", "L1", "L3"):
        assert layered.made[size] == "distilled"
        np.testing.assert_allclose(found[size], exact.at(size).encode(texts).values, atol=2e-6)
        assert layered.spaces[size] == exact.at(size).space
    np.testing.assert_allclose(found["L2 as it is"], bare.at("L2").encode(texts).values, atol=2e-6)
    assert layered.spaces["L2 as it is"] == bare.at("L2").space
    assert len({space.fingerprint for space in layered.spaces.values()}) == len(layered.spaces)


def test_rungs_with_changes_of_their_own_run_by_themselves(normed):
    rng = np.random.default_rng(0)
    query = "layers.0.self_attn.q_proj"
    tensors = {f"head.{k}.weight": rng.standard_normal((32, 32)) for k in (1, 2)}
    tensors |= {
        f"lora.1.{query}.down": rng.standard_normal((2, 32)),
        f"lora.1.{query}.up": rng.standard_normal((32, 2)),
    }
    ladder = Ladder(
        base=normed.space.weights, name="x", tokenizer="t", dim=32,
        rungs=tuple(Rung(k, (32,), "closed", {}) for k in (1, 2)),
        tensors={name: x.astype(np.float16) for name, x in tensors.items()},
    )  # fmt: skip
    encoder = load(normed.source, precision="float32", ladder=ladder)
    layered = encoder.layered()
    found = layered.encode_each(TEXTS)
    for size in ("L1", "L2"):
        assert layered.made[size] == "closed"
        np.testing.assert_allclose(found[size], encoder.at(size).encode(TEXTS).values, atol=2e-6)
    assert np.abs(found["L1"] - found["L1 as it is"]).max() > 0.01


def test_layers_run_once_for_all_sizes(exact, monkeypatch):
    from nestvec.encoders import backbone

    ran = []
    forward = backbone.forward
    monkeypatch.setattr(backbone, "forward", lambda stack, *a, **k: ran.append(1) or forward(stack, *a, **k))
    exact.layered().encode_each(["a cat"])
    assert len(ran) == 2  # the model, and the rungs, which share their layers


def test_no_text_gives_no_row_and_one_text_is_no_list(plain):
    found = plain.layered().encode_each([])
    assert {x.shape for x in found.values()} == {(0, 32)}
    with pytest.raises(InputError, match="as several"):
        plain.layered().encode_each("text")
