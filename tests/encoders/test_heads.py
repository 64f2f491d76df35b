"""Heads on token states (nestvec.encoders.heads), and the forms they give in one pass (nestvec.encoders.forms)."""

import json

import numpy as np
import pytest

from nestvec.core.errors import CorruptError, FormatError, InputError, NotFiniteError, ShapeError
from nestvec.encoders.forms import Forms
from nestvec.encoders.heads import Heads, Linear
from nestvec.kernels.forms import fused, lexical

pytestmark = pytest.mark.text

TEXTS = ["the cat sat on the mat .", "wing", "the wing lifts a cat", "zebra", ""]


@pytest.fixture(scope="module")
def m3(make_model):
    """A folder as BGE-M3's: the first token's state as the vector, and two heads in PyTorch files."""
    import torch

    folder = make_model(pooling="cls", normalize=True)
    torch.manual_seed(2)
    heads = {"colbert_linear": torch.nn.Linear(32, 6), "sparse_linear": torch.nn.Linear(32, 1)}
    for name, head in heads.items():
        torch.save(head.state_dict(), folder / f"{name}.pt")
    return folder, heads


def by_hand(encoder, text, heads):
    """What BGE-M3's own code does: the first token gets no vector; an id's weight is the highest of its places."""
    import torch

    tokenizer = encoder.stack.tokenizer
    features = tokenizer(text, return_tensors="pt")
    with torch.no_grad():
        states = encoder.stack.modules[0](dict(features))["token_embeddings"][0]
        multi = torch.nn.functional.normalize(heads["colbert_linear"](states[1:]), dim=-1).numpy()
        weights = torch.relu(heads["sparse_linear"](states))[:, 0].numpy()
    unused = {tokenizer.cls_token_id, tokenizer.sep_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    best = {}
    for i, w in zip(features["input_ids"][0].tolist(), weights, strict=True):
        if i not in unused and w > 0:
            best[i] = max(best.get(i, 0.0), float(w))
    return multi, best


def test_one_pass_gives_what_three_models_would(m3):
    from nestvec.encoders import load

    folder, heads = m3
    encoder = load(folder, precision="float32")
    tokens = encoder.at("vall")
    assert tokens.forms == ("dense", "sparse", "multi")
    found = tokens.encode_forms(TEXTS)
    assert isinstance(found, Forms)
    assert len(found) == len(TEXTS)
    np.testing.assert_allclose(found.dense.values, encoder.encode(TEXTS).values, atol=1e-6)
    found.dense.space.require(encoder.space)
    assert np.array_equal(found.multi.values, tokens.encode(TEXTS).values)
    for i, text in enumerate(TEXTS):
        multi, best = by_hand(encoder, text, heads)
        np.testing.assert_allclose(found.multi[i], multi, atol=1e-5)
        part = slice(found.sparse.offsets[i], found.sparse.offsets[i + 1])
        assert found.sparse.indices[part].tolist() == sorted(best)
        np.testing.assert_allclose(found.sparse.values[part], [best[j] for j in sorted(best)], atol=1e-5)
    assert (found.sparse.values > 0).all()
    assert found.sparse.space.dim == len(encoder.stack.tokenizer)


def test_a_collection_of_such_a_model_reads_each_text_once_and_finds_by_tokens_alone(m3, tmp_path, monkeypatch):
    from nestvec import Collection
    from nestvec.encoders import backbone, load
    from nestvec.kernels.maxsim import maxsim

    encoder, texts = load(m3[0], precision="float32"), TEXTS[:4]
    read, features = [], backbone._features

    def counting(stack, arrays, *, prompt_length):
        read.append(len(arrays["input_ids"]))
        return features(stack, arrays, prompt_length=prompt_length)

    monkeypatch.setattr("nestvec.search.finder.EXACT", 2)
    monkeypatch.setattr(backbone, "_features", counting)
    with Collection.create(tmp_path / "c", encoder=encoder, size="vall-b16") as made:
        read.clear()
        made.add(texts)
        assert sum(read) == 4
        assert (made.space.dim, made.settings.several.space.dim) == (32, 6)
        kept, asked = encoder.at("vall").encode(texts), encoder.at("vall").encode_query(["the cat"])
        wanted = np.sort(maxsim(asked.values, kept.values, kept.offsets))[::-1]
        np.testing.assert_allclose(made.find(asked, 4).scores[0], wanted, atol=0.01)
        np.testing.assert_allclose([hit.score for hit in made.search("the cat", 4)], wanted, atol=0.01)


def test_scores_of_the_forms_come_together(m3):
    from nestvec.encoders import load

    tokens = load(m3[0], precision="float32").at("vall")
    documents, queries = tokens.encode_forms(TEXTS), tokens.encode_query_forms(["the cat", "zebra"])
    multi = np.array([
        [(queries.multi[i] @ documents.multi[j].T).max(axis=1).mean() for j in range(len(TEXTS))] for i in range(2)
    ])  # fmt: skip
    dense = queries.dense.values @ documents.dense.values.T
    sparse = lexical(queries.sparse, documents.sparse)
    got = fused(dense, sparse, multi)
    np.testing.assert_allclose(got, (dense + 0.3 * sparse + multi) / 2.3, rtol=1e-5)
    assert sparse[1].max() == 0  # an unknown word has no weight


def test_safetensors_come_before_pytorch_files(m3, make_model):
    import torch
    from safetensors.torch import save_file

    folder = make_model(pooling="mean")
    weight = torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    save_file({"weight": weight}, folder / "colbert_linear.safetensors")
    (folder / "colbert_linear.pt").write_bytes(b"never opened")
    heads = Heads.beside(folder)
    assert heads.sparse is None
    assert np.array_equal(heads.multi.weight, weight.numpy())
    assert not heads.multi.bias.any()
    assert Heads.beside(make_model()) is None
    assert Heads.of(None, folder=folder).linears == {}


class Boom:
    def __reduce__(self):
        return (print, ("run",))


def test_a_hostile_or_damaged_file_is_refused_unopened(make_model, capsys):
    import torch

    folder = make_model()
    for write in (
        lambda path: torch.save({"weight": Boom()}, path),
        lambda path: torch.save([torch.zeros(1)], path),
        lambda path: path.write_bytes(b"PK not really"),
        lambda path: path.write_bytes(b""),
    ):
        write(folder / "sparse_linear.pt")
        with pytest.raises(CorruptError, match=r"sparse_linear\.pt"):
            Heads.beside(folder)
    assert capsys.readouterr().out == ""
    (folder / "sparse_linear.safetensors").write_bytes(b"\xff" * 20)
    with pytest.raises(CorruptError, match="safetensors"):
        Heads.beside(folder)


def heads_of(width=32, dim=6, **said):
    rng = np.random.default_rng(0)
    made = {"multi": dim, "sparse": 1, "select": 1}
    return Heads(
        **{
            name: Linear(rng.standard_normal((o, width)).astype(np.float32), np.ones(o, np.float32))
            for name, o in made.items()
        },
        **said,
    )


def test_what_is_saved_is_read_back(tmp_path):
    heads = heads_of(base="abc", recipe={"steps": 3})
    heads.save(tmp_path)
    again = Heads.load(tmp_path)
    assert again.fingerprint("multi", "sparse", "select") == heads.fingerprint("multi", "sparse", "select")
    assert (again.base, again.like_m3, again.recipe) == ("abc", False, {"steps": 3})
    said = json.loads((tmp_path / "heads.json").read_text())
    for change, error in (({"format": 2}, FormatError), ({"base": None}, None)):
        (tmp_path / "heads.json").write_text(json.dumps({**said, **change}))
        if error is not None:
            with pytest.raises(error):
                Heads.load(tmp_path)
    (tmp_path / "heads.json").write_text("{")
    with pytest.raises(CorruptError):
        Heads.load(tmp_path)
    with pytest.raises(InputError, match=r"heads\.json"):
        Heads.load(tmp_path / "nowhere")


def test_heads_that_cannot_be_are_refused():
    ones = np.ones((2, 3), np.float32)
    with pytest.raises(ShapeError):
        Linear(ones, np.ones(3, np.float32))
    with pytest.raises(NotFiniteError):
        Linear(ones * np.nan, np.ones(2, np.float32))
    with pytest.raises(FormatError):
        Linear.of({"bias": np.ones(2)})
    with pytest.raises(ShapeError, match="one number"):
        Heads(sparse=Linear(ones, np.ones(2, np.float32)))
    with pytest.raises(ShapeError, match="one width"):
        Heads(
            multi=Linear(ones, np.ones(2, np.float32)),
            select=Linear(np.ones((1, 4), np.float32), np.ones(1, np.float32)),
        )


def test_heads_for_another_model_are_refused(make_model):
    from nestvec.encoders import load

    folder = make_model(pooling="mean")
    with pytest.raises(InputError, match="for the model they are used with"):
        load(folder, precision="float32", heads=heads_of(base="0" * 32)).at("vall")
    with pytest.raises(InputError, match="width 32"):
        load(folder, precision="float32", heads=heads_of(width=16)).at("vall")


def test_a_head_is_for_all_layers(make_model, tmp_path):
    from nestvec.encoders import load

    heads_of().save(tmp_path)
    encoder = load(make_model(pooling="mean"), precision="float32", heads=tmp_path)
    whole = encoder.at("vall")
    assert (whole.space.dim, encoder.at("vall-d4").space.dim) == (6, 4)
    assert whole.forms == ("dense", "sparse", "multi")
    assert encoder.at("L1-vall").space.dim == 32
    assert encoder.at("L1-vall").forms == ("dense", "multi")
    dot = encoder.stack.tokenizer.convert_tokens_to_ids(".")
    assert dot not in whole.encode_forms(TEXTS).sparse.indices
    scores = whole.scores(TEXTS)
    assert [len(x) for x in scores] == np.diff(whole.encode(TEXTS).offsets).tolist()
    assert whole.space.fingerprint != load(encoder.folder, precision="float32").at("vall").space.fingerprint
