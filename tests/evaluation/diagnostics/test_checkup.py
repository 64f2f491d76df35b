"""Diagnostics find what was planted, and say what they could not measure."""

import json

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError
from nestvec.evaluation.diagnostics import Figure, Materials, Subject, diagnose
from nestvec.evaluation.diagnostics.bias import norms
from nestvec.evaluation.diagnostics.classes import classes
from nestvec.evaluation.diagnostics.geometry import spectrum, spread
from nestvec.evaluation.diagnostics.index import codes_health, graph_health, order_health
from nestvec.evaluation.diagnostics.neighbourhood import duplicates, hubness
from nestvec.evaluation.diagnostics.paraphrases import encode_pairs, paraphrases, read_pairs
from nestvec.evaluation.diagnostics.robustness import overlap, replace_words, rewording, stability
from nestvec.evaluation.diagnostics.sampling import jackknife, wilson
from nestvec.metrics.spectrum import rankme
from nestvec.search import Collection


def ball(n=600, d=24, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)


def test_all_of_a_collection(collection, bag):
    pairs = encode_pairs([("harbour boat", "boat harbour"), ("oven bread", "bread oven")], bag)
    heard = []
    with Subject.from_collection(collection) as subject:
        labels = np.array([row["topic"] for row in subject.metadata(range(len(subject)))])
        report = diagnose(subject, Materials(pairs, labels, bag), progress=heard.append)
    names = [finding.name for finding in report.findings]
    assert names == [
        "spectrum",
        "spread",
        "hubness",
        "dimension",
        "duplicates",
        "length",
        "stability",
        "rewording",
        "edits",
        "paraphrases",
        "classes",
        "codes",
        "order",
    ]
    assert [name for name, _ in report.skipped] == ["graph"]
    assert "spectrum" in heard
    for finding in report.findings:
        assert all((finding.title, finding.basis, finding.usual, finding.meaning)), finding.name
        assert all(figure.interval is None or figure.interval[0] <= figure.interval[1] for figure in finding.figures)
    told = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert told["vectors"] == 400
    assert report["paraphrases"]["first"] == 1  # the same words in another order are the same vector here
    assert report["classes"]["nearest mean"] > 0.9
    assert diagnose_again(collection) == diagnose_again(collection)


def diagnose_again(collection):
    with Subject.from_collection(collection) as subject:
        return diagnose(subject, Materials(indexes=False)).to_json()


def test_what_is_missing_is_said_and_nothing_else_fails(bag):
    report = diagnose(Subject.from_array(ball()), Materials(indexes=False))
    assert {name for name, _ in report.skipped} == {"rewording", "paraphrases", "classes", "indexes"}
    other = Subject.from_array(ball(), texts=["a b c"] * 600)
    assert "24" in dict(diagnose(other, Materials(encoder=bag, indexes=False)).skipped)["rewording"]
    with pytest.raises(InputError, match="at least 20"):
        diagnose(Subject.from_array(ball(19)))


def test_a_collapsed_cloud_is_seen_and_a_ball_is_not():
    flat = ball(2000, 64) @ np.diag([1, 1] + [0.001] * 62).astype(np.float32)
    found = spectrum(Subject.from_array(flat))
    assert found["RankMe"] < 0.1 * 64
    assert "shorter vector" in found.advice
    assert spectrum(Subject.from_array(ball(2000, 64))).advice == ""
    leaning = spectrum(Subject.from_array(ball(2000, 64) + 3))
    assert "lean the same way" in leaning.advice
    assert "held down" in spectrum(Subject.from_array(ball(100, 64))).meaning
    assert "crowd" in spread(Subject.from_array(ball() + 3)).meaning


def test_a_sample_has_intervals_that_hold_the_truth(monkeypatch):
    monkeypatch.setattr("nestvec.evaluation.diagnostics.geometry._ROWS", 2000)
    x = ball(20_000, 16) * np.linspace(0.2, 2, 16).astype(np.float32)
    found = spectrum(Subject.from_array(x))
    assert "2,000 of 20,000" in found.basis
    figure = next(f for f in found.figures if f.name == "RankMe")
    low, high = figure.interval
    assert low < rankme(x) < high
    assert high - low < 0.5
    assert spread(Subject.from_array(x)).figures[0].interval is not None


def test_hubs_and_duplicates_that_were_planted():
    x = ball(600, 200) + 0.5
    x[7] = 1  # in the middle: closest to very many
    found, dimension = hubness(Subject.from_array(x))
    hub = next(f for f in found.figures if f.name == "largest hub")
    assert "row 7 (" in hub.note
    assert found.advice
    assert dimension["intrinsic dimension"] > 40
    assert dimension.advice
    x[100:110], x[200] = x[0], x[1] * 0.5
    assert duplicates(Subject.from_array(x))["same vector"] == 10
    assert duplicates(Subject.from_array(x))["near-duplicates"] == pytest.approx(13 / 600)
    clean = duplicates(Subject.from_array(ball()))
    assert (clean["same vector"], clean.advice) == (0, "")


def test_length_that_decides_is_seen():
    x = ball(500, 16)
    lengths = np.random.default_rng(1).integers(1, 500, 500)
    x[:, 0] = np.log(lengths)  # all lean the way of long texts
    found = norms(Subject.from_array(x, texts=["a" * int(n) for n in lengths]))
    assert found["score and text length"] > 0.3
    assert "Long texts" in found.meaning
    assert "inner product" in norms(Subject.from_array(ball() * np.linspace(1, 2, 600)[:, None])).meaning
    assert norms(Subject.from_array(np.vstack([ball(), np.zeros((2, 24))])))["zero vectors"] == 2
    even = norms(Subject.from_array(ball() / np.linalg.norm(ball(), axis=1, keepdims=True), texts=["ab"] * 600))
    assert even.advice == ""


def test_more_noise_keeps_less():
    found = stability(Subject.from_array(ball(1000, 48)))
    kept = [figure.value for figure in found.figures]
    assert 1 > kept[0] > kept[1] > kept[2] > 0
    assert overlap(np.array([[1, 2], [3, -1]]), np.array([[2, 9], [3, -1]])).tolist() == [0.5, 1]


def test_words_are_replaced_by_words_of_the_texts():
    texts = ["harbour boat sail", "12 a", "oven " * 20]
    changed = replace_words(texts, share=0.1, seed=0)
    assert [sum(a != b for a, b in zip(t.split(), c.split(), strict=True)) <= n
            for t, c, n in zip(texts, changed, (1, 0, 2), strict=True)] == [True] * 3  # fmt: skip
    assert changed[1] == texts[1]
    assert replace_words(texts, share=0.1, seed=0) == changed
    assert replace_words(["boat"], share=0.1, seed=0) == ["boat"]


def test_rewording_moves_bags_of_words_a_little(collection, bag):
    with Subject.from_collection(collection) as subject:
        found = rewording(subject, bag)
    assert 0.7 < found["cosine to before"] < 1
    assert 0 < found["neighbours kept"] < 1


def test_pairs_are_read_and_refused(tmp_path):
    path = tmp_path / "pairs.jsonl"
    path.write_text(
        '{"s1": "a", "s2": "b", "score": 4.5}\n\n{"s1": "c", "s2": "d", "score": 1}\n{"s1": "e", "s2": "f"}\n'
    )
    assert read_pairs(path) == [("a", "b"), ("e", "f")]
    table = tmp_path / "pairs.tsv"
    table.write_text('a "quoted\tb\nc\td\t2\n')
    assert read_pairs(table) == [('a "quoted', "b")]
    table.write_text("a\tb\t1\n")
    with pytest.raises(InputError, match="got none"):
        read_pairs(table)
    table.write_text("alone\n")
    with pytest.raises(InputError, match="line 1"):
        read_pairs(table)
    with pytest.raises(ShapeError, match="d=24"):
        paraphrases(Subject.from_array(ball()), ball(3, 8), ball(3, 8))


def test_labels_that_say_nothing_are_not_praised():
    labels = np.random.default_rng(0).integers(0, 8, 600)
    found = classes(Subject.from_array(ball()), labels)
    assert "overlap" in found.meaning
    with pytest.raises(InputError, match="one label a vector"):
        classes(Subject.from_array(ball()), labels[:5])


def test_codes_lose_more_the_smaller_they_are():
    found = codes_health(Subject.from_array(ball(1500, 64)))
    kept = [figure.value for figure in found.figures]
    assert kept[0] > kept[1] > kept[2] > 0.2
    assert kept[0] > 0.95


def test_graphs_are_measured_against_exact_search(tmp_path):
    pytest.importorskip("faiss")
    from nestvec.core import Space, Vectors

    x = ball(1500, 16)
    space = Space("x", "w", "mean", 16, metric="dot", unit=False)
    with Collection.create(tmp_path / "g.nest", encoder=None, space=space) as made:
        made.add([{"id": str(i), "text": "-"} for i in range(1500)], vectors=Vectors(x, space))
        built = made.build_graph()
        made.delete([str(i) for i in range(150)])
    with Subject.from_collection(tmp_path / "g.nest") as subject:
        found = graph_health(subject)
    assert found["recall when built"] == built.recall
    assert found["stale"] == pytest.approx(150 / 1350)
    assert found["recall@10"] > 0.5
    order = order_health(Subject.from_array(x))
    values = [f.value for f in order.figures]
    assert values[-1] == pytest.approx(max(values[:-1]) - min(values[:-1]))


def test_texts_must_fit_and_ids_are_shown(collection):
    with pytest.raises(InputError, match="one text a vector"):
        Subject.from_array(ball(3), texts=["a"])
    with Subject.from_collection(collection) as subject:
        assert subject.label([0, 2]) == ["t000", "t002"]
        assert len(subject.sample(10, seed=1)) == 10
        assert sum(len(block) for _, block in subject.blocks()) == 400
    assert Subject.from_array(ball(3)).label([2]) == ["row 2"]


def test_figures_in_words():
    assert str(Figure("x", 1234.0)) == "1,234"
    assert str(Figure("x", 0.25, (0.1, 0.5), "of all")) == "0.250 [0.100, 0.500]  of all"
    assert str(Figure("x", float("nan"))) == "not measurable"
    assert Figure("x", float("inf")).to_json()["value"] is None


def test_intervals_cover():
    assert wilson(0.0, 100) == (0.0, pytest.approx(0.037, abs=1e-3))
    assert wilson(1.0, 10)[1] == 1.0
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        x = rng.standard_normal((100, 1)).astype(np.float32) + 1
        low, high = jackknife(lambda v: [float(v.mean())], x)[0]
        held += low < 1 < high
    assert held > 180
