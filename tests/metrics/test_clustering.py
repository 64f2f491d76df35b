import math
from itertools import combinations, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError, ShapeError
from nestvec.metrics import ari, clustering_accuracy, completeness, homogeneity, nmi, v_measure

ALL = (homogeneity, completeness, v_measure, nmi, ari, clustering_accuracy)
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12)


@given(rows)
def test_accuracy_tries_every_naming(pairs):
    truth, clusters = map(list, zip(*pairs, strict=True))
    best = max(sum(names[c] == t for t, c in pairs) for names in permutations(range(4)))
    assert clustering_accuracy(truth, clusters) == pytest.approx(best / len(pairs))


@given(rows)
def test_ari_counts_pairs(pairs):
    counts = np.zeros((2, 2))
    for (t, c), (u, d) in combinations(pairs, 2):
        counts[int(t == u), int(c == d)] += 1
    (apart, wrongly_together), (wrongly_apart, together) = counts
    top = 2 * (together * apart - wrongly_apart * wrongly_together)
    bottom = (together + wrongly_apart) * (wrongly_apart + apart) + (together + wrongly_together) * (
        wrongly_together + apart
    )
    expected = top / bottom if bottom else 1.0
    assert ari(*map(list, zip(*pairs, strict=True))) == pytest.approx(expected)


@given(rows)
def test_entropies_from_their_definition(pairs):
    def entropy(values):
        shares = [values.count(v) / len(values) for v in set(values)]
        return -sum(p * math.log(p) for p in shares)

    truth, clusters = (list(column) for column in zip(*pairs, strict=True))
    a, b, both = entropy(truth), entropy(clusters), entropy(pairs)
    h, c = (1 - (both - b) / a if a else 1.0), (1 - (both - a) / b if b else 1.0)
    assert homogeneity(truth, clusters) == pytest.approx(h, abs=1e-9)
    assert completeness(truth, clusters) == pytest.approx(c, abs=1e-9)
    expected = 2 * h * c / (h + c) if h + c > 1e-9 else 0.0
    assert v_measure(truth, clusters) == pytest.approx(expected, abs=1e-9)
    assert nmi(truth, clusters) == pytest.approx(expected, abs=1e-9)


@settings(max_examples=30)
@given(rows, st.permutations(range(4)))
def test_names_and_order_do_not_matter(pairs, names):
    truth, clusters = map(list, zip(*pairs, strict=True))
    renamed = [f"cluster {names[c]}" for c in clusters]
    for metric in ALL:
        assert metric(truth[::-1], renamed[::-1]) == pytest.approx(metric(truth, clusters), abs=1e-12)
        assert metric(truth, truth) == pytest.approx(1)


def test_nothing_and_what_is_refused():
    for metric in ALL:
        assert math.isnan(metric([], []))
        with pytest.raises(ShapeError, match="truth and clusters"):
            metric([1], [1, 2])
        with pytest.raises(InputError, match="NaN at 0"):
            metric([1.0], [math.nan])


@pytest.mark.peer
@pytest.mark.parametrize("kept", [0.0, 0.6, 1.0])
def test_they_agree_with_scikit_learn(kept):
    peer = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 9, 600)
    clusters = np.where(rng.random(600) < kept, truth, rng.integers(0, 15, 600))
    assert homogeneity(truth, clusters) == pytest.approx(peer.homogeneity_score(truth, clusters), abs=1e-9)
    assert completeness(truth, clusters) == pytest.approx(peer.completeness_score(truth, clusters), abs=1e-9)
    assert v_measure(truth, clusters) == pytest.approx(peer.v_measure_score(truth, clusters), abs=1e-9)
    assert nmi(truth, clusters) == pytest.approx(peer.normalized_mutual_info_score(truth, clusters), abs=1e-9)
    assert ari(truth, clusters) == pytest.approx(peer.adjusted_rand_score(truth, clusters), abs=1e-12)
