"""Encoders and collections as models of MTEB: its own conformance test, and its scores beside ours."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nestvec.core.errors import MissingExtraError

ROOT = Path(__file__).parents[2]
HERE = importlib.util.find_spec("mteb") is not None


def python(code):
    """In an interpreter of its own: MTEB changes logging, warnings and seeds when it is imported."""
    env = {name: value for name, value in os.environ.items() if name != "NESTVEC_CHECK_SHAPES"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT), env.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=600, check=False
    )
    assert run.returncode == 0, run.stderr[-3000:]
    return run.stdout


@pytest.mark.skipif(HERE, reason="mteb is installed")
def test_without_mteb_the_line_that_installs_it_is_named():
    pytest.importorskip("torch")
    with pytest.raises(MissingExtraError, match=r"pip install 'nestvec\[mteb\]'"):
        importlib.import_module("nestvec.apps.mteb")


@pytest.mark.peer
@pytest.mark.text
@pytest.mark.slow
@pytest.mark.skipif(not HERE, reason="mteb is not installed; pip install 'nestvec[mteb]'")
@pytest.mark.parametrize(("collections", "at_least"), [(False, 25), (True, 8)])
def test_mock_run_passes(collections, at_least):
    out = python(f"""
import mteb
from nestvec.apps.mteb import as_model
from nestvec.encoders import load
found = mteb.mock_run(as_model(load("default", size="L0"), collections={collections})).task_results
bad = [name for name, one in found.items() if type(one).__name__ == "TaskError"]
print(sum(type(one).__name__ == "TaskResult" for one in found.values()), bad)
""").splitlines()[-1]
    passed, _, bad = out.partition(" ")
    assert bad == "[]"
    assert int(passed) >= at_least


@pytest.mark.peer
@pytest.mark.text
@pytest.mark.slow
@pytest.mark.skipif(not HERE, reason="mteb is not installed; pip install 'nestvec[mteb]'")
def test_scores_on_local_copies_are_those_of_mteb(data_dir, monkeypatch):
    monkeypatch.setenv("NESTVEC_DATA", str(data_dir))
    out = python("""
from benchmarks.evaluate import run
print(run(quick=True).figures["max_difference"])
""").splitlines()[-1]
    assert float(out) <= 1e-4
