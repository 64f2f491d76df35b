"""Smaller tasks, and whether they keep the order of systems."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core import Hits, Record
from nestvec.core.errors import InputError
from nestvec.evaluation import Bm25, Cost, Downsampling, Outcome, Result, Shelf, Suite, Task, downsample, preserved
from nestvec.evaluation.downsampling import extent, stratified
from nestvec.evaluation.kinds.classification import Classification
from nestvec.evaluation.kinds.clustering import Clustering
from nestvec.evaluation.kinds.pair_classification import PairClassification
from nestvec.evaluation.kinds.reranking import Reranking
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.kinds.sts import Sts
from nestvec.evaluation.kinds.zero_shot import ZeroShot


class First:
    """Ranks documents in the order in which they are given, from a place of its own."""

    name, fingerprint = "first", "first"

    def __init__(self, start):
        self.start = start

    def rank(self, queries, documents, k, *, among=None):
        ids = np.tile(np.arange(self.start, min(self.start + k, len(documents)), dtype=np.int64), (len(queries), 1))
        return Hits(ids, -np.broadcast_to(np.arange(ids.shape[1], dtype=np.float32), ids.shape).copy())


def retrieval(n=100, queries=20):
    documents = tuple(Record(f"d{i}", f"text number {i}") for i in range(n))
    judged = {f"q{i}": {f"d{n - 1 - i}": 1.0, f"d{i}": 0.0} for i in range(queries)}
    return Retrieval(documents, {name: f"number {name[1:]}" for name in judged}, judged)


def names(task):
    return {record.id for record in task.documents}


def test_judged_documents_stay_and_the_hardest_come_first():
    whole = retrieval(queries=3)
    small = downsample(whole, Downsampling(share=0.16, least=1, miners=(First(40), First(60))))
    judged = {"d0", "d1", "d2", "d97", "d98", "d99"}
    assert names(small) == judged | {f"d{i}" for start in (40, 60) for i in range(start, start + 5)}
    assert [record.id for record in small.documents] == [r.id for r in whole.documents if r.id in names(small)]
    assert small.judged == whole.judged
    assert small.queries == whole.queries


def test_no_deeper_than_asked_and_never_less_than_what_is_judged():
    whole = retrieval(queries=3)
    shallow = downsample(whole, Downsampling(share=0.9, least=1, depth=2, miners=(First(40),)))
    assert len(shallow.documents) == 6 + 2
    assert len(downsample(whole, Downsampling(share=0.01, least=1)).documents) == 6
    assert len(downsample(whole, Downsampling(share=0.9, least=30, depth=2, miners=(First(40),))).documents) == 30


def test_queries_are_drawn_by_the_seed():
    whole = retrieval()
    how = Downsampling(share=0.5, least=1, queries=5)
    small, again, other = (downsample(whole, x) for x in (how, how, replace(how, seed=1)))
    assert len(small) == len(small.queries) == 5
    assert small.fingerprint == again.fingerprint
    assert small.fingerprint not in (other.fingerprint, whole.fingerprint)
    assert set(small.queries) != set(other.queries)
    assert all(set(gains) <= names(small) for gains in small.judged.values())


def test_queries_without_an_answer_go():
    whole = retrieval(queries=4)
    bare = Retrieval(whole.documents, {**whole.queries, "x": "no"}, {**whole.judged, "x": {"d50": 0.0}})
    assert set(downsample(bare, Downsampling(share=0.5, least=1)).queries) == set(whole.queries)


@pytest.mark.parametrize("kind", [Retrieval, Reranking, Classification, Clustering, ZeroShot, PairClassification])
def test_a_small_task_is_left_as_it_is(own, kind):
    paths = {
        Retrieval: "retrieval", Reranking: "reranking", Classification: "classification", Clustering: "clustering",
        ZeroShot: "zero_shot", PairClassification: "pair_classification",
    }  # fmt: skip
    task = kind.read(own[paths[kind]])
    if kind is Clustering:
        task = replace(task, size=len(task.texts))
    assert downsample(task).fingerprint == task.fingerprint


def test_few_queries_to_rerank_keep_their_candidates():
    documents = tuple(Record(f"d{i}", str(i)) for i in range(40))
    offered = tuple((f"d{2 * i}", f"d{2 * i + 1}") for i in range(20))
    task = Reranking(documents, tuple(map(str, range(20))), offered, tuple(frozenset(pair[:1]) for pair in offered))
    small = downsample(task, Downsampling(share=0.25, least=2))
    assert len(small) == 5
    assert names(small) == {name for pair in small.candidates for name in pair}
    assert all(offered[int(q)] == pair for q, pair in zip(small.queries, small.candidates, strict=True))


def test_classes_keep_their_share_and_enough_to_draw_from():
    labels = ("a",) * 600 + ("b",) * 300 + ("c",) * 100
    texts = tuple(f"t{i}" for i in range(1000))
    how = Downsampling(share=0.1, least=1)
    few = downsample(Classification(texts, labels, texts, labels, shots=8), how)
    assert Counter(few.test_labels) == {"a": 60, "b": 30, "c": 10}
    assert Counter(few.train_labels) == {"a": 60, "b": 32, "c": 32}
    assert all(labels[int(text[1:])] == label for text, label in zip(few.train, few.train_labels, strict=True))
    probe = downsample(Classification(texts, labels, texts, labels, way="probe"), how)
    assert Counter(probe.train_labels) == Counter(few.test_labels)
    assert Counter(downsample(ZeroShot(texts, labels, (("a", "A"), ("b", "B"), ("c", "C"))), how).labels)["c"] == 10
    grouped = downsample(Clustering(texts, labels), how)
    assert (len(grouped.texts), grouped.size, len(set(grouped.labels))) == (100, 100, 3)


def test_pairs_keep_the_share_of_true_ones_and_sts_stays():
    texts = tuple(map(str, range(200)))
    truth = np.array([1.0] * 50 + [0.0] * 150)
    small = downsample(PairClassification(texts, texts, truth), Downsampling(share=0.2, least=1))
    assert (len(small), small.truth.sum()) == (40, 10)
    assert all(truth[int(a)] == t and a == b for a, b, t in zip(small.first, small.second, small.truth, strict=True))
    sts = Sts(texts, texts, truth)
    assert downsample(sts, Downsampling(share=0.01, least=1)) is sts


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.integers(1, 80), st.integers(1, 3), st.integers(0, 9))
def test_a_stratified_sample(labels, size, least, seed):
    rows = stratified(labels, size, seed=seed, least=least)
    counts, kept = Counter(labels), Counter(labels[i] for i in rows)
    assert (np.diff(rows) > 0).all()
    floors = sum(min(count, least) for count in counts.values())
    assert min(size, len(labels)) <= len(rows) <= max(min(size, len(labels)), floors) + len(counts)
    for label, count in counts.items():
        share = count * min(size, len(labels)) / len(labels)
        assert kept[label] >= min(count, least)
        assert abs(kept[label] - share) < 1 or kept[label] == min(count, least)
    assert (rows == stratified(labels, size, seed=seed, least=least)).all()


def test_a_task_is_downsampled_as_data(own, model, tmp_path):
    task = Task("beir", "retrieval@1", str(own["retrieval"]))
    small = task.downsampled(Downsampling(share=0.5, least=1, queries=3))
    shelf = Shelf(tmp_path)
    found = list(Suite((task, small), shelf=shelf, baselines=(Bm25(),)).run([model]))
    assert [r.task.name for r in found if r.system == "letters"] == ["beir", "beir_downsampled"]
    assert [len(r.outcome.items) for r in found if r.system == "letters"] == [6, 3]
    notes = [r.outcome.notes for r in found if r.system == "letters"]
    assert notes[0] == ()
    assert notes[1][0].startswith("down-sampled to 3 documents, 3 queries (seed 42); compare only")
    assert "BM25 and TF-IDF chose the documents" in notes[1][1]
    again = list(Suite((small,), shelf=shelf, baselines=()).run([model]))
    assert all(r.kept for r in again)
    assert again[0].outcome.notes == notes[1]


def test_how_much_there_is_in_words(own):
    assert extent(Retrieval.read(own["retrieval"])) == "12 documents, 6 queries"
    assert extent(Classification.read(own["classification"])) == "12 texts to learn from, 12 to be tested on"
    assert extent(Clustering.read(own["clustering"])) == "12 texts"
    assert extent(Sts.read(own["sts"])) == "18 items"


@pytest.mark.parametrize("wrong", [{"share": 0.0}, {"share": 1.5}, {"least": 0}, {"queries": 0}, {"miners": ()}])
def test_a_way_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(InputError, match="must"):
        Downsampling(**wrong)


# ------------------------------------------------------------------ whether the order stays


def result(system, values, *, task="t", cpu=1.0, baseline=False):
    values = np.asarray(values, np.float64)
    outcome = Outcome("accuracy", {"accuracy": float(values.mean())}, tuple(map(str, range(len(values)))),
                      {"accuracy": values})  # fmt: skip
    return Result(system, system, Task(task, "sts@1", "x"), "accuracy", outcome, Cost(cpu, cpu), baseline=baseline)


def test_the_order_is_compared_and_what_was_turned_is_named():
    rng = np.random.default_rng(0)
    base = rng.random(200)
    whole = [result("a", base + 0.3), result("b", base), result("c", base + 0.01 * rng.standard_normal(200))]
    kept = [result("a", [0.9, 0.8], task="s", cpu=0.25), result("b", [0.2, 0.1], task="s", cpu=0.25),
            result("c", [0.2, 0.2], task="s", cpu=0.25)]  # fmt: skip
    found = preserved(whole, kept)
    assert (found.task, found.systems, found.separable, found.turned, found.cpu) == ("t", 3, 2, (), 0.25)
    kept[0] = result("a", [0.0, 0.0], task="s", cpu=0.25, baseline=True)
    found = preserved(whole, kept)
    assert set(found.turned) == {("a", "b"), ("a", "c")}
    assert found.spearman < 0
    assert found.to_json()["turned"] == [list(pair) for pair in found.turned]


def test_orders_that_cannot_be_compared_are_refused():
    three = [result(name, [0.1, 0.2]) for name in "abc"]
    with pytest.raises(InputError, match="same three systems"):
        preserved(three, three[:2])
    with pytest.raises(InputError, match="same three systems"):
        preserved([*three, result("a", [0.1], task="other")], three)
    with pytest.raises(InputError, match="must differ"):
        preserved(three, three)
