import math

import numpy as np
import pytest

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.metrics.ranking import Qrels, Run, grade, parse

RR = parse("RR")


def test_ranks_of_what_was_judged():
    graded = grade({"q": {"a": 0.1, "b": 0.9, "c": 0.5}}, {"q": {"c": 2, "x": 1, "b": 0}})
    assert (graded.query.tolist(), graded.rank.tolist(), graded.gain.tolist()) == ([0, 0], [1, 2], [0.0, 2.0])
    assert graded.ideal.tolist() == [[2.0, 1.0]]
    assert graded.unjudged == ()


def test_queries_follow_the_judgements():
    qrels = {"nothing relevant": {"a": 0}, "not asked": {"a": 1}, "never judged": {}, "asked": {"a": 1}}
    run = {"asked": {"a": 1.0}, "never judged": {"a": 1.0}, "nothing relevant": {"a": 1.0}, "unknown": {"a": 1.0}}
    assert RR(run, qrels).tolist() == pytest.approx([math.nan, 0.0, math.nan, 1.0], nan_ok=True)
    assert grade(run, qrels).unjudged == ("unknown",)
    assert RR({}, qrels).tolist() == pytest.approx([math.nan, 0.0, math.nan, 0.0], nan_ok=True)
    assert RR({"q": {}}, {}).shape == (0,)


def test_ties_go_to_the_smaller_item():
    found = {"b": 1.0, "a": 1.0, "c": 1.0, "z": 2.0}
    for item, rank in {"z": 1, "a": 2, "b": 3, "c": 4}.items():
        assert RR({"q": found}, {"q": {item: 1}}).tolist() == [1 / rank]
    run = Run(["q"], np.array([[5, 3, 9, 1]]), np.array([[1.0, 1.0, 2.0, 0.5]]))
    for item, rank in {9: 1, 3: 2, 5: 3, 1: 4}.items():
        assert RR(run, {"q": {item: 1}}).tolist() == [1 / rank]


def test_infinite_scores_are_scores():
    assert RR({"q": {"a": -math.inf, "b": math.inf}}, {"q": {"a": 1}}).tolist() == [0.5]
    run = Run(["q"], np.array([[7, -1, 8]]), np.array([[-np.inf, np.nan, 1.0]]))
    assert run.ranked().tolist() == [[8, 7, -1]]


def test_without_scores_the_columns_are_the_ranks():
    run = Run(["q", "r"], np.array([[5, -1, 3], [1, 2, 9]]))
    assert run.ranked().tolist() == [[5, 3, -1], [1, 2, 9]]
    assert RR(run, {"r": {9: 1}, "q": {3: 1}}).tolist() == [1 / 3, 0.5]


def test_rows_in_order_are_taken_as_they_are():
    ids = np.array([[4, 2, -1], [1, 3, 2]])
    assert Run(["q", "r"], ids, np.array([[2.0, 1.0, -np.inf], [1.0, 1.0, 0.5]])).ranked() is ids


def test_judgements_of_items_that_are_not_there_are_told_and_count_as_missed():
    qrels = Qrels({"q": {"a": 1, "gone": 1}, "r": {"gone": 2, "lost": 0}})
    assert qrels.unknown(["a", "b"]) == ("gone", "lost")
    assert qrels.queries == ("q", "r")
    run = Run(["q"], np.array([[0, 1]]), items=["a", "b"])
    assert parse("R@2")(run, qrels).tolist() == [0.5, 0.0]


def test_rows_of_judgements():
    assert Qrels.of([("q", "a", 1), ("r", "a", 0), ("q", "b", 2)]).judged == {"q": {"a": 1, "b": 2}, "r": {"a": 0}}
    with pytest.raises(InputError, match="'q', item 'a' twice"):
        Qrels.of([("q", "a", 1), ("q", "a", 1)])


@pytest.mark.parametrize(
    ("run", "qrels", "error", "says"),
    [
        ({"q": {"a": math.nan, "b": 1.0}}, {"q": {"b": 1}}, NotFiniteError, "query 'q', item 'a'"),
        ({"q": {"a": "high"}}, {"q": {"a": 1}}, InputError, "scores must be numbers"),
        ({"q": {"a": None}}, {"q": {"a": 1}}, NotFiniteError, "query 'q', item 'a'"),
        ({"q": {"a": 1.0}}, {"q": {"a": None}}, NotFiniteError, "got None for query 'q', item 'a'"),
        ({"q": {"a": 1.0}}, {"q": {"a": math.nan}}, NotFiniteError, "gain must be finite"),
        ({"q": {"a": 1.0}}, {"q": {"a": math.inf}}, NotFiniteError, "gain must be finite, got inf"),
        ({"q": {"a": 1.0}}, {"q": {"a": "high"}}, InputError, "gains must be numbers"),
        ({"q": {"a": 1.0, 3: 1.0}}, {"q": {"a": 1}}, InputError, "of one type"),
    ],
)
def test_what_cannot_be_graded_is_refused(run, qrels, error, says):
    with pytest.raises(error, match=says):
        grade(run, qrels)


def test_arrays_that_are_no_run_are_refused():
    ids = np.array([[1, 2]])
    with pytest.raises(ShapeError, match="a row a query"):
        Run(["q", "r"], ids)
    with pytest.raises(InputError, match="comes twice among the queries"):
        Run(["q", "q"], np.array([[1], [2]]))
    with pytest.raises(InputError, match="got one twice for query 'q'"):
        Run(["q"], np.array([[1, -1, -1, 1]]))
    with pytest.raises(ShapeError, match="ids and scores must agree"):
        Run(["q"], ids, np.ones((1, 3)))
    with pytest.raises(NotFiniteError, match="scores must not be NaN"):
        Run(["q"], ids, np.array([[1.0, np.nan]]))
    with pytest.raises(InputError, match="got id 2 and 2 items"):
        Run(["q"], ids, items=["a", "b"])
    with pytest.raises(InputError, match="names of items must be unique"):
        grade(Run(["q"], ids, items=["a", "b", "b"]), {"q": {"a": 1}})
    with pytest.raises(InputError, match="by id"):
        grade(Run(["q"], ids), {"q": {"a": 1}})
    with pytest.raises(InputError, match="must not be negative"):
        grade(Run(["q"], ids), {"q": {-1: 1}})
