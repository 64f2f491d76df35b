import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, UnknownNameError
from nestvec.metrics.ranking import Measure, Run, grade, measure, parse

ids = st.sampled_from("abcdefgh")
runs = st.dictionaries(ids, st.integers(0, 4).map(float), max_size=8)  # few scores, so that many tie
gains = st.dictionaries(ids, st.integers(-1, 3), max_size=8)
cases = st.dictionaries(st.sampled_from(["q1", "q2", "q3"]), st.tuples(runs, gains), min_size=1)

NAMES = (
    "nDCG@3", "nDCG", "nDCG(dcg='exp-log2')@5", "R@2", "P@4", "RR", "RR@2", "AP", "AP@3", "Success@1", "Rprec",
    "RR(rel=2)@5", "AP(rel=3)", "P(judged_only=True)@2", "nDCG(judged_only=True)@2", "R(rel=2, judged_only=True)@2",
)  # fmt: skip


def slow(m, found, judged):
    """One query, from the definitions, one rank at a time."""
    ranking = sorted(found, key=lambda item: (-found[item], item))
    if m.judged_only:
        ranking = [item for item in ranking if judged.get(item, -1) >= 0]
    relevant = {item for item, gain in judged.items() if gain > 0 and gain >= (m.rel or 0)}
    if not relevant:
        return math.nan
    m_depth = len(relevant) if m.kind == "Rprec" else m.k
    top = ranking[:m_depth]
    hits = [rank for rank, item in enumerate(top, start=1) if item in relevant]

    def dcg(values):
        counted = [2**g - 1 if m.dcg == "exp-log2" else g for g in values]
        return sum(g / math.log2(rank + 1) for rank, g in enumerate(counted, start=1))

    return {
        "nDCG": lambda: (
            dcg([max(judged.get(item, 0), 0) for item in top])
            / dcg(sorted((g for g in judged.values() if g > 0), reverse=True)[: m.k])
        ),
        "R": lambda: len(hits) / len(relevant),
        "P": lambda: len(hits) / m.k,
        "RR": lambda: 1 / hits[0] if hits else 0,
        "AP": lambda: sum(j / rank for j, rank in enumerate(hits, start=1)) / len(relevant),
        "Success": lambda: float(bool(hits)),
        "Rprec": lambda: len(hits) / len(relevant),
    }[m.kind]()


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40)
@given(case=cases)
def test_each_measure_equals_its_definition(name, case):
    m = parse(name)
    run = {query: found for query, (found, _) in case.items() if found}
    qrels = {query: judged for query, (_, judged) in case.items()}
    expected = [slow(m, found, judged) for found, judged in case.values()]
    assert m(run, qrels).tolist() == pytest.approx(expected, nan_ok=True, abs=1e-12)


@settings(max_examples=40)
@given(case=cases)
def test_arrays_say_the_same_as_names(case):
    queries, items = list(case), list("abcdefgh")
    table = np.full((len(queries), 8), -1, np.int64)
    scores = np.zeros((len(queries), 8), np.float32)
    for row, (found, _) in enumerate(case.values()):
        for column, (item, score) in enumerate(found.items()):
            table[row, column], scores[row, column] = items.index(item), score
    run = {query: found for query, (found, _) in case.items()}
    qrels = {query: judged for query, (_, judged) in case.items()}
    mine = measure(Run(queries, table, scores, items=items), qrels, NAMES)
    for name, values in measure(run, qrels, NAMES).items():
        assert mine[name].tolist() == pytest.approx(values.tolist(), nan_ok=True, abs=0)
    by_id = {query: {items.index(item): gain for item, gain in judged.items()} for query, judged in qrels.items()}
    for name, values in measure(Run(queries, table, scores), by_id, NAMES).items():
        assert mine[name].tolist() == pytest.approx(values.tolist(), nan_ok=True, abs=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_read_as_it_is_written(name):
    assert parse(name).name == name
    assert str(parse(f"  {name} ")) == name
    assert parse(parse(name).name) == parse(name)


@pytest.mark.parametrize(
    ("other", "name"),
    [("NDCG@10", "nDCG@10"), ("MRR@10", "RR@10"), ("map", "AP"), ("Recall@5", "R@5"), ("hit@1", "Success@1"),
     ("precision@3", "P@3"), ("RR( rel = 2 )@10", "RR(rel=2)@10"), ("AP()", "AP"), ('nDCG(dcg="log2")', "nDCG")],
)  # fmt: skip
def test_other_spellings(other, name):
    assert parse(other).name == name


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("nDGC@10", UnknownNameError, "did you mean 'nDCG'"),
        ("zzzzz@10", UnknownNameError, "there are nDCG"),
        ("nDCG@0", InputError, "whole number from 1, got '0'"),
        ("nDCG@-1", InputError, "whole number from 1, got '-1'"),
        ("nDCG@ten", InputError, "whole number from 1, got 'ten'"),
        ("nDCG@", InputError, "whole number from 1, got ''"),
        ("nDCG 10", InputError, "must look like"),
        ("", InputError, "must look like"),
        ("P", InputError, "needs a depth"),
        ("R", InputError, "write R@10"),
        ("Rprec@10", InputError, "a depth of its own"),
        ("RR(rel=two)@10", InputError, "rel must be a number, got 'two'"),
        ("RR(rel=0)@10", InputError, "rel must be above 0"),
        ("RR(rel=nan)@10", InputError, "rel must be above 0"),
        ("RR(gain=2)@10", UnknownNameError, "no parameter 'gain'"),
        ("nDCG(rel=2)@10", UnknownNameError, "no parameter 'rel'"),
        ("RR(rel=1, rel=2)", InputError, "given once"),
        ("RR(rel)", InputError, "name=value"),
        ("P(judged_only=yes)@1", InputError, "True or False"),
        ("nDCG(dcg='ln')@1", InputError, "log2 or exp-log2"),
    ],
)
def test_what_is_no_measure_is_refused(name, error, says):
    with pytest.raises(error, match=says):
        parse(name)


def test_a_measure_checks_itself():
    with pytest.raises(InputError, match="at least 1, got 0"):
        Measure("AP", 0)
    with pytest.raises(UnknownNameError, match="unknown measure 'ERR'"):
        Measure("ERR", 10)
    with pytest.raises(InputError, match="only nDCG has it"):
        Measure("AP", dcg="exp-log2")


def test_one_reading_serves_many_measures():
    run, qrels = {"q": {"a": 2.0, "b": 1.0}}, {"q": {"b": 1}}
    graded = grade(run, qrels)
    assert parse("RR").of(graded).tolist() == [0.5]
    both = measure(run, qrels, ["mrr", parse("R@1")])
    assert {name: values.tolist() for name, values in both.items()} == {"RR": [0.5], "R@1": [0.0]}


def random_case(seed, queries=40, items=300, found=80):
    """Scores that never tie, not even in 32 bits, as trec_eval knows them."""
    rng = np.random.default_rng(seed)
    names = [f"d{i}" for i in range(items)]
    run, qrels = {}, {}
    for q in range(queries):
        scores = rng.permutation(items)[:found] / 64
        picks = rng.choice(items, found, replace=False)
        run[f"q{q}"] = {names[i]: float(s) for i, s in zip(picks, scores, strict=True)}
        judged = rng.choice(items, 25, replace=False)
        qrels[f"q{q}"] = {names[i]: int(g) for i, g in zip(judged, rng.integers(-1, 4, 25), strict=True)}
    return run, qrels


@pytest.mark.peer
def test_they_agree_with_trec_eval():
    peer = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is not installed")
    theirs = {
        "nDCG@10": "ndcg_cut_10", "nDCG": "ndcg", "R@20": "recall_20", "P@5": "P_5", "RR": "recip_rank", "AP": "map",
        "AP@15": "map_cut_15", "Success@1": "success_1", "Rprec": "Rprec",
    }  # fmt: skip
    run, qrels = random_case(0)
    asked = {"ndcg_cut.10", "ndcg", "recall.20", "P.5", "recip_rank", "map", "map_cut.15", "success.1", "Rprec"}
    expected = peer.RelevanceEvaluator(qrels, asked).evaluate(run)
    for name, values in measure(run, qrels, theirs).items():
        assert values.tolist() == pytest.approx([expected[q][theirs[name]] for q in qrels], abs=1e-12)


@pytest.mark.peer
def test_equal_scores_go_the_other_way_in_trec_eval():
    """Documented in :func:`grade`: ours go to the name that comes first, theirs to the one that comes last."""
    peer = pytest.importorskip("pytrec_eval", reason="pytrec-eval-terrier is not installed")
    run, qrels = {"q": {"a": 1.0, "b": 1.0, "c": 0.5}}, {"q": {"a": 1}}
    assert parse("RR")(run, qrels).tolist() == [1.0]
    assert peer.RelevanceEvaluator(qrels, {"recip_rank"}).evaluate(run)["q"]["recip_rank"] == 0.5


@pytest.mark.peer
@pytest.mark.parametrize(
    "name",
    ["nDCG@10", "R@20", "P@5", "RR@3", "AP", "AP(rel=2)@15", "RR(rel=2)@10", "Success@1", "Rprec", "P(rel=3)@10",
     "P(judged_only=True)@5", "AP(judged_only=True)"],
)  # fmt: skip
def test_names_mean_what_they_mean_to_ir_measures(name):
    peer = pytest.importorskip("ir_measures", reason="ir-measures is not installed")
    run, qrels = random_case(1)
    expected = {m.query_id: m.value for m in peer.iter_calc([peer.parse_measure(name)], qrels, run)}
    values = parse(name)(run, qrels)
    wanted = [expected[query] for query in qrels]
    assert np.nan_to_num(values).tolist() == pytest.approx(wanted, abs=1e-9)
