import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, ShapeError
from nestvec.metrics import accuracy, correct, f1, f1_by_class

labels = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abcd")), min_size=1, max_size=15)


@given(labels)
def test_f1_of_each_class_from_precision_and_recall(rows):
    truth, predicted = map(list, zip(*rows, strict=True))
    values, items = f1_by_class(truth, predicted)
    expected = []
    for name in sorted(set(truth) | set(predicted)):
        hits = sum(t == p == name for t, p in rows)
        precision = hits / predicted.count(name) if name in predicted else 0
        recall = hits / truth.count(name) if name in truth else 0
        expected.append(2 * precision * recall / (precision + recall) if hits else 0)
    assert values.tolist() == pytest.approx(expected)
    assert items.sum() == len(rows)
    assert f1(truth, predicted) == pytest.approx(np.mean(expected))
    assert f1(truth, predicted, average="micro") == accuracy(truth, predicted) == correct(truth, predicted).mean()


def test_a_rare_class_counts_as_much_as_a_common_one_in_the_macro_mean():
    truth, always = [0] * 9 + [1], [0] * 10
    assert accuracy(truth, always) == 0.9
    assert f1(truth, always) == pytest.approx((18 / 19 + 0) / 2)
    assert f1(truth, always, average="weighted") == pytest.approx(0.9 * 18 / 19)


def test_nothing_and_what_is_refused():
    assert math.isnan(accuracy([], []))
    assert math.isnan(f1([], []))
    with pytest.raises(ShapeError, match="must both be"):
        accuracy([1], [1, 2])
    with pytest.raises(InputError, match="of one kind"):
        accuracy([1], ["1"])
    with pytest.raises(InputError, match="NaN at 1"):
        accuracy([1.0, 2.0], [1.0, math.nan])
    with pytest.raises(InputError, match="macro, micro or weighted"):
        f1([1], [1], average="none")


@pytest.mark.peer
def test_they_agree_with_scikit_learn():
    peer = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 12, 500)
    predicted = np.where(rng.random(500) < 0.5, truth, rng.integers(0, 14, 500))
    assert accuracy(truth, predicted) == pytest.approx(peer.accuracy_score(truth, predicted))
    for average in ("macro", "micro", "weighted"):
        expected = peer.f1_score(truth, predicted, average=average, zero_division=0)
        assert f1(truth, predicted, average=average) == pytest.approx(expected)
