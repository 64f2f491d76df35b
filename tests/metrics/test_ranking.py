import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, ShapeError
from nestvec.metrics.ranking import (
    average_precision,
    judge,
    ndcg,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
    success,
)

ids = st.sampled_from("abcdefgh")
found_lists = st.lists(st.lists(ids, unique=True, max_size=8), min_size=1, max_size=4)


@st.composite
def cases(draw):
    found = draw(found_lists)
    judged = [draw(st.dictionaries(ids, st.integers(-1, 3), max_size=8)) for _ in found]
    return found, judged, draw(st.integers(1, 9))


# Slow, from the definitions, one query at a time, straight from ids: nothing shared with the code under test.
def slow_ndcg(found, judged, k):
    def dcg(gains):
        return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))

    gains = [max(judged.get(name, 0), 0) for name in found][:k]
    best = sorted([g for g in judged.values() if g > 0], reverse=True)[:k]
    return dcg(gains) / dcg(best) if best else math.nan


def slow_recall(found, judged, k):
    relevant = {name for name, gain in judged.items() if gain > 0}
    return len(relevant & set(found[:k])) / len(relevant) if relevant else math.nan


def slow_reciprocal_rank(found, judged, k):
    if not any(gain > 0 for gain in judged.values()):
        return math.nan
    return next((1 / rank for rank, name in enumerate(found[:k], start=1) if judged.get(name, 0) > 0), 0.0)


def hits(found, judged):
    return [judged.get(name, 0) > 0 for name in found]


def slow_precision(found, judged, k):
    return sum(hits(found[:k], judged)) / k if any(g > 0 for g in judged.values()) else math.nan


def slow_average_precision(found, judged, k):
    relevant = sum(gain > 0 for gain in judged.values())
    at_hits = [sum(hits(found[:i], judged)) / i for i in range(1, k + 1) if any(hits(found[i - 1 : i], judged))]
    return sum(at_hits) / relevant if relevant else math.nan


def slow_success(found, judged, k):
    return float(any(hits(found[:k], judged))) if any(g > 0 for g in judged.values()) else math.nan


def slow_r_precision(found, judged, k):
    relevant = sum(gain > 0 for gain in judged.values())
    return sum(hits(found[: min(k, relevant)], judged)) / relevant if relevant else math.nan


@pytest.mark.parametrize(
    ("metric", "slow"),
    [
        (ndcg, slow_ndcg),
        (recall, slow_recall),
        (reciprocal_rank, slow_reciprocal_rank),
        (precision, slow_precision),
        (average_precision, slow_average_precision),
        (success, slow_success),
        (r_precision, slow_r_precision),
    ],
)
@given(case=cases())
def test_each_metric_equals_its_definition(metric, slow, case):
    found, judged, k = case
    expected = [slow(f, j, k) for f, j in zip(found, judged, strict=True)]
    assert np.allclose(metric(*judge(found, judged, k=k)), expected, rtol=0, atol=1e-12, equal_nan=True)


def test_a_ranking_worked_out_by_hand():
    ranked, ideal = judge([["x", "a", "b"]], [{"a": 3, "b": 2, "c": 1}], k=3)
    assert ranked.tolist() == [[0, 3, 2]]
    assert ideal.tolist() == [[3, 2, 1]]
    expected = (3 / math.log2(3) + 2 / 2) / (3 + 2 / math.log2(3) + 1 / 2)
    assert ndcg(ranked, ideal) == pytest.approx([expected])
    assert recall(ranked, ideal) == pytest.approx([2 / 3])
    assert reciprocal_rank(ranked, ideal) == pytest.approx([1 / 2])


def test_recall_counts_relevant_items_past_the_depth():
    ranked, ideal = judge([["a"]], [{"a": 1, "b": 1, "c": 1, "d": 1}], k=2)
    assert ranked.shape == (1, 2)
    assert ideal.shape == (1, 4)
    assert recall(ranked, ideal) == pytest.approx([0.25])


def test_no_queries():
    ranked, ideal = judge([], [], k=5)
    assert ndcg(ranked, ideal).shape == (0,)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(InputError, match="k must be at least 1, got 0"):
        judge([["a"]], [{}], k=0)
    with pytest.raises(InputError, match="'a' twice for query 1"):
        judge([["b"], ["a", "a"]], [{}, {}], k=2)
    with pytest.raises(ShapeError, match="got 1 and 2"):
        judge([["a"]], [{}, {}], k=1)


def test_a_second_find_after_the_depth_is_nobodys_business():
    assert judge([["a", "b", "a"]], [{"a": 1}], k=2)[0].tolist() == [[1, 0]]
