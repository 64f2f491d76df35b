"""Token vectors (nestvec.encoders.multivector, nestvec.encoders.late, nestvec.encoders.colbert) of any model.

Checkpoints made for late interaction are compared with what sentence-transformers gives.
"""

import json
import warnings

import numpy as np
import pytest

from nestvec.core import MultiVectors, Record, Size
from nestvec.core.errors import InputError, SpaceMismatchError
from nestvec.encoders.late import Augmentation, Late, punctuation_ids, special_ids

pytestmark = pytest.mark.text

TEXTS = ["the cat sat on the mat .", "wing", "a cat sat on a mat . " * 3, "the wing lifts", ".", "", "b b b"]
QUERIES = ["the wing", "a cat sat on the mat : the wing lifts a cat . on a mat", "", "cat ."]


@pytest.fixture(scope="module")
def plain(make_model):
    from nestvec.encoders import load

    return load(make_model(pooling="mean", normalize=True), precision="float32")


CHECKPOINTS = {
    "native": {},
    "native, queries of 12": {"expansion": {"strategy": "fixed", "attend": False, "length": 12}},
    "native, 6 at least": {"expansion": {"strategy": "min", "attend": True, "length": 6}, "document_length": 9},
    "native, any length": {"unit": False, "words": []},
    "PyLate": {"form": "pylate"},
    "PyLate, attended": {"form": "pylate", "attend_to_expansion_tokens": True, "skiplist_words": ["the"]},
    "PyLate, not expanded": {"form": "pylate", "do_query_expansion": False},
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_checkpoint_gives_what_sentence_transformers_gives(make_late, name):
    from sentence_transformers import MultiVectorEncoder as Reference

    from nestvec.encoders import MultiVectorEncoder, load_multi

    folder = make_late(**CHECKPOINTS[name])
    encoder = load_multi(folder, precision="float32")
    assert isinstance(encoder, MultiVectorEncoder)
    reference = Reference(str(folder), device="cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # texts are longer than the window, on purpose
        found, asked = encoder.encode(TEXTS), encoder.encode_query(QUERIES)
    documents = reference.encode_document(TEXTS, convert_to_numpy=True)
    queries = reference.encode_query(QUERIES, convert_to_numpy=True)
    for got, wanted in ((found, documents), (asked, queries)):
        assert [len(got[i]) for i in range(len(got))] == [len(x) for x in wanted]
        for i, x in enumerate(wanted):
            np.testing.assert_allclose(got[i], x, atol=2e-6)
    assert encoder.space.unit == (name != "native, any length")
    assert found.space.fingerprint == asked.space.fingerprint


def test_conventions_are_part_of_the_space_wherever_they_are_written(make_late):
    from nestvec.encoders import load_multi

    same, again, other = (
        load_multi(make_late(form="pylate", **said), precision="float32")
        for said in ({}, {}, {"skiplist_words": ["the"]})
    )
    same.space.require(again.space)
    with pytest.raises(SpaceMismatchError):
        same.space.require(other.space)


def test_a_checkpoint_at_fewer_layers_and_dims(make_late):
    from nestvec.encoders import load_multi

    folder = make_late(form="pylate")
    whole = load_multi(folder, precision="float32")
    small = whole.at("L1-d4")
    assert (str(small.size), small.space.dim) == ("L1-vall-d4", 4)
    full, cut = whole.encode(["a cat"]), small.encode(["a cat"])
    assert len(full.values) == len(cut.values)
    np.testing.assert_allclose(np.linalg.norm(cut.values, axis=1), 1, atol=1e-6)
    assert not np.allclose(full.values[:, :4], cut.values, atol=0.01)
    small.space.require(load_multi(folder, precision="float32", size="L1-d4").space)
    with pytest.raises(InputError, match="no single vector"):
        whole.at("v1")
    with pytest.raises(InputError, match="dim must be 1 to 8"):
        whole.at("d9")


def test_plain_models_give_the_states_of_words_only(plain):
    tokens = plain.at("vall")
    assert isinstance(tokens.encode([]), MultiVectors)
    assert len(tokens.encode([])) == 0
    found = tokens.encode(TEXTS)
    assert np.diff(found.offsets).tolist() == [6, 1, 21 - 3, 3, 3, 2, 3]  # "." and "" keep what they have
    np.testing.assert_allclose(np.linalg.norm(found.values, axis=1), 1, atol=1e-6)
    state = plain.stack.modules[0](dict(plain.stack.tokenizer("wing", return_tensors="pt")))["token_embeddings"]
    wanted = state[0, 1].detach().numpy()
    np.testing.assert_allclose(found[1][0], wanted / np.linalg.norm(wanted), atol=1e-5)


def test_a_text_does_not_care_about_company(plain):
    tokens = plain.at("vall")
    together = tokens.encode(TEXTS)
    for i, text in enumerate(TEXTS):
        np.testing.assert_allclose(together[i], tokens.encode([text]).values, atol=1e-5)
    streamed = [vectors for _, vectors in tokens.stream(TEXTS)]
    assert np.array_equal(np.concatenate([x.values for x in streamed]), together.values)


def test_the_default_model_in_its_own_precision(encoder):
    texts = ["lift " * n for n in (1, 5, 30)] + ["The cat sat on the mat."]
    tokens = encoder.at("vall")
    together = tokens.encode(texts)
    for i, text in enumerate(texts):
        alone = tokens.encode([text]).values
        assert float((together[i] * alone).sum(axis=1).min()) > 1 - 1e-3


def test_every_size_has_a_space_of_its_own_but_the_number_of_vectors_does_not(exact):
    spaces = {name: exact.at(name).space for name in ("vall", "L3-vall", "vall-d64", "L3-vall-d64", "full")}
    assert len({space.fingerprint for space in spaces.values()}) == 5
    for name in ("v8", "v25%", "v8-b4"):
        exact.at(name).space.require(spaces["vall"])
    assert str(exact.at("v8-b4").size) == "v8-b4"
    assert exact.at("vall").at("v1-d64").space == exact.at("d64").space
    assert exact.at("vall").at(Size(depth=3)).space == spaces["L3-vall"]


def test_a_ladder_maps_tokens_as_it_maps_their_mean(exact):
    """The mean of the mapped tokens, markers included, is the vector of the text: a linear map keeps means."""
    if exact.ladder is None:
        pytest.skip("no ladder comes with the default model")
    small = exact.at("L3-vall")
    every = small._shapes.view  # what the dense vector is made of
    text = "the wing lifts"
    arrays, _ = small.late.arrays(small._tokens, [small._tokens.whole.encode(text)], role="document")
    from nestvec.encoders.backbone import forward_tokens

    _, states = forward_tokens(every.stack, arrays)
    mean = states[0].mean(axis=0) @ every.shaping.weight.T + every.shaping.bias
    np.testing.assert_allclose(mean / np.linalg.norm(mean), exact.at("L3").encode([text]).values[0], atol=1e-5)
    found = small.encode([text]).values
    wanted = states[0, 1:-1] @ every.shaping.weight.T + every.shaping.bias
    np.testing.assert_allclose(found, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize(("size", "said"), [("L0-vall", "vectors must be 1"), ("L9-v8", "depth"), ("vall-d99", "dim")])
def test_sizes_that_are_not_there(plain, size, said):
    with pytest.raises(InputError, match=said):
        plain.at(size)


def test_one_vector_encoders_do_not_give_many(plain):
    from nestvec.encoders import MultiVectorEncoder

    with pytest.raises(InputError, match=r"at\('v8'\)"):
        plain.encode(["a"], size="v8")
    with pytest.raises(InputError, match=r"at\('vall'\)"):
        MultiVectorEncoder.load(plain.folder)
    with pytest.raises(InputError, match="depth must be 1"):
        plain.at("vall").at("L0-vall")
    with pytest.raises(InputError, match="batch_tokens must be"):
        MultiVectorEncoder.load(plain.folder, batch_tokens=0)
    with pytest.raises(InputError, match="select head"):
        plain.at("vall").scores(["a"])


def test_load_is_for_one_vector_and_load_multi_for_several(plain, make_late):
    from nestvec.encoders import load, load_multi

    with pytest.raises(InputError, match="load_multi"):
        load(make_late(form="pylate"))
    with pytest.raises(InputError, match="load_multi"):
        load(plain.folder, size="v8")
    made = load_multi(plain.folder, precision="float32", size="L1-d16", ladder=None)
    assert str(made.size) == "L1-vall-d16"
    made.space.require(plain.at("L1-vall-d16").space)
    for size in ("v1", "L0-vall"):
        with pytest.raises(InputError, match="one layer or more"):
            load_multi(plain.folder, size=size)


def test_a_collection_keeps_several_vectors_of_a_plain_model(plain, tmp_path):
    from nestvec import Collection

    with Collection.create(tmp_path / "c", encoder=plain, size="v8") as made:
        made.add(["a cat sat", "a dog ran"])
        assert made.search("a dog ran", 1)[0].text == "a dog ran"
        assert made.settings.several.vectors == 8


def test_a_collection_reads_each_text_once_and_keeps_the_same_vectors(plain, tmp_path, monkeypatch):
    from nestvec import Collection
    from nestvec.encoders import backbone

    texts = [text or "a" for text in TEXTS]
    single, several = plain.encode(texts).values, plain.at("vall").encode(texts)
    read = []
    features = backbone._features

    def counting(stack, arrays, *, prompt_length):
        read.append(len(arrays["input_ids"]))
        return features(stack, arrays, prompt_length=prompt_length)

    monkeypatch.setattr(backbone, "_features", counting)
    with Collection.create(tmp_path / "c", encoder=plain, size="vall-b16") as made:
        read.clear()  # a model is asked once how wide its tokens are
        made.add([Record(f"r{i}", text) for i, text in enumerate(texts)])
        ids = sorted(f"r{i}" for i in range(len(texts)))
        assert sum(read) == len(texts)
        np.testing.assert_allclose(made.vectors(ids).values, single, atol=1e-5)
        assert made.info()["several"]["kept"] == len(several.values)
        read.clear()
        assert made.search_many(["a cat", "wing"], 1)
        assert sum(read) == 2
        read.clear()
        made.resize("L1-v2-d16")
        assert sum(read) == len(texts) + 1  # the model at that size is asked how wide its tokens are


def test_the_tally_of_cut_texts_is_that_of_the_text_encoder(make_model):
    from nestvec.encoders import TruncationWarning, load

    one = load(make_model(pooling="mean"), precision="float32")
    with pytest.warns(TruncationWarning):
        one.at("vall").encode(["a cat " * 30])
    assert one.truncated == 1


# ---------------------------------------------------------------- tokens by name


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_every_vector_has_its_token_in_the_same_order(make_late, name):
    from nestvec.encoders import load_multi

    encoder = load_multi(make_late(**CHECKPOINTS[name]), precision="float32")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # texts are longer than the window, on purpose
        found, asked = encoder.encode(TEXTS), encoder.encode_query(QUERIES)
    for texts, vectors, tokens in (
        (TEXTS, found, encoder.tokens_of(TEXTS)), (QUERIES, asked, encoder.tokens_of_query(QUERIES)),
    ):  # fmt: skip
        assert [len(some) for some in tokens] == np.diff(vectors.offsets).tolist()
        for text, some in zip(texts, tokens, strict=True):
            inside = [token for token in some if token.in_text]
            assert all(text[token.start : token.end] == token.text for token in inside)
            assert [token.start for token in inside] == sorted(token.start for token in inside)
            assert {token.word for token in inside} <= set(text.split())
    filled = [token.text for token in encoder.tokens_of_query(["wing"])[0] if not token.in_text]
    expanded = encoder.late.augmentation is not None
    assert ("[MASK]" in filled) is expanded
    assert ("[Q]" in filled) is name.startswith("PyLate")
    assert ("query" in filled) is not name.startswith("PyLate")


def test_pieces_know_their_word_and_records_their_title(plain):
    tokens = plain.at("vall")
    (found,) = tokens.tokens_of([Record("r", "the cats sat.", title="Wings")])
    assert [(token.text, token.word, token.word_start) for token in found] == [
        ("Wing", "Wings", 0), ("s", "Wings", 0), ("the", "the", 6), ("cat", "cats", 10), ("s", "cats", 10),
        ("sat", "sat", 15),
    ]  # fmt: skip
    (asked,) = tokens.tokens_of_query(["a \ud800 cat"])  # a lone surrogate is one character, read as another
    assert [token.text for token in asked] == ["a", "\ud800", "cat"]
    (told,) = tokens.tokens_of(["cat"], instruction="a wing ")
    assert [(token.text, token.in_text) for token in told] == [("a", False), ("wing", False), ("cat", True)]


def test_tokens_that_begin_with_a_space_are_told_without_it():
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from nestvec.encoders.token_texts import token_texts

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=261, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(["the cat the cat"], trainer)
    whole = "q: the cats é"
    found = tokenizer.encode(whole)
    made = token_texts(tokenizer, found, np.array(found.ids), np.ones(len(found.ids), np.bool_), whole=whole, prompt=3)
    words = dict.fromkeys((token.word, token.word_start) for token in made if token.in_text)
    assert list(words) == [("the", 0), ("cats", 4), ("é", 9)]
    assert all(whole[3:][token.start : token.end] == token.text for token in made if token.in_text)


def test_image_patches_and_poolings_are_refused(make_late):
    from nestvec.encoders import load_multi

    folder = make_late()
    path = next(path for path in folder.rglob("config.json") if "keep_only_token_ids" in path.read_text())
    path.write_text(json.dumps({**json.loads(path.read_text()), "keep_only_token_ids": [3]}))
    with pytest.raises(InputError, match="image patches"):
        load_multi(folder)
    rows = json.loads((folder / "modules.json").read_text())
    pooled = {
        "idx": len(rows), "name": str(len(rows)), "path": "9_Pool",
        "type": "sentence_transformers.multi_vector_encoder.modules.HierarchicalTokenPooling",
    }  # fmt: skip
    (folder / "modules.json").write_text(json.dumps([*rows, pooled]))
    (folder / "9_Pool").mkdir()
    (folder / "9_Pool" / "config.json").write_text(json.dumps({"pool_factor": 2}))
    with pytest.raises(InputError, match="HierarchicalTokenPooling"):
        load_multi(folder)


def test_queries_cannot_be_augmented_before_the_text(plain):
    from dataclasses import replace

    from nestvec.encoders.late import check_padding

    tokens = plain.at("vall")._tokens
    late = Late(("", ""), (8, 8), ((), ()), Augmentation(4, 8))
    assert check_padding(tokens, late) is late
    with pytest.raises(InputError, match="pad on the right"):
        check_padding(replace(tokens, pad_left=True), late)


def test_an_unknown_word_is_a_word(plain):
    tokenizer = plain.stack.tokenizer
    assert tokenizer.unk_token_id not in special_ids(tokenizer) | punctuation_ids(tokenizer)
    assert len(plain.at("vall").encode(["zebra zebra"]).values) == 2
