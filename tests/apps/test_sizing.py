"""``nestvec sizes``: what a model can be made to, from the command line (nestvec.apps.cli.sizing)."""

import json
from pathlib import Path

import numpy as np
import pytest

import nestvec.encoders
from nestvec.encoders.checkpoint import find
from nestvec.encoders.ladder import Ladder, Rung


@pytest.fixture
def ladder(model, tmp_path):
    """A token table for the model, with figures that somebody measured."""
    found = find(model)
    vocabulary = len(json.loads((model / "tokenizer.json").read_text())["model"]["vocab"])
    tensors = {
        "table.codes": np.ones((vocabulary, 4), np.int8),
        "table.scale": np.ones(vocabulary, np.float16),
        "table.projection": np.ones((4, 32), np.float16),
        "table.bias": np.zeros(32, np.float16),
    }
    figures = {"stsb": 0.7, "stsb.low": 0.65, "stsb.high": 0.75, "stsb.full": 0.82, "kept": 0.5, "stsb@8": 0.6}
    rung = Rung(0, (32, 8), "closed", figures)
    return Ladder(found.fingerprint, found.name, found.tokenizer, 32, (rung,), tensors).save(tmp_path / "ladder")


def test_every_size_has_a_line_and_slices_are_told_from_rungs(nestvec, model, ladder):
    done = nestvec("sizes", model, "--ladder", ladder)
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["size", "made", "weights", "bytes", "b32", "bytes", "b8", "bytes", "b1", "quality"]
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["full", "model"], ["d8", "slice"], ["L0", "closed"], ["L0-d8", "closed"]
    ]  # fmt: skip
    assert lines[3].endswith("stsb 0.700 (0.650 to 0.750) of 0.820, kept 0.500")
    assert lines[4].endswith("stsb 0.600")
    assert "A slice was never made to be compared" in done.stdout
    assert f"--ladder {ladder} --speed" in " ".join(done.stdout.split())
    plain = nestvec("sizes", model, "--ladder", "none").stdout
    assert [line.split()[:2] for line in plain.splitlines()[1:3]] == [["full", "model"], ["L0", "slice"]]
    assert "quality" not in plain.splitlines()[0]
    assert len(nestvec("sizes", model, "--quiet").stdout.splitlines()) == 3


def test_dimensions_that_a_rung_was_not_made_for_are_told(nestvec, model, ladder):
    done = nestvec("sizes", model, "--ladder", ladder, "--size", "L0-d8", "--size", "L0-d4")
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:3]] == [["L0-d8", "closed"], ["L0-d4", "cut"]]
    assert "nothing was fitted for so few" in " ".join(done.stdout.split())


def test_the_ladder_that_comes_along_says_what_was_trained():
    """``benchmarks._fit_ladder`` trains depths 1 and 3 at fewer dimensions as well."""
    (folder,) = (Path(nestvec.encoders.__file__).parent / "ladders").iterdir()
    rungs = Ladder.load(folder).rungs
    assert {rung.depth: rung.dims for rung in rungs} == {
        0: (384,), 1: (384, 128, 64), 2: (384,), 3: (384, 128, 64)
    }  # fmt: skip


def test_json_and_speed(nestvec, model, ladder):
    said = json.loads(nestvec("sizes", model, "--ladder", ladder, "--speed", "--json").stdout)
    assert said["ladder"] == {"rungs": [0], "bytes": Ladder.load(ladder).nbytes}
    assert said["dim"] == 32
    speeds = {row["size"]: row["speed"] for row in said["sizes"]}
    assert speeds["full"] == speeds["d8"] == 1
    assert speeds["L0"] == speeds["L0-d8"] > 0
    assert said["sizes"][3]["vector_bytes_at"]["1"] == 1
    shown = nestvec("sizes", model, "--speed", "--size", "L0", "--size", "d4-b8").stdout.splitlines()
    assert "speed" in shown[0]
    assert [line.split()[0] for line in shown[1:3]] == ["L0", "d4-b8"]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (["--size", "L9"], "depth must be 0 to 1"),
        (["--size", "d500"], "dim must be 1 to 32"),
        (["--size", "small"], "a size must look like"),
        (["--ladder", "nowhere"], "ladder.json"),
    ],
)
def test_what_the_model_has_not_is_said(nestvec, model, wrong, says):
    assert says in nestvec("sizes", model, *wrong, expect=3).stderr


def test_what_is_no_text_model_is_said(nestvec, tmp_path):
    assert "a model folder, or a hub id" in nestvec("sizes", tmp_path / "none", expect=3).stderr
    assert "modules.json or a config.json" in nestvec("sizes", tmp_path, expect=3).stderr


def test_a_ladder_of_another_model_is_refused(nestvec, model, ladder):
    said = json.loads((ladder / "ladder.json").read_text())
    said["base"] |= {"name": "other", "fingerprint": "0" * 32}
    (ladder / "ladder.json").write_text(json.dumps(said))
    assert "made for, other (00000000)" in nestvec("sizes", model, "--ladder", ladder, expect=3).stderr
