import numpy as np
import pytest

from nestvec.core import Hits, MultiVectors, Space, SparseVectors, Vectors
from nestvec.core.errors import ShapeError

SPACE = Space("mini", "w", "mean", 4)


def offsets(*values):
    return np.array(values, np.int64)


def rows(n, d=4):
    return np.arange(n * d, dtype=np.float32).reshape(n, d)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_vectors_have_the_width_of_their_space(n):
    assert len(Vectors(rows(n), SPACE)) == n
    with pytest.raises(ShapeError, match=r"\[n, 4\] for mini .* got shape \(\d, 5\)"):
        Vectors(rows(n, 5), SPACE)


def test_many_vectors_are_cut_at_their_offsets():
    many = MultiVectors(rows(5), offsets(0, 2, 2, 5), SPACE)
    assert len(many) == 3
    assert [len(many[i]) for i in range(3)] == [2, 0, 3]
    assert (many[-1] == rows(5)[2:]).all()
    assert np.shares_memory(many[0], many.values)
    with pytest.raises(IndexError):
        many[3]
    assert [len(item) for item in many] == [2, 0, 3]


def test_no_items_at_all():
    assert len(MultiVectors(rows(0), offsets(0), SPACE)) == 0
    empty = SparseVectors(np.zeros(0, np.float32), offsets(), offsets(0), SPACE)
    assert len(empty) == 0


@pytest.mark.parametrize("bad", [(1, 5), (0, 4), (0, 3, 2, 5), (0, 6), ()])
def test_offsets_must_rise_from_zero_to_the_last_row(bad):
    with pytest.raises(ShapeError, match="rise from 0 to 5"):
        MultiVectors(rows(5), offsets(*bad), SPACE)
    with pytest.raises(ShapeError, match="rise from 0 to 5"):
        SparseVectors(np.ones(5, np.float32), offsets(0, 1, 2, 3, 0), offsets(*bad), SPACE)


def test_many_vectors_have_the_width_of_their_space():
    with pytest.raises(ShapeError, match=r"\[t, 4\]"):
        MultiVectors(rows(2, 3), offsets(0, 2), SPACE)


@pytest.mark.parametrize("column", [-1, 4])
def test_a_sparse_column_must_exist(column):
    with pytest.raises(ShapeError, match=r"\[0, 4\)"):
        SparseVectors(np.ones(1, np.float32), offsets(column), offsets(0, 1), SPACE)


def test_empty_hits_hold_nothing():
    hits = Hits.empty(2, 3)
    assert len(hits) == 2
    assert (hits.ids == -1).all()
    assert np.isneginf(hits.scores).all()
    assert (hits.ids.dtype, hits.scores.dtype) == (np.int64, np.float32)
