"""``nestvec evaluate``, ``compare`` and ``tasks``: nestvec.apps.cli.evaluating."""

import json
import shutil

import pytest
from typer.testing import CliRunner

from nestvec.apps.cli import app
from tests.evaluation.conftest import own_data


@pytest.fixture
def own(tmp_path):
    return own_data(tmp_path / "data")


@pytest.fixture
def run():
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


def test_a_model_is_measured_beside_baselines_and_results_are_kept(run, model, own, tmp_path):
    asked = ("evaluate", model, "--tasks", f"zero_shot={own['zero_shot']}", "--results", tmp_path / "kept")
    first = run(*asked)
    assert "accuracy, 12 texts" in first.stdout
    assert "TF-IDF" in first.stdout
    assert "words of the name" in first.stderr
    again = run(*asked)
    assert again.exit_code == first.exit_code
    assert again.stdout == first.stdout
    assert "words of the name" not in again.stderr


def test_a_quarter_of_the_data_is_a_task_of_its_own(run, model, own, tmp_path):
    asked = ("evaluate", model, "--tasks", f"zero_shot={own['zero_shot']}", "--results", tmp_path / "kept")
    run(*asked)
    done = run(*asked, "--downsample")
    assert "zero_shot-zero_downsampled" in done.stdout
    assert "down-sampled to 12 texts (seed 42); compare only with figures of the same" in done.stdout
    assert len(list((tmp_path / "kept").rglob("zero_shot-zero*.items.json"))) == 2 * 4


def test_everything_is_in_the_json(run, model, own, tmp_path):
    done = run("evaluate", model, "--tasks", f"retrieval={own['retrieval']}", "--results", tmp_path / "r", "--json")
    told = json.loads(done.stdout)
    assert {row["system"] for row in told["results"]} >= {"BM25", "TF-IDF", "random ranking"}
    assert all(row["low"] <= row["score"] <= row["high"] for row in told["results"])
    assert all(row["cpu_seconds"] >= 0 for row in told["results"])
    assert done.exit_code == (1 if any("trivial" in line for line in told["warnings"]) else 0)


def test_two_models_are_compared(run, model, own, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(model, other)
    tasks = f"zero_shot={own['zero_shot']},bitext={own['bitext']}"
    done = run("compare", model, other, "--tasks", tasks, "--results", tmp_path / "r", "--no-baselines")
    assert done.exit_code == 0, done.stderr
    assert done.stdout.count("not separable") == 2
    assert "rank 1-2, group a" in done.stdout
    assert "what it took  processor seconds of all threads" in done.stdout
    assert done.stdout.count("CPU-s") == 6
    assert " a point" in done.stdout
    assert "cannot give a p below 0.500" in done.stdout
    assert "12 items show true differences of accuracy from about" in done.stderr


def test_a_collection_is_measured_on_retrieval_only(run, model, own, tmp_path):
    assert run("index", own["retrieval"] / "corpus.jsonl", "--to", tmp_path / "c", "--model", model).exit_code == 0
    retrieval, sts = f"retrieval={own['retrieval']}", f"sts={own['sts']}"
    done = run("evaluate", tmp_path / "c", "--tasks", retrieval, "--results", tmp_path / "r", "--no-baselines")
    assert "nDCG@10, 6 queries" in done.stdout, done.stderr
    done = run("evaluate", tmp_path / "c", "--tasks", retrieval, "--results", tmp_path / "r", "--downsample")
    assert done.exit_code == 3
    assert "a down-sampled task takes models, got the collection 'c'" in done.stderr
    done = run("evaluate", tmp_path / "c", "--tasks", sts, "--results", tmp_path / "r")
    assert done.exit_code == 3
    assert "measure its model on the rest" in done.stderr


@pytest.mark.parametrize(
    ("tasks", "code", "says"),
    [
        ("scifcat", 3, "did you mean 'scifact'"),
        ("sts=gone.tsv", 3, "got neither"),
        ("", 2, "takes one name or more"),
    ],
)
def test_a_task_that_is_not_there_is_a_sentence(run, tmp_path, tasks, code, says):
    done = run("evaluate", "default", "--tasks", tasks, "--results", tmp_path / "r")
    assert done.exit_code == code
    assert says in done.stderr


def test_one_system_cannot_be_compared(run):
    done = run("compare", "default", "default")
    assert done.exit_code == 2
    assert "two or more different" in done.stderr


def test_tasks_are_listed_with_and_without_data(run, tmp_path, monkeypatch):
    monkeypatch.delenv("NESTVEC_DATA", raising=False)
    done = run("tasks")
    assert done.exit_code == 0
    assert "no data" in done.stdout
    (tmp_path / "stsb").mkdir()
    (tmp_path / "stsb" / "en_test.jsonl").write_text("{}\n")
    told = json.loads(run("tasks", "--data", tmp_path, "--json").stdout)
    assert [row["name"] for row in told["tasks"] if row["here"]] == ["stsb"]


def test_frozen_few_shot_and_tuned_side_by_side(run, model, own):
    """nestvec.apps.cli.staging"""
    task = f"classification={own['classification']}"
    done = run("feet", model, "--task", task, "--tuned", model, "--shots", "1,2")
    assert done.exit_code == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()[1:]] == ["1-shot", "2-shot", "frozen", "fine-tuned"]
    assert "+0.0000 [+0.0000, +0.0000] (+0.0%) to frozen; not separable" in done.stdout
    told = json.loads(run("feet", model, "--task", task, "--shots", "1", "--json").stdout)
    assert [row["protocol"] for row in told["rows"]] == ["1-shot", "frozen"]
    assert "must be a classification" in run("feet", model, "--task", f"sts={own['sts']}").stderr
    assert run("feet", model, "--task", task, "--shots", "x").exit_code == 2
    assert "different numbers" in run("feet", model, "--task", task, "--shots", "0").stderr
