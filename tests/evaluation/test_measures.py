"""Figures against other ways of computing them, and known figures of real data."""

import math
from collections import Counter

import numpy as np
import pytest

from nestvec.core import Record, Space, Vectors
from nestvec.core.errors import InputError, NotFiniteError
from nestvec.evaluation import TASKS, Bm25, Held, Model, RandomProjection, TfIdf
from nestvec.evaluation.judged_pairs import correlation
from nestvec.evaluation.kinds.analogy import Analogy
from nestvec.evaluation.kinds.bitext import Bitext
from nestvec.evaluation.kinds.classification import Classification, draws
from nestvec.evaluation.kinds.clustering import Clustering
from nestvec.evaluation.kinds.pair_classification import PairClassification
from nestvec.evaluation.kinds.reranking import Reranking
from nestvec.evaluation.kinds.retrieval import Retrieval, mteb_name
from nestvec.evaluation.kinds.word_similarity import WordSimilarity
from nestvec.evaluation.kinds.zero_shot import ZeroShot
from nestvec.evaluation.learners import clusters, logistic
from nestvec.evaluation.lexical import Counts, jaccard, letters, words
from nestvec.evaluation.system import best
from nestvec.metrics import parse
from tests.evaluation.conftest import Letters, beir


class Given:
    """A system that represents a text by the vector it is told to."""

    name = fingerprint = "given"

    def __init__(self, **vectors):
        self.vectors = vectors

    def represent(self, texts):
        return np.array([self.vectors[text] for text in texts], np.float32)


class Stored:
    """An encoder whose vectors lie ready."""

    window = 256

    def __init__(self, vectors):
        self.vectors = vectors
        self.space = Space(encoder="stored", weights="stored", pooling="mean", dim=384)

    def encode(self, records, *, size=None, instruction=None):
        return Vectors(np.stack([self.vectors[r if isinstance(r, str) else r.id] for r in records]), self.space)

    def encode_query(self, queries, *, size=None, instruction=None):
        return self.encode(queries)

    def stream(self, records):
        raise NotImplementedError

    def count_tokens(self, texts, /):
        raise NotImplementedError


@pytest.mark.parametrize(("name", "expected"), [("scifact", 0.64508), ("cranfield", 0.39532)])
def test_known_figures_of_retrieval(data_dir, name, expected):
    kind = TASKS[name].load(data_dir)
    stored = np.load(data_dir / "embeddings_minilm" / f"{name}.npz")
    vectors = dict(zip(stored["doc_ids"].tolist(), stored["doc_emb"].astype(np.float32), strict=True))
    texts = {str(q): kind.queries[str(q)] for q in stored["query_ids"] if str(q) in kind.queries}
    asked = dict(zip(stored["query_ids"].tolist(), stored["query_emb"].astype(np.float32), strict=True))
    vectors |= {text: asked[q] for q, text in texts.items()}
    outcome = kind.measure(Model(Stored(vectors)))
    assert outcome.score == pytest.approx(expected, abs=2e-5)
    assert outcome.main == "ndcg_at_10"


def test_bm25_equals_its_formula():
    documents = [Record("a", "the cat sat on the mat"), Record("b", "a dog and a cat"), Record("c", "no animal here")]
    hits = Bm25().rank(["cat mat cat"], documents, 3)
    texts = [words(record.text) for record in documents]
    mean = sum(map(len, texts)) / 3

    def score(text):
        total = 0.0
        for term, asked in Counter(words("cat mat cat")).items():
            df, tf = sum(term in t for t in texts), text.count(term)
            idf = math.log(1 + (3 - df + 0.5) / (df + 0.5))
            total += asked * idf * tf * 2.2 / (tf + 1.2 * (1 - 0.75 + 0.75 * len(text) / mean))
        return total

    assert hits.ids.tolist() == [[0, 1, -1]]
    assert hits.scores[0, :2] == pytest.approx([score(texts[0]), score(texts[1])], rel=1e-5)


def test_the_score_of_bm25_on_cranfield_is_near_that_of_others(data_dir):
    assert TASKS["cranfield"].load(data_dir).measure(Bm25()).score == pytest.approx(0.3823, abs=0.03)


def test_tf_idf_ranks_compares_and_represents_alike():
    texts = ["red fish", "blue fish", "red red bird", "one bird"]
    system = TfIdf()
    pairs = system.compare(texts, texts[::-1])
    dense = system.represent(texts)
    norms = np.linalg.norm(dense, axis=1)
    assert norms == pytest.approx(np.ones(4), rel=1e-5)  # so few words that none is cut
    assert pairs == pytest.approx((dense * dense[::-1]).sum(axis=1), abs=1e-6)
    counts = Counts.of(texts).tf_idf()
    assert counts.products(2) == pytest.approx(dense[2:] @ dense[:2].T, abs=1e-6)


def test_a_random_projection_keeps_inner_products_and_its_seed():
    texts = [f"word{i} word{i + 1} word{i + 2} other" for i in range(40)]
    wide = RandomProjection(dim=4096)
    exact = TfIdf().compare(texts[:-1], texts[1:])
    assert wide.compare(texts[:-1], texts[1:]) == pytest.approx(exact, abs=0.08)
    assert (wide.represent(texts) == RandomProjection(dim=4096).represent(texts)).all()
    assert wide.fingerprint != RandomProjection(dim=4096, seed=1).fingerprint
    with pytest.raises(InputError):
        RandomProjection(dim=0)


def test_words_letters_and_overlap():
    assert words("Cats, berries; buses IS glass") == ["cat", "berry", "buse", "is", "glass"]
    assert letters("ab") == [" ab", "ab "]
    assert jaccard(["a b c", ""], ["b c d", ""]).tolist() == [0.5, 0.0]


@pytest.mark.parametrize("system", [Bm25(), TfIdf(), RandomProjection(), Model(Letters())])
def test_only_candidates_are_found_and_k_must_be_one_or_more(system):
    documents = [Record(f"d{i}", f"cat {i}") for i in range(5)]
    hits = system.rank(["cat", "cat 3"], documents, 3, among=[np.array([4, 1]), np.array([3])])
    assert sorted(hits.ids[0].tolist()) == [-1, 1, 4]
    assert hits.ids[1].tolist() == [3, -1, -1]
    with pytest.raises(InputError, match="k must be at least 1"):
        system.rank(["cat"], documents, 0)


def test_the_best_are_those_of_a_full_sort_ties_to_the_smaller():
    rng = np.random.default_rng(0)
    queries, documents = (rng.integers(-2, 3, (n, 3)).astype(np.float32) for n in (7, 50))
    hits = best(queries, documents, 6)
    order = np.argsort(-(queries @ documents.T), axis=1, kind="stable")[:, :6]
    assert (hits.ids == order).all()


def test_classes_by_neighbours_and_their_ties():
    task = Classification(("a", "b", "c"), ("x", "y", "y"), ("t",), ("y",), way="knn", neighbours=3)
    near = Given(a=(1, 0), b=(0.9, 0.1), c=(0.8, 0.2), t=(1, 0))
    assert task.measure(near).score == 1.0
    tie = Classification(("a", "b"), ("x", "y"), ("t",), ("y",), way="knn", neighbours=2)
    assert tie.measure(near).score == 0.0  # one vote each: the nearest, a, decides
    assert tie.trivial().score == 0.0


def test_draws_have_so_many_of_each_class_and_differ():
    labels = ["x"] * 30 + ["y"] * 5 + ["z"] * 40
    found = draws(labels, shots=8, runs=4, seed=42)
    for rows in found:
        assert Counter(labels[i] for i in rows) == {"x": 8, "y": 5, "z": 8}
        assert len(set(rows.tolist())) == len(rows)
    assert len({tuple(sorted(rows.tolist())) for rows in found}) == 4


def test_a_probe_and_clusters_find_what_is_there():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 8, dtype=np.float32) * 4, 40, axis=0)
    x = centres + rng.standard_normal((120, 8)).astype(np.float32)
    labels = [f"c{i // 40}" for i in range(120)]
    assert (logistic(x, labels, x, seed=0) == np.array(labels)).mean() > 0.95
    texts = tuple(map(str, range(120)))
    task = Clustering(texts, tuple(labels), samples=3, size=200)
    outcome = task.measure(Given(**dict(zip(texts, x, strict=True))))
    assert outcome.score > 0.8
    assert task.trivial().score < 0.1
    assert len(np.unique(clusters(np.ones((9, 2), np.float32), 3, seed=0))) <= 3


def test_translations_and_names_are_nearest_by_cosine():
    vectors = {"cat": (1, 0), "dog": (0, 1), "Katze": (3, 0.1), "Hund": (0.1, 1)}
    assert Bitext(("cat", "dog"), ("Katze", "Hund")).measure(Given(**vectors)).score == 1.0
    assert Bitext(("cat", "cat"), ("Hund", "Katze")).measure(Given(**vectors)).score == 1.0  # either is right
    task = ZeroShot(("cat", "dog"), ("K", "H"), (("K", "Katze"), ("H", "Hund")))
    assert task.measure(Given(**vectors)).score == 1.0
    assert Bitext(("Nation", "Auto"), ("nation", "Auto!")).trivial().score == 1.0


def test_analogies_leave_out_the_words_given():
    vectors = {"man": (1, 0, 0), "king": (1, 1, 0), "woman": (1, 0, 1), "queen": (1, 1, 1), "apple": (-1, -1, 0)}
    task = Analogy((("man", "king", "woman", "queen"), ("king", "man", "queen", "apple")), ("a", "b"))
    outcome = task.measure(Given(**vectors))
    assert outcome.values.tolist() == [1.0, 0.0]
    assert outcome.scores["accuracy/a"] == 1.0


def test_pairs_by_their_likeness():
    class Says:
        name = fingerprint = "says"

        def compare(self, a, b):
            return np.array([0.9, 0.8, 0.1, np.nan if a[0] == "nan" else 0.2])

    task = PairClassification(tuple("abcd"), tuple("efgh"), np.array([1.0, 1, 0, 0]))
    assert task.measure(Says()).score == 1.0
    with pytest.raises(NotFiniteError):
        PairClassification(("nan", *"bcd"), tuple("efgh"), np.array([1.0, 1, 0, 0])).measure(Says())
    same = correlation(np.ones(5), np.arange(5.0))
    assert same.score == 0.0
    assert same.notes
    with pytest.raises(NotFiniteError):
        correlation(np.array([1.0, np.nan, 2.0]), np.arange(3.0))


def test_word_similarity_of_letters_is_not_that_of_words():
    task = WordSimilarity(("car", "cars", "car"), ("cars", "dog", "bus"), np.array([9.0, 1, 2]))
    assert task.trivial().score > 0.8


def test_candidates_of_a_folder_are_those_of_bm25_and_the_relevant(tmp_path, model):
    kind = Retrieval.read(beir(tmp_path / "b"))
    found = Bm25().rank(list(kind.queries.values()), kind.documents, 3).ids
    task = Reranking.of(kind, depth=3)
    assert task.relevant == tuple(frozenset([f"d{i}"]) for i in range(6))
    for row, offered, good in zip(found, task.candidates, task.relevant, strict=True):
        assert {f"d{i}" for i in row if i >= 0} | good <= set(offered)
        assert 3 <= len(offered) <= 4
    assert {record.id for record in task.documents} == set().union(*task.candidates)
    assert task.measure(model).scores["map_at_1000"] > task.trivial().scores["map_at_1000"]


def test_names_of_metrics_are_those_of_mteb():
    names = [mteb_name(parse(name)) for name in ("nDCG@10", "R@2", "RR@10", "AP@100", "RR(rel=2)@10")]
    assert names[:4] == ["ndcg_at_10", "recall_at_2", "mrr_at_10", "map_at_100"]
    assert "rel" in names[4]


def test_a_collection_is_measured_as_it_is(tmp_path):
    from nestvec.search import Collection

    kind = Retrieval.read(beir(tmp_path / "b"))
    encoder = Letters()
    with Collection.create(tmp_path / "c", encoder=encoder) as collection:
        collection.add(kind.documents)
        held = Held(collection, "mine")
        assert kind.measure(held).scores == kind.measure(Model(encoder)).scores
        with pytest.raises(InputError, match="everything it holds"):
            held.rank(["x"], kind.documents, 1, among=[np.array([0])])
        before = held.fingerprint
        collection.add([Record("stranger", "cat please")])
        assert Held(collection, "mine").fingerprint != before
        assert kind.measure(Held(collection, "mine")).score < kind.measure(Model(encoder)).score
