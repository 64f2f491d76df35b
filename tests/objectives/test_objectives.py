"""What is special about single losses."""

import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import ShapeError  # noqa: E402
from nestvec.objectives.contrastive import InfoNCE  # noqa: E402
from nestvec.objectives.embedding import EmbeddingMatch  # noqa: E402
from nestvec.objectives.nested import Nested  # noqa: E402
from nestvec.objectives.scores import ScoreKL  # noqa: E402

pytestmark = pytest.mark.text


def test_squared_distance_sees_length():
    x = torch.ones(2, 3)
    assert float(EmbeddingMatch("squared")(2 * x, x)) == 1
    assert float(EmbeddingMatch()(2 * x, x)) == pytest.approx(0, abs=1e-6)


def test_scores_of_spaces_of_different_width_can_be_compared():
    generator = torch.Generator().manual_seed(0)
    student, teacher = (torch.randn(5, d, generator=generator) for d in (3, 7))
    assert float(ScoreKL()(student[:2], student, teacher[:2], teacher)) > 0


def test_ignored_candidates_count_for_nothing():
    generator = torch.Generator().manual_seed(0)
    queries, candidates = torch.randn(3, 4, generator=generator), torch.randn(6, 4, generator=generator)
    teacher_queries, teacher = torch.randn(3, 4, generator=generator), torch.randn(6, 4, generator=generator)
    ignore = torch.zeros(3, 6, dtype=torch.bool)
    ignore[:, 4:] = True
    got = ScoreKL()(queries, candidates, teacher_queries, teacher, ignore=ignore)
    assert float(got) == pytest.approx(
        float(ScoreKL()(queries, candidates[:4], teacher_queries, teacher[:4])), rel=1e-5
    )
    got = InfoNCE()(queries, candidates, ignore=ignore)
    assert float(got) == pytest.approx(float(InfoNCE()(queries, candidates[:4])), rel=1e-5)


def test_a_query_must_keep_a_candidate():
    x = torch.randn(2, 4)
    with pytest.raises(ShapeError, match="ignore"):
        ScoreKL()(x, x, x, x, ignore=torch.ones(2, 2, dtype=torch.bool))
    with pytest.raises(ShapeError, match="ignore"):
        InfoNCE()(x, x, ignore=torch.ones(1, 2, dtype=torch.bool))


def test_the_own_document_is_never_ignored():
    x = torch.eye(3)
    everything = torch.ones(3, 3, dtype=torch.bool)
    assert float(InfoNCE()(x, x, ignore=everything)) == pytest.approx(0, abs=1e-6)


def test_nested_needs_vectors_as_wide_as_its_widest():
    with pytest.raises(ShapeError, match="16"):
        Nested(InfoNCE(), (4, 16))(torch.ones(2, 8), torch.ones(2, 8))
