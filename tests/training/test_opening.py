"""The instruction of a model in training: nestvec.training.opening."""

import json
import shutil

import numpy as np
import pytest

from tests.training.conftest import GLUE

pytest.importorskip("torch")

from nestvec.encoders import backbone, load
from nestvec.encoders.tokens import Tokens
from nestvec.training.corpus import Corpus
from nestvec.training.fit import Plan, fit
from nestvec.training.opening import Opening
from nestvec.training.sampling import windows
from nestvec.training.starting import special_of
from nestvec.training.teacher import Teacher, to_device

PROMPT = f"{GLUE[0]} {GLUE[1]}"


@pytest.fixture(params=[True, False], ids=["pooled", "left out"])
def prompted(model_folder, tmp_path, request):
    """The model with an instruction for documents, which pooling takes or leaves."""
    folder = tmp_path / "prompted"
    shutil.copytree(model_folder, folder)
    said = json.loads((folder / "config_sentence_transformers.json").read_text())
    said["prompts"] = {"document": f"{PROMPT} ", "query": ""}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(said))
    pooling = next(folder.glob("*Pooling*/config.json"))
    pooling.write_text(json.dumps({**json.loads(pooling.read_text()), "include_prompt": request.param}))
    return folder


def test_a_teacher_gives_the_vectors_of_documents(prompted, texts):
    stack = backbone.open_stack(prompted, device="cpu")
    opening = Opening.of(stack)
    assert (len(opening), opening.at, opening.pooled) == (2, 1, not stack.skips_prompt)
    teacher = Teacher.of(stack.modules, device="cpu", narrow=False, opening=opening)
    tokens = Tokens.of(stack.tokenizer)
    corpus = Corpus.of([("", text) for _, text in texts[:12]], tokenizer=tokens.whole)
    rows = windows(corpus, special_of(tokens, stack.tokenizer), width=22, rows=np.arange(12))
    found = teacher.vectors(*to_device(rows, "cpu")).numpy()
    states, same = teacher.states(*to_device(rows, "cpu"))
    encoder = load(prompted, precision="float32", ladder=None)
    expected = encoder.encode([text for _, text in texts[:12]]).values
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(same.numpy(), expected, atol=1e-5)
    assert np.abs(encoder.encode([text for _, text in texts[:12]], instruction="").values - expected).max() > 0.01
    pooled = teacher.pool(states[2], to_device(rows, "cpu")[1]).numpy()
    np.testing.assert_allclose(pooled, encoder.pooled([text for _, text in texts[:12]], depth=2), atol=1e-4)


def test_a_ladder_is_fitted_to_documents(prompted, texts):
    fitted = fit(prompted, texts, plan=Plan(depths=(1,), dims=(8,), table_ranks=(4,), steps=0, held_out=40))
    assert [(rung.depth, rung.dims) for rung in fitted.ladder.rungs] == [(0, (32,)), (1, (32, 8))]


def test_a_model_without_an_instruction_is_left_as_it_is(model_folder):
    assert Opening.of(backbone.open_stack(model_folder, device="cpu")) == Opening()
