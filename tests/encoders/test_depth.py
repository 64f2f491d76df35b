"""Cut models against the tapped layers of whole ones, family by family, on small random checkpoints."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError

pytestmark = [
    pytest.mark.text,
    pytest.mark.filterwarnings("ignore:.*:DeprecationWarning:(torch|transformers|sentence).*"),
]

DEPTH = 4
SMALL = {"hidden_size": 32, "num_hidden_layers": DEPTH, "num_attention_heads": 4, "intermediate_size": 48}
MASKED = {**SMALL, "max_position_embeddings": 40}
CAUSAL = {**SMALL, "num_key_value_heads": 2, "max_position_embeddings": 40, "head_dim": 8}
TEXTS = ["the wing lifts .", "a cat sat on the mats", "b", "the the the the the wing a cat sat on the mat"]

FAMILIES = {
    "bert": ("Bert", MASKED, ""),
    "roberta": ("Roberta", MASKED | {"pad_token_id": 0}, ""),
    "xlm_roberta": ("XLMRoberta", MASKED | {"pad_token_id": 0}, ""),
    "mpnet": ("MPNet", MASKED | {"pad_token_id": 0}, ""),
    "electra": ("Electra", MASKED | {"embedding_size": 16}, ""),
    "distilbert": (
        "DistilBert",
        {"dim": 32, "n_layers": DEPTH, "n_heads": 4, "hidden_dim": 48, "max_position_embeddings": 40},
        "",
    ),
    "modernbert": ("ModernBert", MASKED | {"global_attn_every_n_layers": 3, "local_attention": 4}, "final_norm"),
    "llama": ("Llama", CAUSAL, "norm"),
    "mistral": ("Mistral", CAUSAL | {"sliding_window": 8}, "norm"),
    "qwen2": ("Qwen2", CAUSAL, "norm"),
    "qwen3": ("Qwen3", CAUSAL, "norm"),
    "gemma": ("Gemma", CAUSAL, "norm"),
    "gemma3": (
        "Gemma3Text", CAUSAL | {"sliding_window": 8, "layer_types": ["sliding_attention", "full_attention"] * 2},
        "norm",
    ),
}  # fmt: skip
SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}


def _norm_of(model, name):
    return getattr(model, name) if name else lambda states: states


@pytest.fixture(scope="module")
def family(make_family):
    """A function that gives ``(encoder, bare transformers model)`` of a family, each made once."""
    made = {}

    def get(name):
        if name not in made:
            kind, settings, _ = FAMILIES[name]
            made[name] = make_family(kind, SPECIAL | settings)
        return made[name]

    return get


@pytest.fixture(scope="module")
def make_family(torch_and_st, save_model):
    from nestvec.encoders import load

    def make(kind, settings):
        import torch
        import transformers

        torch.manual_seed(1)
        config = getattr(transformers, f"{kind}Config")(vocab_size=20, **settings)
        model = getattr(transformers, f"{kind}Model")(config).eval()
        for name, parameter in model.named_parameters():
            if "norm" in name.lower():  # a fresh norm is all ones, and would hide its being left out or put on twice
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        folder = save_model(model, pooling="mean")
        return load(folder, precision="float32", ladder=None), model

    return make


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cut_model_gives_the_tapped_layer_of_the_whole_one(name, family):
    import torch

    encoder, model = family(name)
    assert encoder.layers == DEPTH
    norm = _norm_of(model, FAMILIES[name][2])
    ids = torch.tensor([[2, 5, 9, 10, 12, 7, 3], [2, 6, 8, 3, 0, 0, 0]])
    mask = (ids > 0).long()
    with torch.inference_mode():
        whole = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
        for k in range(1, DEPTH + 1):
            first = encoder.at(f"L{k}").stack.modules[0]
            got = first({"input_ids": ids, "attention_mask": mask, "modality": "text"})["token_embeddings"]
            # the last of hidden_states has the norm on it already
            tap = norm(whole.hidden_states[k]) if k < DEPTH else whole.last_hidden_state
            real = mask.bool()
            assert (got - tap)[real].abs().max() <= 1e-5
    assert encoder.at(f"L{DEPTH}").space == encoder.space


@pytest.mark.parametrize("name", ["bert", "llama", "modernbert"])
def test_only_the_first_layers_run(name, family):
    import torch

    encoder, _ = family(name)
    calls = []
    whole = encoder.stack.modules[0]
    layers = next(m for m in whole.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == DEPTH)
    hooks = [layer.register_forward_hook(lambda *_, i=i: calls.append(i)) for i, layer in enumerate(layers)]
    encoder.at("L2").encode(TEXTS)
    for hook in hooks:
        hook.remove()
    assert set(calls) == {0, 1}


def test_weights_are_shared_and_nothing_is_changed(family):
    encoder, _ = family("llama")
    before = encoder.encode(TEXTS).values
    small = encoder.at("L1")
    shared = {p.data_ptr() for p in encoder.stack.modules[0].parameters()}
    assert {p.data_ptr() for p in small.stack.modules[0].parameters()} < shared
    small.encode(TEXTS)
    np.testing.assert_array_equal(encoder.encode(TEXTS).values, before)
    assert small.at("L1").stack is small.stack


def test_sizes_may_run_in_several_threads(family):
    encoder, _ = family("qwen3")
    sizes = ["L1", "L2", "L3", "full"] * 6
    alone = {size: encoder.encode(TEXTS, size=size).values for size in set(sizes)}
    fresh, _ = family("qwen3")
    start = threading.Barrier(4)

    def run(size):
        start.wait(10)
        return size, fresh.encode(TEXTS, size=size).values

    with ThreadPoolExecutor(4) as pool:
        for size, got in pool.map(run, sizes):
            np.testing.assert_allclose(got, alone[size], atol=1e-6)


@pytest.mark.parametrize("name", ["bert", "gemma"])
def test_bfloat16_is_close_at_every_depth(name, family):
    from nestvec.encoders import load

    exact, _ = family(name)
    fast = load(exact.folder, precision="bfloat16", ladder=None)
    for k in range(1, DEPTH + 1):
        a, b = (encoder.encode(TEXTS, size=f"L{k}").values for encoder in (exact, fast))
        cosine = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
        assert cosine.min() >= 0.999


def test_a_depth_that_is_not_there_is_an_error_that_says_what_is(family):
    from nestvec.encoders.depth import cut, find_layers

    encoder, _ = family("bert")
    with pytest.raises(InputError, match=r"depth must be 0 to 4, .* got 9 \(L9-d16\)"):
        encoder.at("L9-d16")
    with pytest.raises(InputError, match="depth must be 1 to 4"):
        cut(encoder.stack, find_layers(encoder.stack), 0)


def test_a_model_without_layers_is_refused_but_may_be_narrowed(make_family):
    settings = {**MASKED, "embedding_size": 16}
    encoder, _ = make_family("Albert", SPECIAL | settings)
    with pytest.raises(InputError, match=r"AlbertModel with 0 lists of 4 layers.*d128"):
        encoder.at("L2")
    assert encoder.at("d16").encode(TEXTS).values.shape == (4, 16)


def test_a_norm_that_nobody_knows_is_noticed(family):
    """A family whose output is not that of the last layer must be refused, and not cut wrongly."""
    import torch

    from nestvec.encoders import depth

    encoder, _ = family("llama")
    odd = depth._replaced(encoder.stack.modules[0], {})
    inner = depth._transformer_path(odd)
    unknown = torch.nn.Sequential(torch.nn.LayerNorm(32), torch.nn.Tanh())
    shell = depth._replaced(odd.get_submodule(inner), {"norm": unknown})
    shell.last = unknown  # found under `norm` all the same, so take that name away
    stack = depth._with_first(encoder.stack, depth._replaced(odd, {inner: shell}))
    assert depth.find_layers(stack).norm.endswith("norm")
    hidden, depth._NORMS = depth._NORMS, ("no such name",)
    try:
        with pytest.raises(InputError, match="not that of the last layer"):
            depth.find_layers(stack)
    finally:
        depth._NORMS = hidden


def test_pooled_states_are_those_of_the_layer(family):
    encoder, _ = family("gemma")
    got = encoder.pooled(TEXTS, depth=2)
    assert got.shape == (4, 32)
    unit = got / np.linalg.norm(got, axis=1, keepdims=True)
    small = encoder.encode(TEXTS, size="L2").values
    np.testing.assert_allclose(unit, small / np.linalg.norm(small, axis=1, keepdims=True), atol=1e-5)


def test_adapters_are_merged_into_their_own_copy(family):
    from nestvec.encoders import depth
    from nestvec.encoders.ladder import Adapter

    encoder, _ = family("bert")
    stack = encoder.at("L2").stack
    path = "encoder.layer.0.attention.self.query"
    root = depth._transformer_path(stack.modules[0])
    old = stack.modules[0].get_submodule(f"{root}.{path}").weight
    rng = np.random.default_rng(0)
    down, up = rng.normal(size=(2, 32)).astype(np.float16), rng.normal(size=(32, 2)).astype(np.float16)
    codes, scale = rng.integers(-127, 127, (32, 32)).astype(np.int8), rng.uniform(0, 0.01, 32).astype(np.float16)
    bias = rng.normal(size=32).astype(np.float32)
    changed = depth.adapted(
        stack,
        [
            Adapter("lora", path, {"down": down, "up": up}, required=True),
            Adapter("delta", path, {"codes": codes, "scale": scale}, required=True),
            Adapter("value", f"{path}.bias", {"value": bias}, required=True),
            Adapter("value", "encoder.layer.3.output.dense.bias", {"value": bias}, required=False),
        ],
    )
    new = changed.modules[0].get_submodule(f"{root}.{path}")
    wanted = (
        old.detach().numpy()
        + up.astype(np.float32) @ down.astype(np.float32)
        + codes * scale.astype(np.float32)[:, None]
    )
    np.testing.assert_allclose(new.weight.detach().numpy(), wanted, atol=1e-5)
    np.testing.assert_array_equal(new.bias.detach().numpy(), bias)
    assert stack.modules[0].get_submodule(f"{root}.{path}").weight is old
    assert depth.weight_bytes(changed) == depth.weight_bytes(stack)
    with pytest.raises(InputError, match="none such"):
        depth.adapted(stack, [Adapter("lora", "encoder.layer.3.none", {"down": down, "up": up}, required=True)])
    with pytest.raises(ShapeError, match="lora of"):
        depth.adapted(stack, [Adapter("lora", path, {"down": down[:, :5], "up": up}, required=True)])
