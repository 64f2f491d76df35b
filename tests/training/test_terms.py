"""Losses as a list of objectives (nestvec.training.terms), and the loop that sums them."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from nestvec.core.errors import InputError, UnknownNameError

torch = pytest.importorskip("torch")

from nestvec.objectives import EmbeddingMatch, InfoNCE, ScoreKL  # noqa: E402  # they need torch
from nestvec.training.distill import Rung, Settings, rung_losses  # noqa: E402
from nestvec.training.student import Student, TokenTable  # noqa: E402
from nestvec.training.terms import STARBUCKS, Term  # noqa: E402

ROTATION = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))[0]


def _losses(settings, *, rotation=ROTATION):
    """Of a student that is a token table alone, with what it and the teacher give for the batch."""
    seed = torch.Generator().manual_seed(0)
    table = TokenTable(*(torch.randn(*shape, generator=seed) for shape in ((9, 4), (4, 6), (6,), (9,))))
    student = Student(None, lambda states, mask: states, (), width=6, dim=6, table=table)
    teacher = torch.randn(5, 6, generator=seed)
    ids = torch.randint(1, 9, (5, 3), generator=seed)
    rows = [(ids[:2], ids[:2] > 0), (ids[2:], ids[2:] > 0)]
    losses = rung_losses(
        student, teacher, rows, settings, rotation=rotation, special=torch.tensor([0]), autocast=nullcontext()
    )
    vectors = table.vectors(table.bag(ids, ids > 0))
    return losses, vectors, teacher


def test_the_default_is_three_times_the_match_and_the_ranking():
    """The sum that was written out in the loop before terms could be chosen, to the bit."""
    losses, vectors, teacher = _losses(Settings((Rung(0, weight=0.5), Rung(0, dim=2, weight=0.15))))
    own = torch.eye(5, dtype=torch.bool)
    ranking = ScoreKL(0.05)
    full = 1.0 * ranking(vectors, vectors, teacher, teacher, ignore=own) + 3.0 * EmbeddingMatch()(vectors, teacher)
    narrow = (vectors @ ROTATION)[:, :2]
    assert torch.equal(losses["L0-dall-rall"], 0.5 * full)
    assert torch.equal(losses["L0-d2-rall"], 0.15 * ranking(narrow, narrow, teacher, teacher, ignore=own))


def test_any_objective_of_two_sets_of_vectors_will_do():
    terms = (Term("info-nce@1", weight=2.0, options={"temperature": 0.1}),)
    losses, vectors, teacher = _losses(Settings((Rung(0), Rung(0, dim=3)), terms=terms))
    loss = InfoNCE(0.1)
    assert losses["L0-dall-rall"].item() == pytest.approx(2 * loss(vectors, teacher).item())
    narrow, alike = (vectors @ ROTATION)[:, :3], (teacher @ ROTATION)[:, :3]
    assert losses["L0-d3-rall"].item() == pytest.approx(2 * loss(narrow, alike).item())
    bare, vectors, teacher = _losses(Settings((Rung(0, dim=3),), terms=terms), rotation=None)
    assert bare["L0-d3-rall"].item() == pytest.approx(2 * loss(vectors[:, :3], teacher[:, :3]).item())


def test_a_term_is_for_all_rungs_or_full_ones_or_depths():
    assert [STARBUCKS[0].is_for(1, dim) for dim in (None, 64)] == [True, True]
    assert [STARBUCKS[1].is_for(1, dim) for dim in (None, 64)] == [True, False]
    chosen = Term("score-kl@1", rungs=(1, 3))
    assert [chosen.is_for(k, 64) for k in range(4)] == [False, True, False, True]


def test_what_is_no_term_is_said():
    with pytest.raises(UnknownNameError, match="score-kl@1"):
        Term("score-kl")
    with pytest.raises(InputError, match="above 0, got 0"):
        Term("score-kl@1", weight=0.0)
    with pytest.raises(InputError, match=r"some of temperature, got \{'heat': 1\}"):
        Term("score-kl@1", options={"heat": 1})
    with pytest.raises(InputError, match="inner, dims"):
        Term("nested@1")
    with pytest.raises(InputError, match="some of clusters, temperature, rounds"):
        Term("crisp@1", options={"k": 4})
