import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, ShapeError
from nestvec.metrics import overlap, rank_biased_overlap

ranking = st.lists(st.integers(0, 9), unique=True, max_size=7)


def slow_rbo(a, b, p):
    """Equation 32 of Webber, Moffat and Zobel, term by term."""
    s, n = sorted((len(a), len(b)))
    if n == 0:
        return math.nan
    if s == 0:
        return 0.0

    def common(d):
        return len(set(a[:d]) & set(b[:d]))

    seen = sum(common(d) / d * p**d for d in range(1, n + 1))
    assumed = sum(common(s) * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return (1 - p) / p * (seen + assumed) + ((common(n) - common(s)) / n + common(s) / s) * p**n


@given(st.lists(st.tuples(ranking, ranking), max_size=4), st.sampled_from([0.3, 0.9, 0.98]))
def test_rbo_term_by_term(pairs, p):
    a, b = (padded([pair[i] for pair in pairs]) for i in (0, 1))
    expected = [slow_rbo(x, y, p) for x, y in pairs]
    assert rank_biased_overlap(a, b, p=p).tolist() == pytest.approx(expected, nan_ok=True)
    assert rank_biased_overlap(b, a, p=p).tolist() == pytest.approx(expected, nan_ok=True)


@given(st.lists(st.tuples(ranking, ranking), max_size=4))
def test_overlap_is_a_share_of_the_reference(pairs):
    a, b = (padded([pair[i] for pair in pairs]) for i in (0, 1))
    expected = [len(set(x) & set(y)) / len(y) if y else math.nan for x, y in pairs]
    assert overlap(a, b).tolist() == pytest.approx(expected, nan_ok=True)


def padded(rankings):
    out = np.full((len(rankings), max(map(len, rankings), default=0)), -1)
    for row, ids in zip(out, rankings, strict=True):
        row[: len(ids)] = ids
    return out


def test_the_top_weighs_more():
    reference = np.array([[1, 2, 3, 4]])
    assert rank_biased_overlap(reference, reference) == pytest.approx([1])
    low, high = rank_biased_overlap([[1, 2, 4, 3], [2, 1, 3, 4]], np.repeat(reference, 2, axis=0))
    assert high < low < 1
    assert overlap([[9, 2, 1, 8]], reference).tolist() == [0.5]


def test_what_is_no_ranking_is_refused():
    for metric in (overlap, rank_biased_overlap):
        with pytest.raises(ShapeError, match="a row a query"):
            metric([1, 2], [[1, 2]])
        with pytest.raises(InputError, match="whole numbers"):
            metric([[1.0]], [[1]])
        with pytest.raises(InputError, match="twice in reference, query 1"):
            metric([[1, 2], [1, 2]], [[1, 2], [2, 2]])
    with pytest.raises(InputError, match="p must lie"):
        rank_biased_overlap([[1]], [[1]], p=1.0)
    with pytest.raises(InputError, match="only after the last"):
        rank_biased_overlap([[-1, 2]], [[1, 2]])
