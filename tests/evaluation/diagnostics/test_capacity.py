"""Free vectors: gradients against differences, what was published to be solvable, and advice."""

import itertools
import sys

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.evaluation.diagnostics.capacity import capacity, fit, loss_and_gradients, relevance
from nestvec.evaluation.judgements import read_gains, relevant

module = sys.modules["nestvec.evaluation.diagnostics.capacity"]


def all_pairs(n):
    """Every pair of ``n`` items answers a query of its own, as in LIMIT."""
    return {f"{a} {b}": {str(a), str(b)} for a, b in itertools.combinations(range(n), 2)}


@pytest.mark.parametrize("vectors", [1, 3])
def test_gradients_are_those_of_the_loss(vectors):
    rng = np.random.default_rng(0)
    relevant = rng.random((6, 5)) < 0.4
    relevant[:, 0], relevant[:, 1] = True, False
    asked = rng.standard_normal((6, 4)).astype(np.float32) / 4
    held = rng.standard_normal((5 * vectors, 4)).astype(np.float32) / 4
    _, by_asked, by_held = loss_and_gradients(asked, held, relevant)
    for values, gradient in ((asked, by_asked), (held, by_held)):
        for at in [(0, 0), (3, 2), (4, 3)]:
            before, step = values[at], np.float32(5e-3)
            values[at] = before + step
            up = loss_and_gradients(asked, held, relevant)[0]
            values[at] = before - step
            down = loss_and_gradients(asked, held, relevant)[0]
            values[at] = before
            assert (up - down) / (2 * step) == pytest.approx(gradient[at], rel=0.02, abs=2e-3)


def test_the_loss_is_its_formula():
    asked, held = np.array([[1, 0]], np.float32), np.array([[1, 0], [0, 1], [0.5, 0]], np.float32)
    loss, _, _ = loss_and_gradients(asked, held, np.array([[True, False, True]]))
    # scores 1, 0, 0.5 at a temperature of 0.1: the other item loses by 10 and by 5
    assert loss == pytest.approx((np.log1p(np.exp(-10)) + np.log1p(np.exp(-5))) / 2, rel=1e-3)


@pytest.mark.parametrize(("dim", "n"), [(2, 3), (3, 4), (4, 7), (5, 11)])
def test_small_widths_hold_what_is_known_to_fit(dim, n):
    """Lower bounds: the largest n known to fit is 3, 4, 9 and 13 for these widths."""
    relevant = relevance(all_pairs(n), others=False)
    found = [fit(relevant, dim=dim, steps=3000, seed=seed, stop=0.0) for seed in range(4)]
    assert max(f.margin for f in found) > 0
    assert any(f.solved == 1 for f in found)


def test_a_plane_cannot_hold_all_pairs_of_five():
    relevant = relevance(all_pairs(5), others=False)
    assert all(fit(relevant, dim=2, steps=1000, seed=seed).solved < 1 for seed in range(3))


def test_advice_goes_with_the_fits():
    narrow = capacity(all_pairs(8), dim=2, steps=400)
    assert narrow.fits[0].solved < 1
    assert (narrow.queries, narrow.items) == (28, 8)
    assert "were not enough" in narrow.advice
    wide = capacity(all_pairs(8), dim=16, steps=200)
    assert wide.fits[0].margin > 0.05
    assert "encoder or its training" in wide.advice
    assert [(f.dim, f.vectors) for f in wide.fits] == [(16, 1), (32, 1), (16, 2), (16, 4)]
    assert wide.to_json()["fits"][0]["solved"] == 1


def test_several_vectors_hold_more_than_one():
    relevant = relevance(all_pairs(7), others=False)
    one, four = (max(fit(relevant, dim=3, vectors=m, steps=1000, seed=s).solved for s in range(2)) for m in (1, 4))
    assert four > one


def test_items_nobody_judged_share_a_vector():
    alone = {"q": {"a"}, "r": {"a"}}
    with pytest.raises(InputError, match="items that are not"):
        capacity(alone, dim=4)
    assert capacity(alone, dim=4, others=True, steps=300).items == 1


@pytest.mark.parametrize("wrong", [{"dim": 0}, {"dim": 4, "steps": 0}, {"dim": 4, "shapes": ((4, 0),)}])
def test_numbers_out_of_range(wrong):
    with pytest.raises(InputError, match="at least 1"):
        capacity(all_pairs(3), **wrong)


def test_too_much_at_once_is_refused(monkeypatch):
    monkeypatch.setattr(module, "_CELLS", 20)
    with pytest.raises(InputError, match="sample of the queries"):
        capacity(all_pairs(4), dim=4)


def test_limit_fits_into_the_width_of_the_model_that_fails_on_it(data_dir):
    path = data_dir / "limit_small" / "qrels" / "test.tsv"
    if not path.is_file():
        pytest.skip(f"no judgements at {path}")
    found = capacity(relevant(read_gains(path)), dim=32, shapes=((32, 1),), steps=300)
    assert (found.queries, found.items) == (1000, 46)
    assert found.fits[0].margin > 0.05
