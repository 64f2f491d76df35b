"""Rows of which some numbers are kept."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.core.errors import InputError
from nestvec.tables import make_spec, stored_bytes
from nestvec.tables.method import Part
from nestvec.tables.packing import FORMS, Packed, form_of
from nestvec.tables.sparse import COO, CSR, Leading, check_kept, largest, pruned, pruned_shapes, spread


@st.composite
def masked(draw):
    """``(values, mask, leading)``; dense, sparse and empty, with rows beyond a block of sixteen."""
    n, w = draw(st.integers(1, 60)), draw(st.sampled_from([1, 3, 16, 300]))
    leading = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    share = draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    mask = rng.random((n, w)) < share
    if leading:
        mask = np.arange(w) < mask.sum(axis=1)[:, None]
    return rng.standard_normal((n, w)).astype(np.float32), mask, leading


@given(masked(), st.sampled_from(["float32", "float16", "int4", "dpq4"]))
@settings(max_examples=80)
def test_what_is_kept_comes_back_and_the_rest_is_zero(given_, codec):
    values, mask, leading = given_
    form = pruned(codec, values, mask, leading=leading)
    part = Part(*mask.shape, kept=int(mask.sum()), leading=leading)
    assert isinstance(form, Packed)
    assert {n: (v.dtype.name, v.shape) for n, v in form.arrays().items()} == dict(pruned_shapes(codec, part))
    at = np.random.default_rng(1).integers(0, len(values), 25)
    want = np.where(mask, values, 0)
    if codec != "float32":
        want = want.astype(np.float16).astype(np.float32)
    again = form_of(form.id, form.arrays())
    assert FORMS[form.id] is type(form)
    for one in (form, again):
        assert one.take(at).dtype == np.float32
        assert (one.take(at) == want[at]).all()
        assert one.take(at[:0]).shape == (0, mask.shape[1])
    assert (again.mask() == mask).all()


def test_the_smaller_of_two_forms_is_taken():
    x = np.ones((100, 16), np.float32)
    for kept in (1, 50, 130, 140, 400, 1600):
        mask = spread(100, 16, kept)
        by_row, by_place = CSR.of(x, mask, "float32"), COO.of(x, mask, "float32")
        sizes = [sum(a.nbytes for a in form.arrays().values()) for form in (by_row, by_place)]
        form = pruned("float32", x, mask, leading=False)
        assert sum(a.nbytes for a in form.arrays().values()) == min(sizes)
        assert (by_row.take(np.arange(100)) == by_place.take(np.arange(100))).all()
    assert {pruned("float32", x, spread(100, 16, k), leading=False).id for k in (5, 800)} == {"csr@1", "coo@1"}


def test_a_length_a_row_costs_little():
    x = np.ones((16_000, 16), np.float32)
    form = pruned("float32", x, spread(16_000, 16, 80_000), leading=True)
    assert isinstance(form, Leading)
    assert sum(a.nbytes for a in form.arrays().values()) == 80_000 * 4 + 16_000 + 4 * 1000 + 16


@given(st.integers(0, 40), st.integers(0, 9))
def test_exactly_so_many_of_the_largest(kept, seed):
    scores = np.random.default_rng(seed).integers(0, 4, (8, 5)).astype(np.float32)  # many are equal
    mask = largest(scores, kept)
    assert mask.sum() == kept
    if 0 < kept < 40:
        assert scores[mask].min() >= scores[~mask].max()
        edge = scores == scores[mask].min()
        assert mask[edge][: int((mask & edge).sum())].all()  # the earlier of equals


def test_an_even_spread_and_what_is_refused():
    mask = spread(7, 5, 17)
    assert mask.sum(axis=1).tolist() == [3, 3, 3, 2, 2, 2, 2]
    assert (mask[:, 1:] <= mask[:, :-1]).all()
    for kept in (0, -1, 41):
        with pytest.raises(InputError, match="kept must be from 1 to the 40 numbers"):
            check_kept(kept, 40)
        with pytest.raises(InputError, match="kept must be"):
            make_spec("sparse", 10, 4, kept=kept)


def test_places_and_lengths_are_counted():
    """At one number in sixteen, what says where numbers are is as dear as they: the survey's point."""
    full = stored_bytes(make_spec("full", 100_000, 16))
    for name, low, high in (("sparse", 0.12, 0.13), ("leading", 0.08, 0.085)):
        assert low < stored_bytes(make_spec(name, 100_000, 16, kept=100_000)) / full < high
