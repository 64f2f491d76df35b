"""A model small enough to be made on the spot, and what every test of the command line needs."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nestvec.apps.cli import app

NEEDS = ("torch", "sentence_transformers")
WORDS = (
    "the a of and to in cat dog sat on mat moon sun star rises sets tide pulls water sea ship sails home bread oven "
    "bake flour yeast recipe index search vector space time date parse string compress bytes loss"
)


def pytest_collection_modifyitems(items):
    """Tests that use the model are marked, and skipped where it cannot be made."""
    for item in items:
        if "model" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.text)


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A folder with a random BERT of one layer and 32 dimensions."""
    for name in NEEDS:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    folder = tmp_path_factory.mktemp("model")
    code = f"""
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.models import Pooling, Transformer
from transformers import BertConfig, BertModel, BertTokenizerFast
torch.manual_seed(0)
marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
letters = [c for c in "abcdefghijklmnopqrstuvwxyz0123456789.,:"]
vocabulary = marks + sorted(set({WORDS!r}.split()) | set(letters)) + ["##" + c for c in letters]
plain = {str(folder)!r} + "/plain"
import pathlib; pathlib.Path(plain).mkdir()
pathlib.Path(plain, "vocab.txt").write_text("\\n".join(vocabulary))
config = BertConfig(vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
                    intermediate_size=64, max_position_embeddings=64)
BertModel(config).save_pretrained(plain)
BertTokenizerFast(plain + "/vocab.txt", model_max_length=64).save_pretrained(plain)
transformer = Transformer(plain, max_seq_length=64)
SentenceTransformer(modules=[transformer, Pooling(32, "mean")], device="cpu").save({str(folder / "made")!r})
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "made"


@pytest.fixture(autouse=True)
def _plain_surroundings(monkeypatch, tmp_path):
    """No settings of whoever runs the tests; an empty folder to be in."""
    for name in os.environ:
        if name.startswith("NESTVEC_") and name not in ("NESTVEC_DATA", "NESTVEC_CHECK_SHAPES"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("COLUMNS", "80")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.fixture
def nestvec():
    """Runs the program in this process: ``nestvec("info", path)`` gives code, output and error output."""

    def run(*args, input=None, expect=0):  # noqa: A002  # as subprocess calls it
        done = CliRunner().invoke(app, [str(arg) for arg in args], input=input)
        assert done.exit_code == expect, (done.exit_code, done.stdout, done.stderr, done.exception)
        return done

    return run


@pytest.fixture
def process():
    """Runs the program as a process of its own."""

    def run(*args, **more):
        env = {k: v for k, v in os.environ.items() if k != "NESTVEC_CHECK_SHAPES"}
        command = [sys.executable, "-m", "nestvec", *(str(arg) for arg in args)]
        return subprocess.run(command, capture_output=True, timeout=120, check=False, env=env, **more)

    return run


@pytest.fixture
def notes():
    """Three files to index."""
    folder = Path("notes")
    folder.mkdir()
    (folder / "moon.md").write_text("# The moon\n\nThe moon pulls the water of the sea.\n")
    (folder / "bread.txt").write_text("The bread rises in the oven.")
    (folder / "ship.txt").write_text("A ship sails home on the tide.")
    (folder / "x.bin").write_bytes(b"\x00\x01")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A collection with vectors of its own making: for everything that needs no model."""
    import numpy as np

    from nestvec.core import Record, Space, Vectors
    from nestvec.search.collection import Collection

    folder = tmp_path_factory.mktemp("made") / "c"
    space = Space(encoder="toy", weights="0", pooling="mean", dim=4)
    texts = {"moon": "The moon pulls the sea.", "bread": "Bread rises.", "ship": "A ship \x1b[31msails\x07 home."}
    records = [Record(i, t, {"n": n, "tag": ["x"]}, title=i.title()) for n, (i, t) in enumerate(texts.items())]
    with Collection.create(folder, encoder=None, space=space) as collection:
        collection.add(records, vectors=Vectors(np.eye(3, 4, dtype=np.float32), space))
    return folder


@pytest.fixture
def own(made, tmp_path):
    """A copy of it, to change."""
    import shutil

    return Path(shutil.copytree(made, tmp_path / "own"))
