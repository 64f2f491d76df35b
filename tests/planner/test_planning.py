"""From views to a plan, in words and as data: nestvec.planner.planning, result, words, subject, encoding."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from nestvec.core import Record, Space, Vectors
from nestvec.core.errors import InputError
from nestvec.planner import Agreement, Budget, Dials, Judged, Plan, Rules, Task, View, plan
from nestvec.planner.candidates import QUICK, Candidate
from nestvec.planner.encoding import Depth, query_seconds
from nestvec.planner.questions import Questions
from nestvec.planner.result import surroundings
from nestvec.planner.subject import Sampling, task_of
from nestvec.planner.words import amount, milliseconds, percent, sentences, tracking
from nestvec.planner.workbench import Workbench
from nestvec.search.collection import Collection
from tests.planner.conftest import unit

FEW = Dials(codings=(QUICK[1], QUICK[-1]), ms=(50,), graph=False)  # int8 and signs


@pytest.fixture(scope="module")
def made(judged) -> Plan:
    return plan(judged, Budget(), rules=Rules(keep=0.8), dials=FEW)


def test_a_plan_keeps_what_it_says_and_costs_less(made):
    assert made.verdict == "chosen"
    assert made.choice.low >= 0.8
    assert made.choice.ram < made.full.ram / 3
    assert made.choice.timed
    assert made.queries == 60
    assert made.judging == 40
    assert 0 < made.choice.p50 <= made.choice.p95
    assert all(row.interval[0] <= row.mean <= row.interval[1] for row in made.finalists)
    assert made.full in made.finalists
    assert all(not np.isnan(row.share) for row in made.rows)


def test_the_front_has_nothing_that_is_beaten(made):
    front = made.front()
    assert front
    for a in front:
        for b in made.rows:
            better = b.ram <= a.ram and b.p95 <= a.p95 and b.share >= a.share
            same = (b.ram, b.p95, b.share) == (a.ram, a.p95, a.share)
            assert not better or same


def test_a_plan_can_be_made_again(made, judged):
    again = plan(judged, Budget(), rules=Rules(keep=0.8), dials=FEW)
    assert [row.share for row in again.finalists] == [row.share for row in made.finalists]
    assert [row.low for row in again.finalists] == [row.low for row in made.finalists]
    data = json.loads(json.dumps(made.to_json()))
    assert data["choice"]["size"] == str(made.choice.size)
    assert len(data["settings"]) == len(made.rows)
    assert data["facts"]["versions"]["numpy"] == np.__version__
    assert data["rules"]["seed"] == 0
    assert surroundings()["machine"]["cores"]


def test_what_is_said(made, judged, unjudged):
    first, *rest = sentences(made)
    assert first.startswith(made.choice.label)
    assert "nDCG@10" in first
    assert "95 %" in first
    assert any("for all of these at once" in text for text in rest)
    nothing = plan(judged, Budget(ram=100), rules=Rules(keep=0.8), dials=FEW)
    assert nothing.verdict == "unaffordable"
    assert "memory" in sentences(nothing)[0]
    assert "instead of 100 bytes" in sentences(nothing)[0]
    proxy = " ".join(sentences(plan(unjudged, Budget(keep=0.7), dials=FEW)))
    assert "stands in for quality" in proxy
    assert all(name in proxy for name in tracking()["sets"])
    strict = plan(judged, Budget(), rules=Rules(keep=0.999), dials=FEW)
    assert strict.verdict in ("unproven", "chosen")
    assert strict.chosen == 0
    assert sentences(strict)[0].startswith("Keep the full size")


def test_an_encoder_larger_than_the_budget_is_told_of(judged):
    view = replace(judged.views[0], encoder_bytes=10**6)
    found = plan(replace(judged, views=[view]), Budget(ram=10**5), rules=Rules(keep=0.8), dials=FEW)
    assert "encoder alone takes 1.0 MB" in " ".join(sentences(found))


def test_of_a_sample_times_are_computed_for_all(judged):
    found = plan(replace(judged, total=10 * judged.total), Budget(), rules=Rules(keep=0.8), dials=FEW)
    assert found.full.ram == 10 * 400 * 4 * 32
    assert not any(row.timed for row in found.finalists)
    assert any("400 of 4,000 records" in text for text in sentences(found))


def test_graphs_are_tried_where_they_could_pay(monkeypatch, judged):
    pytest.importorskip("faiss")
    monkeypatch.setattr("nestvec.planner.planning._GRAPH_FROM", 100)
    found = plan(judged, Budget(), rules=Rules(keep=0.8), dials=Dials(codings=(), graph=True))
    graphs = [row for row in found.finalists if row.candidate.index == "graph"]
    assert graphs
    assert all(row.timed and row.low is not None for row in graphs)
    assert {row.candidate.how for row in graphs} == {"graph"}


def test_too_little_to_measure(judged):
    view = judged.views[0]
    few = View(None, view.documents[:50], view.queries)
    with pytest.raises(InputError, match="at least 100 records, got 50"):
        Task([few], judged.target, 50, 32)
    asked = Agreement(np.zeros((5, 10), np.int64), np.full(5, -1))
    with pytest.raises(InputError, match="at least 24 queries, got 5"):
        Task([replace(view, queries=view.queries[:5])], asked, 400, 32)
    with pytest.raises(InputError, match="every view"):
        Task([view, few], judged.target, 400, 32)


def test_figures_for_people():
    assert [amount(x) for x in (12, 1234, 56_700_000, 2.5e12)] == ["12 bytes", "1.2 kB", "56.7 MB", "2.5 TB"]
    assert percent(0.97999) == "97.9 %"
    assert percent(0.98) == "98.0 %"
    assert [milliseconds(x) for x in (1e-6, 0.00012, 0.0341, 1.25)] == ["0.001 ms", "0.12 ms", "34 ms", "1.2 s"]


# ------------------------------------------------------------------ from a collection


class Letters:
    """An encoder of letter counts, with a shallow depth that is nearly as good and one that is noise."""

    space = Space(encoder="letters", weights="0", pooling="mean", dim=32)
    window = 100

    def __init__(self, kind=""):
        self.kind = kind

    def at(self, size):
        return Letters(str(size))

    def _vectors(self, texts):
        x = np.zeros((len(texts), 32), np.float32)
        for row, text in zip(x, texts, strict=True):
            for a, b in itertools.pairwise(text):
                row[(ord(a) * 7 + ord(b)) % 32] += 1
            if self.kind == "L0":
                row[:] = np.random.default_rng(sum(map(ord, text))).standard_normal(32)
        return Vectors(unit(x + 1e-3), self.space)

    def encode(self, records, **_):
        return self._vectors([r if isinstance(r, str) else r.full_text for r in records])

    def encode_query(self, queries, **_):
        return self._vectors(list(queries))

    def stream(self, records):
        raise NotImplementedError

    def count_tokens(self, texts):
        return [len(t.split()) for t in texts]


def words(rng, n):
    return " ".join("".join(rng.choice(list("abcdefghij"), 5)) for _ in range(n))


@pytest.fixture(scope="module")
def collection(tmp_path_factory):
    rng = np.random.default_rng(0)
    records = [Record(f"r{i}", f"{words(rng, 5)}. {words(rng, 10)}.", title=words(rng, 4)) for i in range(150)]
    folder = tmp_path_factory.mktemp("plan") / "c"
    with Collection.create(folder, encoder=None, space=Letters.space) as made:
        made.add(records, vectors=Letters().encode(records))
    with Collection.open(folder) as opened:
        yield opened


def task(collection, questions=None, **more):
    return task_of(collection, questions, encoder=Letters(), say=lambda _: None, **more)


def test_queries_are_made_where_there_are_none(collection):
    found = task(collection, sampling=Sampling(queries=40))
    assert isinstance(found.target, Agreement)
    assert len(found.target) == 40
    assert (found.target.own >= 0).all()
    assert found.facts["queries_from"] == "the records"
    assert found.full_dim == 32


def test_a_raw_depth_is_left_out_before_all_is_encoded(collection):
    found = task(collection, depths=[Depth(3, True, 10), Depth(0, False, 1)])
    assert [view.depth for view in found.views] == [None, 3]
    assert found.views[1].encoder_bytes == 10
    assert list(found.facts["depths_left_out"]) == ["0"]


@pytest.mark.parametrize("coding", [QUICK[1], QUICK[4], QUICK[6]], ids=str)
def test_a_collection_at_a_setting_finds_what_the_plan_measured(tmp_path, coding):
    rng = np.random.default_rng(1)
    records = [Record(f"r{i}", f"{words(rng, 5)}. {words(rng, 10)}.") for i in range(150)]
    with Collection.create(tmp_path / "c", encoder=None, space=Letters.space) as made:
        made.add(records, vectors=Letters().encode(records))
        view = task(made).views[0]
        candidate = Candidate(None, 32, "full", coding, 15)
        expected = Workbench([view]).found(candidate, np.arange(len(view.queries)), 10)
        made.resize(candidate.size(32), codec=coding.codec, candidates=15)
        found = made.find(Vectors(view.queries, Letters.space), 10)
        assert (found.ids - found.ids.min() == expected - expected.min()).all()


def test_judgements_and_logs(collection):
    ids = [record.id for record in collection.records()]
    texts = tuple(f"query {i}" for i in range(30))
    judged = task(collection, Questions(texts, tuple({ids[i]: 1.0} for i in range(30))))
    assert isinstance(judged.target, Judged)
    assert judged.target.gains[3] == {3: 1.0}
    log = task(collection, Questions(texts, None), sampling=Sampling(queries=25))
    assert isinstance(log.target, Agreement)
    assert len(log.target) == 25
    assert (log.target.own == -1).all()


def test_a_sample_keeps_what_is_judged(collection):
    ids = [record.id for record in collection.records()]
    questions = Questions(tuple(f"q {i}" for i in range(30)), tuple({ids[140 + i % 5]: 1.0} for i in range(30)))
    found = task(collection, questions, sampling=Sampling(documents=110))
    assert len(found.views[0].documents) == 110
    assert found.total == 150
    kept = set(found.target.documents.tolist())
    assert set(range(140, 145)) <= kept


def test_judgements_of_other_documents_are_refused(collection):
    questions = Questions(tuple(f"q {i}" for i in range(30)), tuple({"elsewhere": 1.0} for _ in range(30)))
    with pytest.raises(InputError, match="'elsewhere'"):
        task(collection, questions)


def test_a_collection_that_cannot_be_planned(collection, tmp_path):
    with pytest.raises(InputError, match="must have an encoder"):
        task_of(collection, None, encoder=None, say=lambda _: None)
    with Collection.create(tmp_path / "small", encoder=None, space=Letters.space) as small:
        small.add([Record("a", "x y z")], vectors=Letters().encode(["x y z"]))
        with pytest.raises(InputError, match="at least 100 records"):
            task(small)


def test_single_queries_are_timed():
    assert len(query_seconds(Letters().encode_query, ["one", "two"])) == 2
    assert (query_seconds(Letters().encode_query, ["one", "two"]) > 0).all()
