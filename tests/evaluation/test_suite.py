"""Suites, results on disk, and comparisons."""

import json

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation import Bm25, Model, Outcome, Result, Shelf, Suite, Task, TfIdf, compare, difference, warnings
from nestvec.evaluation.comparison import figures, sentences
from nestvec.evaluation.cost import Cost
from nestvec.evaluation.results import items_path
from nestvec.evaluation.suite import Trivial
from tests.evaluation.conftest import Letters


@pytest.fixture
def tasks(own):
    return tuple(Task(name, f"{name}@1", str(own[name])) for name in ("retrieval", "sts", "pair_classification"))


@pytest.fixture
def quick(own):
    """Whose figures are means, so that their intervals take no time."""
    return tuple(Task(name, f"{name}@1", str(own[name])) for name in ("retrieval", "bitext", "zero_shot"))


def mean(values, items=None, main="accuracy"):
    values = np.asarray(values, np.float64)
    items = tuple(map(str, range(len(values)))) if items is None else items
    return Outcome(main, {main: float(values.mean())}, items, {main: values})


def result(system, outcome, *, task="t", baseline=False, trivial=False):
    made = Task(task, "sts@1", "x.jsonl")
    return Result(system, system, made, "accuracy", outcome, Cost(0.0), trivial=trivial, baseline=baseline)


def test_every_task_has_its_model_its_baselines_and_the_trivial_one(tasks, model):
    found = [(r.task.name, r.system, r.baseline, r.trivial) for r in Suite(tasks).run([model])]
    assert found[:5] == [
        ("retrieval", "letters", False, False),
        ("retrieval", "BM25", True, False),
        ("retrieval", "TF-IDF", True, False),
        ("retrieval", "random projection 384", True, False),
        ("retrieval", "random ranking", True, True),
    ]
    assert [row[1] for row in found[5:9]] == ["letters", "TF-IDF", "random projection 384", "word overlap"]


def test_what_is_kept_is_not_measured_again(quick, model, tmp_path):
    suite = Suite(quick, shelf=Shelf(tmp_path))
    asked = []
    first = list(suite.run([model], progress=lambda task, system: asked.append((task, system))))
    assert len(asked) == len(first)
    again = list(suite.run([model], progress=lambda *_: pytest.fail("measured again")))
    assert all(r.kept for r in again)
    for a, b in zip(first, again, strict=True):
        assert a.outcome.scores == b.outcome.scores
        assert (a.outcome.items, a.outcome.notes) == (b.outcome.items, b.outcome.notes)
        assert all((a.outcome.columns[c] == b.outcome.columns[c]).all() for c in a.outcome.columns)
    fresh = list(Suite(quick, shelf=Shelf(tmp_path, reads=False)).run([model]))
    assert not any(r.kept for r in fresh)


def test_a_stopped_run_goes_on(quick, model, tmp_path):
    suite = Suite(quick, shelf=Shelf(tmp_path))
    run = suite.run([model])
    for _ in range(4):
        next(run)
    run.close()
    assert [r.kept for r in suite.run([model])] == [True] * 4 + [False] * 9


@pytest.mark.parametrize("what", ["figures", "items", "cut", "gone"])
def test_a_damaged_result_is_measured_again(tasks, model, tmp_path, what):
    suite = Suite(tasks[:1], shelf=Shelf(tmp_path), baselines=(), trivial=False)
    right = next(iter(suite.run([model]))).outcome.scores
    path = suite.shelf.place(model.name, model.fingerprint, "retrieval")
    if what == "figures":
        path.write_text(path.read_text().replace('"ndcg_at_10": ', '"ndcg_at_10": 9'))
    elif what == "items":
        items_path(path).write_text(items_path(path).read_text().replace("0", "1"))
    elif what == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        items_path(path).unlink()
    again = next(iter(suite.run([model])))
    assert not again.kept
    assert again.outcome.scores == right


def test_changed_data_or_another_model_has_another_key(quick, own, model, tmp_path):
    suite = Suite(quick[1:2], shelf=Shelf(tmp_path), baselines=(), trivial=False)
    list(suite.run([model]))
    assert not next(iter(suite.run([Model(Letters(dim=32), label="letters")]))).kept
    own["bitext"].write_text(own["bitext"].read_text().replace("cato", "gato"))
    assert not next(iter(suite.run([model]))).kept


def test_files_are_laid_out_as_mteb_does(tasks, model, tmp_path):
    suite = Suite(tasks[:1], shelf=Shelf(tmp_path), baselines=(), trivial=False)
    kind = suite.load()["retrieval"]
    list(suite.run([Model(Letters(), label="owner/letters")]))
    folder = tmp_path / "results" / "owner__letters" / model.fingerprint
    told = json.loads((folder / "retrieval.json").read_text())
    assert told["task_name"] == "retrieval"
    assert told["dataset_revision"] == kind.fingerprint
    entry = told["scores"]["test"][0]
    assert entry["main_score"] == entry["ndcg_at_10"]
    assert {"hf_subset", "languages", "recall_at_100", "ci95_low"} <= set(entry)
    assert json.loads((folder / "model_meta.json").read_text())["name"] == "owner/letters"
    assert not list(folder.glob(".*"))
    items = json.loads((folder / "retrieval.items.json").read_text())
    assert items["items"] == [f"q{i}" for i in range(6)]
    assert np.mean(items["columns"]["ndcg_at_10"]) == pytest.approx(entry["main_score"])


def test_a_name_cannot_leave_the_folder(tmp_path):
    for name in ("../up", "..", "/etc/x", "a\0b"):
        assert tmp_path in Shelf(tmp_path).place(name, name, "t").resolve().parents


def test_suites_are_checked_before_anything_is_measured(tasks, model):
    with pytest.raises(InputError, match="got none"):
        Suite(())
    with pytest.raises(InputError, match="'sts' twice"):
        Suite((tasks[1], tasks[1]))
    with pytest.raises(InputError, match="'letters' twice"):
        list(Suite(tasks).run([model, model]))
    with pytest.raises(InputError, match=r"sts needs a system that compares, which 'BM25' does not"):
        list(Suite(tasks[1:2], baselines=()).run([Bm25()]))


def test_a_clear_difference_is_separable_and_none_is_not():
    rng = np.random.default_rng(0)
    base = rng.random(200)
    better, same = base + 0.2 + 0.05 * rng.standard_normal(200), base + 0.05 * rng.standard_normal(200)
    found = compare([result("good", mean(better)), result("a", mean(base)), result("b", mean(same))])
    said = {(p.a, p.b): p.separable for p in found.pairs}
    assert said == {("good", "a"): True, ("good", "b"): True, ("a", "b"): False}
    ranks = {s.result.system: (s.low_rank, s.high_rank, s.groups) for s in found.standings["t"]}
    assert ranks == {"good": (1, 1, "a"), "a": (2, 3, "b"), "b": (2, 3, "b")}
    assert found.across is None


def test_p_values_are_corrected_over_pairs_and_tasks():
    rng = np.random.default_rng(1)
    results = [
        result(system, mean(rng.random(40) + shift), task=task)
        for task in ("t1", "t2", "t3")
        for system, shift in (("a", 0.0), ("b", 0.12), ("c", 0.1))
    ]
    found = compare(results)
    assert len(found.pairs) == 9
    assert all(pair.adjusted >= pair.found.p for pair in found.pairs)
    assert min(p.adjusted for p in found.pairs) == pytest.approx(min(1, 9 * min(p.found.p for p in found.pairs)))
    assert found.across.least == 0.25
    assert found.across.nemenyi.critical_difference > 0
    assert json.loads(json.dumps(found.to_json()))["across_tasks"]["friedman_p"] == found.across.friedman.p


def test_correlations_are_compared_pair_by_pair(monkeypatch):
    monkeypatch.setattr("nestvec.evaluation.differences._STATISTICS", 150)  # every call is type-checked here
    rng = np.random.default_rng(2)
    truth = rng.standard_normal(60)

    def sts(noise):
        predicted = truth + noise * rng.standard_normal(60)
        columns = {"predicted": predicted, "truth": truth}
        scores = {"cosine_spearman": Outcome("s", {"s": 0.0}, tuple(map(str, range(60))), columns, "spearman").of(
            predicted, truth)}  # fmt: skip
        return Outcome("cosine_spearman", scores, tuple(map(str, range(60))), columns, "spearman")

    good, bad, worse = sts(0.3), sts(2.0), sts(2.1)
    apart, alike = difference(good, bad), difference(bad, worse)
    assert apart.p < 0.01 < 0.05 < alike.p
    assert apart.interval.low > 0
    assert alike.interval.low < 0 < alike.interval.high
    assert difference(good, good).p == 1.0


def test_a_model_that_words_beat_is_warned_of():
    rng = np.random.default_rng(4)
    base = rng.random(100)
    rows = [
        result("model", mean(base)),
        result("words", mean(base + 0.3 + 0.01 * rng.standard_normal(100)), baseline=True),
        result("chance", mean(base + 0.01 * (-1.0) ** np.arange(100)), baseline=True, trivial=True),
        result("hopeless", mean(base - 0.4 + 0.01 * rng.standard_normal(100)), baseline=True),
    ]
    found = warnings(rows)
    assert [(w.baseline, w.wins, w.trivial) for w in found] == [("words", True, False), ("chance", False, True)]
    said = sentences(found)
    assert said[0].startswith("t: model is beaten by words (-0.")
    assert "cannot be told apart from chance, which is trivial" in said[1]


def test_results_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="same items"):
        difference(mean([1, 2, 3]), mean([1, 2, 3], items=("x", "y", "z")))
    with pytest.raises(InputError, match="'b' lacks 't2'"):
        compare([result(s, mean([1, 2]), task=t) for s, t in (("a", "t1"), ("b", "t1"), ("a", "t2"))])
    with pytest.raises(InputError, match="got none"):
        compare([])
    with pytest.raises(InputError, match="confidence"):
        compare([result("a", mean([1, 2]))], confidence=1.0)
    with pytest.raises(InputError, match="statistic must be one of"):
        Outcome("m", {"m": 1.0}, ("a",), {"m": np.ones(1)}, statistic="mode")
    with pytest.raises(InputError, match="columns"):
        Outcome("m", {"m": 1.0}, ("a",), {})
    with pytest.raises(ValueError, match="one number an item"):
        Outcome("m", {"m": 1.0}, ("a",), {"m": np.ones(2)})
    with pytest.raises(InputError, match="no value for each"):
        _ = Outcome("m", {"m": 1.0}, ("a",), {"predicted": np.ones(1), "truth": np.ones(1)}, "spearman").values


def test_a_figure_of_one_item_has_no_ends():
    told = figures(result("a", mean([0.5])))
    assert (told["score"], told["low"], told["high"]) == (0.5, None, None)
    assert Trivial("x").fingerprint == Trivial("y").fingerprint
    assert TfIdf().name
