import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.metrics import best_accuracy, best_f1, pr_auc, precision_at_recall, roc_auc

ALL = (pr_auc, roc_auc, precision_at_recall, best_f1, best_accuracy)
rows = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=1, max_size=14)


@given(rows, st.sampled_from([0.3, 0.5, 0.95, 1.0]))
def test_every_threshold_one_by_one(pairs, recall):
    labels, scores = map(list, zip(*pairs, strict=True))
    n, positives = len(labels), sum(labels)
    cuts = []
    for threshold in sorted(set(scores), reverse=True):
        taken = [label for label, score in pairs if score >= threshold]
        cuts.append((sum(taken), len(taken)))
    if not positives:
        assert all(math.isnan(metric(labels, scores)) for metric in ALL if metric is not best_accuracy)
        assert best_accuracy(labels, scores) == 1
        return
    area = before = 0.0
    for hits, taken in cuts:
        area += (hits - before) / positives * hits / taken
        before = hits
    assert pr_auc(labels, scores) == pytest.approx(area)
    assert best_f1(labels, scores) == pytest.approx(max(2 * h / (t + positives) for h, t in cuts))
    right = [n - positives, *(h + (n - positives) - (t - h) for h, t in cuts)]
    assert best_accuracy(labels, scores) == pytest.approx(max(right) / n)
    enough = [h / t for h, t in cuts if h / positives >= recall - 1e-12]
    assert precision_at_recall(labels, scores, recall=recall) == pytest.approx(max(enough))


@given(rows)
def test_roc_is_the_share_of_pairs_in_order(pairs):
    true, false = ([score for label, score in pairs if label is side] for side in (True, False))
    wins = [(a > b) + (a == b) / 2 for a in true for b in false]
    expected = np.mean(wins) if wins else math.nan
    assert roc_auc(*map(list, zip(*pairs, strict=True))) == pytest.approx(expected, nan_ok=True)


@settings(max_examples=30)
@given(rows, st.randoms())
def test_the_order_of_the_pairs_does_not_matter(pairs, rng):
    other = rng.sample(pairs, len(pairs))
    for metric in ALL:
        a, b = metric(*map(list, zip(*pairs, strict=True))), metric(*map(list, zip(*other, strict=True)))
        assert a == pytest.approx(b, nan_ok=True)


def test_nineteen_of_twenty_are_95_percent():
    labels = [1] * 19 + [0] * 5 + [1]
    assert precision_at_recall(labels, -np.arange(25.0)) == 1


def test_nothing_and_what_is_refused():
    for metric in ALL:
        assert math.isnan(metric([], []))
        with pytest.raises(ShapeError, match="labels and scores"):
            metric([1], [0.5, 0.1])
        with pytest.raises(InputError, match=r"0 or 1, got .*2"):
            metric([1, 2], [0.5, 0.1])
        with pytest.raises(NotFiniteError, match="the first at 0"):
            metric([1, 0], [math.nan, 0.1])
    with pytest.raises(InputError, match="recall must lie"):
        precision_at_recall([1], [1.0], recall=0.0)


@pytest.mark.peer
@pytest.mark.parametrize("levels", [5, 10**9])
def test_they_agree_with_scikit_learn(levels):
    peer = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(levels)
    labels = rng.random(400) < 0.3
    scores = rng.integers(0, levels, 400) + labels * levels * 0.3
    assert pr_auc(labels, scores) == pytest.approx(peer.average_precision_score(labels, scores), abs=1e-12)
    assert roc_auc(labels, scores) == pytest.approx(peer.roc_auc_score(labels, scores), abs=1e-12)
    precision, recall, _ = peer.precision_recall_curve(labels, scores)
    assert precision_at_recall(labels, scores) == pytest.approx(precision[recall >= 0.95].max(), abs=1e-12)
