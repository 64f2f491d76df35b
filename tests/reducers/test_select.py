"""The best tokens by a score (nestvec.reducers.select)."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.reducers.select import select


@given(st.lists(st.integers(0, 6), max_size=5), st.integers(1, 4), st.integers(0, 99))
def test_it_keeps_the_best_of_each_item_in_the_order_of_the_text(counts, k, seed):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    tokens = rng.standard_normal((offsets[-1], 3)).astype(np.float32)
    scores = rng.integers(0, 3, offsets[-1])  # with ties
    got, starts = select(tokens, offsets, scores, k=k)
    for i, count in enumerate(counts):
        own = list(range(offsets[i], offsets[i] + count))
        best = sorted(sorted(own, key=lambda row: (-scores[row], row))[:k])
        assert np.array_equal(got[starts[i] : starts[i + 1]], tokens[best])


def test_a_share_is_rounded_up():
    tokens, offsets = np.eye(9, dtype=np.float32), np.array([0, 0, 1, 5, 9], np.int64)
    got, starts = select(tokens, offsets, np.arange(9), ratio=0.5)
    assert np.diff(starts).tolist() == [0, 1, 2, 2]
    assert got.argmax(axis=1).tolist() == [0, 3, 4, 7, 8]
    whole, _ = select(tokens, offsets, np.arange(9), ratio=1.0)
    assert np.array_equal(whole, tokens)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"k": 0}, InputError),
        ({"k": 1, "ratio": 0.5}, InputError),
        ({}, InputError),
        ({"ratio": 1.5}, InputError),
        ({"k": 1, "offsets": np.array([0, 3], np.int64)}, ShapeError),
        ({"k": 1, "offsets": np.array([0, 3, 2, 4], np.int64)}, ShapeError),
        ({"k": 1, "scores": np.zeros(3)}, ShapeError),
        ({"k": 1, "scores": np.array([0, 1, np.nan, 2])}, NotFiniteError),
    ],
)
def test_what_cannot_be_meant_is_refused(change, error):
    given_ = {"tokens": np.eye(4, dtype=np.float32), "offsets": np.array([0, 4], np.int64), "scores": np.zeros(4)}
    given_ |= change
    with pytest.raises(error):
        select(given_.pop("tokens"), given_.pop("offsets"), given_.pop("scores"), **given_)
