"""The three ways of the rank regulariser (nestvec.objectives.rank), beside its contract."""

import math

import pytest

torch = pytest.importorskip("torch")

from nestvec.metrics.spectrum import rankme  # noqa: E402
from nestvec.objectives.rank import RepresentationRank  # noqa: E402

pytestmark = pytest.mark.text


def draw(n=12, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def descend(loss, x, teacher, steps=60):
    x = x.clone().requires_grad_()
    made = torch.optim.Adam([x], lr=0.05)
    for _ in range(steps):
        made.zero_grad()
        loss(x, teacher).backward()
        made.step()
    return x.detach()


def test_low_lowers_the_rank_high_raises_it_and_teacher_meets_it():
    flat = draw() * torch.tensor([5.0, 3.0, 1.0, 1.0, 0.3, 0.3, 0.1, 0.1])
    teacher = draw(seed=1) * torch.tensor([3.0, 2.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.2])
    before = rankme(flat.numpy())
    assert rankme(descend(RepresentationRank("low"), flat, teacher).numpy()) < before - 0.5
    assert rankme(descend(RepresentationRank("high"), flat, teacher).numpy()) > before + 0.5
    met = descend(RepresentationRank("teacher"), flat, teacher, steps=150)
    assert float(RepresentationRank("low")(met, teacher)) == pytest.approx(0, abs=0.01)


def test_low_and_high_are_opposite_and_the_ends_are_known():
    x, teacher = draw(), draw(seed=1)
    assert float(RepresentationRank("low")(x, teacher)) == pytest.approx(-float(RepresentationRank("high")(x, teacher)))
    line, even = torch.ones(8, 8), torch.eye(8)
    assert float(RepresentationRank("low")(even, line)) == pytest.approx(1, abs=1e-5)
    assert float(RepresentationRank("low")(line, even)) == pytest.approx(-1, abs=1e-5)
    two = torch.eye(8)[[0, 0, 0, 0, 1, 1, 1, 1]]
    assert float(RepresentationRank("low")(two, line)) == pytest.approx(math.log(2) / math.log(8), abs=1e-5)


def test_equal_rows_leave_the_gradient_finite():
    x = torch.cat([draw(3), draw(3)]).requires_grad_()
    RepresentationRank("low")(x, draw(6, seed=1)).backward()
    assert torch.isfinite(x.grad).all()
    same = torch.ones(4, 5, requires_grad=True)
    RepresentationRank("high")(same, draw(4, 5)).backward()
    assert torch.isfinite(same.grad).all()


def test_more_rows_than_dimensions_and_a_teacher_of_another_width():
    x, teacher = draw(40, 5), draw(40, 9, seed=2)
    assert float(RepresentationRank("low")(x, teacher)) == pytest.approx(
        -float(RepresentationRank("low")(teacher, x)), abs=1e-6
    )
