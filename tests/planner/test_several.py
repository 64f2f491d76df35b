"""Several vectors a record in a plan: nestvec.planner.tokens, late, offering, and the axis through all the others."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest

from nestvec.core import Record, Size, Space, Vectors
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.portable import nbytes
from nestvec.core.vectors import MultiVectors
from nestvec.kernels.maxsim import maxsim
from nestvec.planner import Agreement, Budget, Dials, Judged, Rules, Task, TokenView, View, plan
from nestvec.planner.candidates import (
    FULL_MANY,
    MANY,
    Candidate,
    codings_of_many,
    full_of_many,
    numbers_of_vectors,
    space_of_many,
    token_dims,
)
from nestvec.planner.encoding import Depth
from nestvec.planner.late import Late, cut_tokens, joined
from nestvec.planner.offering import offer
from nestvec.planner.questions import Questions
from nestvec.planner.result import Plan
from nestvec.planner.speed import calibrate, predict
from nestvec.planner.subject import task_of
from nestvec.planner.words import is_asked_for, sentences
from nestvec.planner.workbench import Workbench
from nestvec.search.collection import Collection
from nestvec.search.several import choose_several
from tests.planner.conftest import unit

SPACE = Space("tokens", weights="0", pooling="tokens", dim=32)
N, Q = 130, 48
FEW = Dials(codings=(), graph=False, vectors=(1, 4, "all"), codings_of_many=(MANY[0], MANY[-1]), compared=(40,))


@pytest.fixture(scope="module", autouse=True)
def _few_are_enough(module_monkeypatch):
    """Candidates are looked at from 20 rows on, so that small collections have them; times are of three searches."""
    for module in ("finder", "proxy"):
        module_monkeypatch.setattr(f"nestvec.search.{module}.EXACT", 20)
    module_monkeypatch.setattr("nestvec.planner.late.EXACT", 20)
    module_monkeypatch.setattr("nestvec.planner.candidates.EXACT", 20)
    for name in ("planning._TIMED", "planning._TIMED_ALL", "speed._QUERIES", "speed._FEW"):
        module_monkeypatch.setattr(f"nestvec.planner.{name}", 3)


@pytest.fixture(scope="module")
def module_monkeypatch():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def topics(seed=0):
    """A view whose queries ask for three tokens of one document: all tokens tell which, their mean does not."""
    rng = np.random.default_rng(seed)
    words = unit(rng.standard_normal((40, 32)))
    lengths = rng.integers(4, 14, N)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    tokens = unit(words[rng.integers(0, 40, offsets[-1])] + 0.2 * rng.standard_normal((offsets[-1], 32)))
    answer = rng.choice(N, Q, replace=False)
    asked = np.concatenate([rng.choice(np.arange(offsets[a], offsets[a + 1]), 3, replace=False) for a in answer])
    queries = unit(tokens[asked] + 0.1 * rng.standard_normal((3 * Q, 32)))
    found = TokenView(
        MultiVectors(tokens, offsets, SPACE),
        MultiVectors(queries, np.arange(0, 3 * Q + 1, 3), SPACE),
        encode_seconds=np.full(5, 0.02),
    )
    single = unit(np.add.reduceat(tokens, offsets[:-1], axis=0)), unit(queries.reshape(Q, 3, 32).sum(axis=1))
    view = View(None, *single, fitted=False, encode_seconds=np.full(5, 0.01), tokens=found)
    return view, Judged(tuple({int(i): 1.0} for i in answer), np.arange(N))


@pytest.fixture(scope="module")
def judged() -> Task:
    view, target = topics()
    return Task([view], target, N, 32)


@pytest.fixture(scope="module")
def bench(judged) -> Workbench:
    return Workbench(judged.views)


@pytest.fixture(scope="module")
def made(judged) -> Plan:
    return plan(judged, Budget(), rules=Rules(keep=0.7), dials=FEW)


# ------------------------------------------------------------------ tokens


def test_the_yardstick_is_maxsim_over_all_tokens_in_half_precision(judged):
    tokens = judged.views[0].tokens
    halves = tokens.documents.values.astype(np.float16).astype(np.float32)
    for i in (0, Q - 1):
        np.testing.assert_allclose(
            tokens.exact[i], maxsim(tokens.queries[i], halves, tokens.documents.offsets), rtol=1e-5
        )
    order = np.lexsort((np.arange(N), -tokens.exact[3]))
    assert tokens.nearest(11)[3].tolist() == order[:11].tolist()
    assert tokens.nearest(N + 5)[3, N:].tolist() == [-1] * 5


def test_a_document_without_tokens_is_not_found():
    two = MultiVectors(np.eye(2, 32, dtype=np.float32), np.array([0, 1, 1, 2]), SPACE)
    view = TokenView(two, MultiVectors(np.eye(1, 32, dtype=np.float32), np.array([0, 1]), SPACE))
    assert view.nearest(3).tolist() == [[0, 2, -1]]
    assert [view.kept(v) for v in (1, 4, "50%", "all")] == [2, 2, 2, 2]


def test_tokens_are_those_of_the_encoder_chunk_by_chunk(monkeypatch):
    monkeypatch.setattr("nestvec.planner.tokens._CHUNK", 3)
    records = [Record(str(i), f"{'a b c d e'[: 2 * i + 1]}") for i in range(5)] * 2
    encoder = Words().at("vall")
    found, whole = TokenView.of(encoder, records, ["a"], encode_seconds=np.zeros(0)), encoder.encode(records)
    np.testing.assert_array_equal(found.documents.values, whole.values)
    np.testing.assert_array_equal(found.documents.offsets, whole.offsets)
    monkeypatch.setattr("nestvec.planner.tokens._BLOCK", 4)
    assert np.concatenate([part.values for _, _, part in found.blocks()]).tolist() == whole.values.tolist()
    empty = TokenView.of(encoder, [], [], encode_seconds=np.zeros(0))
    assert (len(empty.documents), empty.exact.shape) == (0, (0, 0))


def test_tokens_of_other_items_are_refused(judged):
    view = judged.views[0]
    with pytest.raises(ShapeError, match="tokens must be of 20 documents"):
        replace(view, documents=view.documents[:20])


# ------------------------------------------------------------------ candidates


def test_numbers_of_vectors_from_a_line():
    assert numbers_of_vectors("8, 1,all,25%,8") == (1, 8, "25%", "all")
    for text in ("", "0", "8;9", "v8", "101%"):
        with pytest.raises(InputError, match="vectors to plan with"):
            numbers_of_vectors(text)


def test_codecs_that_keep_several():
    assert codings_of_many(["sign@1", "rabitq@1"]) == MANY[1:]
    assert codings_of_many(["all"]) == MANY
    with pytest.raises(InputError, match=r"int8_rows@1, rabitq@1.*sign@1"):
        codings_of_many(["sign@1"])


def test_the_dials_of_several_vectors(judged):
    view = judged.views[0]
    found = list(space_of_many([view], vectors=(4, "all"), coded=MANY, ms=(10, 40, N), total=N))
    assert len(found) == len(set(found)) == 2 * 2 * len(MANY) * 2
    assert {c.dim for c in found} == set(token_dims(view)) == {32, 16}
    assert {c.m for c in found} == {10, 40}
    assert str(found[0].size(32)) == "v4-b8"
    assert found[0].how == "int8_rows@1 m=10"
    assert {c.m for c in space_of_many([view], vectors=(4,), coded=MANY, ms=(10,), total=15)} == {0}
    assert not list(space_of_many([replace(view, tokens=None)], vectors=(4,), coded=MANY, ms=(10,), total=N))
    full = full_of_many(view)
    assert (str(full.size(32)), full.how) == ("vall-b16", "float16@1 m=all")
    assert full.to_json()["vectors"] == "all"
    wide = replace(view, documents=view.documents[:, :24].copy(), queries=view.queries[:, :24].copy())
    assert token_dims(wide) == (24,)


@pytest.mark.parametrize("coding", [*MANY, FULL_MANY], ids=str)
@pytest.mark.parametrize("vectors", [3, "25%", "all"])
def test_bytes_are_those_of_the_codes(bench, coding, vectors):
    candidate = Candidate(None, 16, "raw slice", coding, 10, vectors=vectors)
    late = bench._comparing(candidate)
    floats, codes = 4 * 16 * N, late.codes.values.nbytes + 8 * (N + 1)
    ram, disk = bench.bytes_of(candidate, N)
    assert disk == floats + codes
    assert ram - disk == nbytes(late.several.coder)  # what it holds once, such as a rotation
    assert bench.bytes_of(replace(candidate, m=0), N)[0] == ram - floats
    assert bench.bytes_of(candidate, 2 * N)[1] == pytest.approx(2 * disk, abs=8)
    assert bench.kept(candidate, N) == len(late.codes.values)
    assert bench.compared(candidate, N) == pytest.approx(len(late.codes.values) * 10 / N, abs=1)


# ------------------------------------------------------------------ searching


def test_more_candidates_find_what_an_exact_search_finds(bench):
    every = np.arange(Q)
    full = bench.found(full_of_many(bench.views[0]), every, 10)
    assert (full == bench.views[0].tokens.nearest(10)).all()
    same = [
        (bench.found(Candidate(None, 32, "full", FULL_MANY, m, vectors="all"), every, 10) == full).mean()
        for m in (10, 60, N)
    ]
    assert same[0] < same[1] < same[2]
    assert same[2] > 0.999


def test_what_is_remembered_changes_nothing(judged):
    candidate = Candidate(None, 32, "full", MANY[0], 40, vectors=4)
    asked = np.array([5, 1])
    once = Workbench(judged.views).found(candidate, asked, 10)
    bench = Workbench(judged.views)
    for m in (10, 100, 20):
        bench.found(replace(candidate, m=m), asked, 10)
    assert (bench.found(candidate, asked, 10) == once).all()
    late = bench._comparing(candidate)
    assert isinstance(late, Late)
    assert late.search(5, 10, m=40).tolist() == once[0].tolist()
    assert len(late.candidates(5, 30, m=10)) == 30


def test_times_grow_with_what_is_compared(bench, judged):
    found = [full_of_many(judged.views[0]), Candidate(None, 32, "full")]
    found += list(space_of_many(judged.views, vectors=(2, "all"), coded=MANY[:1], ms=(10, 40), total=N))
    lines = calibrate(bench, found, k=10, queries=np.arange(Q))
    assert set(lines) == {None, ("several", FULL_MANY), ("several", MANY[0])}
    few, many = (
        predict(lines, found[-1], n=n, encode=np.zeros(0), compared=bench.compared(found[-1], n)) for n in (N, 10**6)
    )
    assert 0 < few[0] <= few[1]
    assert few[0] <= many[0]
    alone = predict(lines, found[0], n=10**6, encode=np.zeros(0), compared=1)
    assert alone[0] == pytest.approx(lines["several", FULL_MANY].seconds(0, 32, 1)[0])
    assert bench.encode_seconds(found[-1])[0] == 0.02
    assert bench.encode_seconds(found[1])[0] == 0.01


# ------------------------------------------------------------------ the full size


def test_the_full_size_is_the_better_one_by_judgements(bench, judged):
    found = offer(bench, judged.target, FEW, Rules(), total=N, graph=False)
    assert found.candidates[0] == full_of_many(judged.views[0])
    assert found.facts["full_sizes"]["all_vectors"] > found.facts["full_sizes"]["one_vector"]
    assert found.offered.all()
    assert len(set(found.candidates)) == len(found.candidates)

    by_mean = np.argsort(-(judged.views[0].queries @ judged.views[0].documents.T), axis=1)[:, 0]
    target = Judged(tuple({int(i): 1.0} for i in by_mean), np.arange(N))
    found = offer(bench, target, replace(FEW, vectors=(4,)), Rules(), total=N, graph=False)
    assert found.candidates[0] == Candidate(None, 32, "full")
    offered = {c.vectors for c, may in zip(found.candidates, found.offered, strict=True) if may}
    assert offered == {4}
    assert sum(c.vectors is None for c in found.candidates) == 1


def test_without_judgements_it_is_maxsim_whatever_it_scores(bench, judged):
    target = Agreement.of(judged.views[0].tokens.nearest(11), np.full(Q, -1))
    found = offer(bench, target, FEW, Rules(), total=N, graph=False)
    assert found.candidates[0].vectors == "all"
    assert found.facts["full_sizes"]["all_vectors"] == 1
    with pytest.raises(InputError, match="view that has tokens"):
        offer(Workbench([replace(judged.views[0], tokens=None)]), target, FEW, Rules(), total=N, graph=False)


def test_one_vector_alone_is_as_before(bench, judged):
    found = offer(bench, judged.target, Dials(graph=False), Rules(), total=N, graph=False)
    assert found.candidates[0] == Candidate(None, 32, "full")
    assert found.offered.all()
    assert not found.facts


# ------------------------------------------------------------------ plans


def test_a_plan_takes_several_vectors_where_one_is_not_enough(made):
    assert made.verdict == "chosen"
    assert made.several
    assert made.choice.candidate.vectors is not None
    assert made.choice.low >= 0.7
    assert made.choice.ram < made.full.ram
    assert made.choice.timed
    data = json.loads(json.dumps(made.to_json()))
    assert data["choice"]["vectors"] == made.choice.candidate.vectors
    assert data["facts"]["vectors"] == [1, 4, "all"]
    assert {row["vectors"] for row in data["settings"]} == {1, 4, "all"}
    assert any("one vector a record 0." in text for text in sentences(made))


def test_what_was_not_asked_for_is_not_chosen(judged):
    found = plan(judged, Budget(), rules=Rules(keep=0.99), dials=replace(FEW, vectors=(2,)))
    assert found.verdict == "unaffordable"
    assert not is_asked_for(found, found.choice)
    assert not found.full.fits
    first, *rest = sentences(found)
    assert first.startswith("Nothing that was asked for")
    assert "a vector for every token instead of 2" in first
    assert rest[0].startswith("Of what was asked for, v2-")
    limited = sentences(replace(found, budget=Budget(ram=30_000)))
    assert limited[0].startswith("Nothing within the budget")
    assert "2, memory" in limited[0]
    assert limited[1].startswith("Of what the budget has room for, v2-")


def test_agreement_with_maxsim_is_said_to_be_that(judged):
    target = Agreement.of(judged.views[0].tokens.nearest(11), np.full(Q, -1))
    found = plan(replace(judged, target=target), Budget(keep=0.5), dials=replace(FEW, vectors=("all",)))
    said = " ".join(sentences(found))
    assert "agreement with vall-b16 float16@1 m=all stands in" in said
    assert "only judged queries can tell" in said
    assert "rank correlation" not in said  # that was measured with single vectors


# ------------------------------------------------------------------ from a collection, and back to it


class Words:
    """Letter counts of a text, or of each of its words."""

    window = 100

    def __init__(self, size="full"):
        self.size = Size.parse(size)
        self.space = Space("words", weights=str(self.size.many), pooling="mean", dim=32)

    def at(self, size):
        return Words(size)

    def _count(self, text):
        x = np.full(32, 1e-3, np.float32)
        for a, b in itertools.pairwise(text + " "):
            x[(ord(a) * 7 + ord(b)) % 32] += 1
        return x / np.linalg.norm(x)

    def _made(self, texts):
        if not self.size.many:
            return Vectors(np.array([self._count(t) for t in texts], np.float32).reshape(len(texts), 32), self.space)
        items = [[self._count(word) for word in text.split()] for text in texts]
        values = np.array([v for item in items for v in item], np.float32).reshape(-1, 32)
        return MultiVectors(values, np.cumsum([0, *map(len, items)], dtype=np.int64), self.space)

    def encode(self, records, **_):
        return self._made([r if isinstance(r, str) else r.full_text for r in records])

    def encode_query(self, queries, **_):
        return self._made(list(queries))

    def stream(self, records):
        raise NotImplementedError

    def count_tokens(self, texts):
        return [len(t.split()) for t in texts]


def text(rng, n):
    return " ".join("".join(rng.choice(list("abcdefghij"), 4)) for _ in range(n))


@pytest.fixture
def collection(tmp_path):
    rng = np.random.default_rng(0)
    with Collection.create(tmp_path / "c", encoder=Words()) as found:
        found.add([Record(f"r{i}", f"{text(rng, 4)}. {text(rng, 6)}.", title=text(rng, 4)) for i in range(N)])
        yield found


def task(collection, questions=None, **more):
    return task_of(collection, questions, encoder=Words(), tokens=True, say=lambda _: None, **more)


def test_tokens_are_encoded_where_they_are_asked_for(collection):
    found = task(collection, depths=[Depth(3, True, 10), Depth(2, True, 10, tokens=True)])
    assert [view.tokens is not None for view in found.views] == [True, False, True]
    assert (found.target.reference == Agreement.of(found.views[0].tokens.nearest(11), found.target.own).reference).all()
    plain = found.views[1].encode_seconds
    assert len(found.views[0].tokens.encode_seconds) == len(plain)


@pytest.mark.parametrize(
    ("coding", "vectors"), [(MANY[0], 4), (MANY[-1], "all"), (MANY[1], "50%")], ids=["int8", "1 bit", "4 bit"]
)
def test_a_collection_at_a_setting_finds_what_the_plan_measured(collection, coding, vectors):
    """The contract: the same rows in the same order, and as many bytes."""
    rng = np.random.default_rng(5)
    asked = [text(rng, 3) for _ in range(30)]
    measured = task(collection, Questions(tuple(asked), None))
    view, candidate = measured.views[0], Candidate(None, 32, "full", coding, 15, vectors=vectors)
    bench = Workbench([view])
    expected = bench.found(candidate, np.arange(len(asked)), 10)
    names = [record.id for record in collection.records()]
    done = collection.resize(candidate.size(32), codec=coding.codec, candidates=15)
    assert done.size == str(candidate.size(32))
    found = [[result.id for result in collection.search(query, 10)] for query in asked]
    assert found == [[names[i] for i in row] for row in expected.tolist()]
    info = collection.info()
    assert info["several"]["candidates"]["m"] == 15
    assert info["several"]["candidates"]["fixed"] is True
    assert info["vector_bytes"] + 8 * (N + 1) == bench.bytes_of(candidate, N)[1]


def test_so_many_candidates_stay_so_until_they_are_measured_again(collection):
    collection.resize("v4", candidates=12)
    assert collection.settings.candidates == 12
    collection.add([Record(f"more{i}", text(np.random.default_rng(i), 5)) for i in range(2 * N)])
    told = collection.info()["several"]["candidates"]
    assert (told["m"], told["fixed"], told["rows"]) == (12, True, 3 * N)
    collection.resize("v4")
    told = collection.info()["several"]["candidates"]
    assert (collection.settings.candidates, told["fixed"]) == (0, False)
    collection.resize("b1")
    assert collection.settings.several is None
    with pytest.raises(InputError, match="several vectors"):
        replace(collection.settings, codec=None, candidates=3)


@pytest.mark.parametrize("vectors", [4, "50%"])
def test_codes_are_those_that_a_collection_makes(judged, monkeypatch, vectors):
    monkeypatch.setattr("nestvec.planner.tokens._BLOCK", 50)
    how = choose_several(Size(vectors=vectors, bits=8), None, SPACE)
    codes = Workbench(judged.views)._comparing(Candidate(None, 32, "full", MANY[0], 10, vectors=vectors)).codes
    whole = how.pack(judged.views[0].tokens.documents)
    np.testing.assert_array_equal(codes.values, whole.values)
    np.testing.assert_array_equal(codes.offsets, whole.offsets)


def test_fewer_dimensions_of_tokens_are_cut_as_single_vectors_are(judged):
    view = judged.views[0]
    space = replace(SPACE, dim=16)
    cut = joined(cut_tokens(view, space), space)
    whole = view.tokens.documents.values[:, :16]
    np.testing.assert_allclose(cut.values, whole / np.linalg.norm(whole, axis=1, keepdims=True), rtol=1e-5)
    assert cut.offsets.tolist() == view.tokens.documents.offsets.tolist()
