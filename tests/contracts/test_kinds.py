"""What every kind of task promises, over the whole catalogue."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation import KINDS, TASKS, Outcome, Task, TfIdf
from nestvec.evaluation.kind import Kind
from nestvec.evaluation.system import Model
from tests.evaluation.conftest import Letters, own_data

pytest.importorskip("sklearn")

NAMES = sorted(KINDS)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return own_data(tmp_path_factory.mktemp("own"))


@pytest.fixture(scope="module")
def tasks(paths):
    found = {}
    for name in NAMES:
        kind = KINDS[name].read(paths[name.partition("@")[0]])
        if name == "clustering@1":
            kind = dataclasses.replace(kind, size=50)  # quicker
        found[name] = kind
    return found


@pytest.fixture(scope="module")
def model():
    return Model(Letters(), label="letters")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_a_kind_and_says_what_it_is(tasks, name):
    kind = tasks[name]
    assert isinstance(kind, Kind)
    assert kind.id == name
    assert len(kind) > 0
    assert kind.metric
    assert kind.trivial_name


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_is_the_statistic_of_its_items(tasks, model, name):
    outcome = tasks[name].measure(model)
    assert isinstance(outcome, Outcome)
    assert len(outcome.items) == len(tasks[name]) == len(set(outcome.items))
    if outcome.statistic == "mean":
        assert outcome.score == pytest.approx(outcome.values.mean(), abs=1e-12)
    else:
        assert outcome.score == pytest.approx(outcome.of(outcome.columns["predicted"], outcome.columns["truth"]))
    assert outcome.interval().low <= outcome.score <= outcome.interval().high


@pytest.mark.parametrize("name", NAMES)
def test_measuring_twice_gives_the_same(tasks, model, name):
    a, b = tasks[name].measure(model), tasks[name].measure(model)
    assert a.scores == b.scores
    assert all((a.columns[c] == b.columns[c]).all() for c in a.columns)


@pytest.mark.parametrize("name", NAMES)
def test_the_trivial_baseline_is_of_the_same_items(tasks, model, name):
    outcome, trivial = tasks[name].measure(model), tasks[name].trivial()
    assert trivial.items == outcome.items
    assert (trivial.main, trivial.statistic) == (outcome.main, outcome.statistic)
    assert trivial.scores == tasks[name].trivial().scores


@pytest.mark.parametrize("name", NAMES)
def test_a_baseline_without_learning_can_be_measured(tasks, name):
    assert isinstance(TfIdf(), tasks[name].needs)
    assert np.isfinite(list(tasks[name].measure(TfIdf()).scores.values())).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_fingerprint_is_of_the_data(paths, tasks, name, tmp_path):
    path = paths[name.partition("@")[0]]
    again = KINDS[name].read(path)
    assert again.fingerprint == KINDS[name].read(path).fingerprint
    other = own_data(tmp_path)[name.partition("@")[0]]
    changed = other if other.is_file() else other / ("corpus.jsonl" if "retrieval" in name else "test.jsonl")
    changed.write_text(changed.read_text().replace("dog", "dug"), encoding="utf-8")
    assert KINDS[name].read(other).fingerprint != again.fingerprint


@pytest.mark.parametrize("name", NAMES)
def test_a_path_without_data_is_an_error_that_names_it(name, tmp_path):
    task = Task("mine", name, str(tmp_path / "nothing.jsonl"))
    with pytest.raises(InputError, match=r"mine: .*nothing"):
        task.load()


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_of_the_catalogue_can_be_read(data_dir: Path, name):
    task = TASKS[name]
    if name == "scifact_reranking":
        pytest.skip("its candidates take BM25 over scifact; tests/evaluation/test_kinds.py makes some of a small set")
    kind = task.load(data_dir)
    assert len(kind) >= 10
    assert task.licence
    assert task.citation
