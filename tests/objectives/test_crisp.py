"""Clusters inside training (nestvec.objectives.crisp): what the contract suite does not ask."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import ShapeError  # noqa: E402
from nestvec.objectives import Crisp  # noqa: E402

pytestmark = pytest.mark.text


def draw(seed, q=3, n=4, t=6, u=9, d=5):
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.standard_normal((q, t, d))), torch.from_numpy(rng.standard_normal((n, u, d)))


@pytest.mark.parametrize("seed", range(3))
def test_padding_changes_nothing(seed):
    queries, documents = draw(seed)
    objective = Crisp((2, 3))
    together = float(objective(queries, documents))
    junk = torch.full((4, 2, 5), 7.0, dtype=torch.float64)
    mask = torch.ones(4, 11, dtype=torch.bool)
    mask[:, 9:] = False
    assert float(objective(queries, torch.cat([documents, junk], 1), document_mask=mask)) == pytest.approx(together)


def test_without_clusters_it_is_late_interaction():
    queries, documents = draw(0)
    q, d = (x / x.norm(dim=-1, keepdim=True) for x in (queries, documents))
    plain = torch.stack([torch.stack([(a @ b.T).amax(1).mean() for b in d]) for a in q])
    masks = (torch.ones(3, 6, dtype=torch.bool), torch.ones(4, 9, dtype=torch.bool))
    for clusters in (None, (6, 9), (50, 50)):  # as many clusters as tokens are the tokens
        got = Crisp(clusters).scores(queries, documents, query_mask=masks[0], document_mask=masks[1])
        assert torch.allclose(got, plain)


def test_the_gradient_flows_through_means_to_every_token():
    queries, documents = draw(1)
    documents.requires_grad_()
    Crisp((2, 2))(queries, documents).backward()
    assert float(documents.grad.abs().sum(dim=-1).gt(0).double().mean()) > 0.9
    assert torch.isfinite(documents.grad).all()


def test_a_student_that_ranks_as_its_teacher_has_no_loss_and_one_that_does_not_has():
    queries, documents = draw(2)
    objective = Crisp((2, 3))
    masks = {"query_mask": torch.ones(3, 6, dtype=torch.bool), "document_mask": torch.ones(4, 9, dtype=torch.bool)}
    scores = objective.scores(queries, documents, **masks)
    assert float(objective(queries, documents, teacher=scores)) == pytest.approx(0, abs=1e-9)
    assert float(objective(queries, documents, teacher=-scores)) > 0.1


def test_short_texts_keep_their_tokens_and_equal_tokens_make_fewer_clusters():
    _, documents = draw(3)
    mask = torch.zeros(4, 9, dtype=torch.bool)
    mask[:, :2] = True
    objective = Crisp((3, 3))
    same = documents[:, :1].expand(-1, 9, -1)
    means, there = objective._clustered(same, torch.ones(4, 9, dtype=torch.bool), 1)
    assert there.sum(dim=1).tolist() == [1] * 4
    means, there = objective._clustered(documents, mask, 1)
    assert there.sum(dim=1).tolist() == [2] * 4
    unit = documents[0, :2] / documents[0, :2].norm(dim=-1, keepdim=True)
    assert torch.allclose((means[0] @ unit.T).amax(dim=0), torch.ones(2, dtype=torch.float64))


def test_what_does_not_fit_is_refused():
    queries, documents = draw(4)
    with pytest.raises(ShapeError, match="queries and documents must be"):
        Crisp()(queries[:, 0], documents)
    with pytest.raises(ShapeError, match="document per query"):
        Crisp()(queries, documents[:2])
    with pytest.raises(ShapeError, match="document per query"):
        Crisp()(queries, documents, teacher=torch.zeros(3, 3))
    with pytest.raises(ShapeError, match="query_mask must be"):
        Crisp()(queries, documents, query_mask=torch.zeros(3, 6))
