"""A model of three small random layers, and texts about a few subjects."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

SUBJECTS = {
    "wing": ["wing", "lift", "drag", "air", "flow", "stall"],
    "cat": ["cat", "sat", "mat", "fur", "purr", "paw"],
    "bank": ["bank", "loan", "rate", "card", "money", "fee"],
    "code": ["code", "bug", "loop", "print", "class", "test"],
}
GLUE = ["the", "a", "of", "on", "in", "with", "and", "near"]


@pytest.fixture(scope="session")
def texts():
    """200 texts of ``(title, text)``; a third have a title."""
    rng = np.random.default_rng(0)
    found = []
    for i in range(200):
        words = SUBJECTS[list(SUBJECTS)[i % 4]]
        body = " ".join(rng.choice([*words, *words, *GLUE], size=rng.integers(5, 18)))
        found.append((" ".join(rng.choice(words, 2)) if i % 3 == 0 else "", body))
    return found


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """A saved sentence-transformers model: three layers of BERT, mean pooling, unit vectors of 32 dimensions."""
    torch = pytest.importorskip("torch")
    pytest.importorskip("sentence_transformers")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the modules have another home since release 6
        from sentence_transformers import SentenceTransformer, models
    from transformers import BertConfig, BertModel, BertTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("model")
    bare = folder / "bare"
    bare.mkdir()
    words = [word for group in (*SUBJECTS.values(), GLUE) for word in group]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused0]", *words]
    (bare / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=3, num_attention_heads=4,
        intermediate_size=64, max_position_embeddings=24, initializer_range=0.2,
    )  # fmt: skip
    BertModel(config).save_pretrained(bare)
    BertTokenizerFast(vocab=str(bare / "vocab.txt"), model_max_length=24).save_pretrained(bare)
    transformer = models.Transformer(str(bare))
    transformer.max_seq_length = 24
    model = SentenceTransformer(
        modules=[transformer, models.Pooling(32, pooling_mode="mean"), models.Normalize()], device="cpu"
    )
    model.save(str(folder / "saved"), create_model_card=False)
    return folder / "saved"


@pytest.fixture(scope="session")
def stack(model_folder):
    from nestvec.encoders import backbone

    return backbone.open_stack(model_folder, device="cpu")


@pytest.fixture(scope="session")
def teacher(stack):
    from nestvec.training.teacher import Teacher

    return Teacher.of(stack.modules, device="cpu", narrow=False)


@pytest.fixture(scope="session")
def special(stack):
    from nestvec.encoders.tokens import Tokens
    from nestvec.training.starting import special_of

    return special_of(Tokens.of(stack.tokenizer), stack.tokenizer)


@pytest.fixture(scope="session")
def corpus(stack, texts):
    from nestvec.encoders.tokens import Tokens
    from nestvec.training.corpus import Corpus

    return Corpus.of(texts, tokenizer=Tokens.of(stack.tokenizer).whole)
