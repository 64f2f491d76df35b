"""Heads fitted without labels (nestvec.training.heads)."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError  # noqa: E402
from nestvec.training.heads import HeadModule, HeadPlan, fit_heads  # noqa: E402

pytestmark = pytest.mark.text

WORDS = ["wing", "lift", "drag", "cat", "sat", "mat", "bank", "loan", "code", "bug", "the", "of"]


@pytest.fixture(scope="module")
def encoder(model_folder):
    from nestvec.encoders import load

    return load(model_folder, precision="float32", ladder=None)


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    return [" ".join(rng.choice(WORDS, 9)) for _ in range(40)]


def test_heads_are_fitted_saved_and_used(encoder, texts, tmp_path):
    from nestvec.encoders import load

    plan = HeadPlan(dim=4, steps=12, batch=16, window=12)
    heads = fit_heads(encoder, texts, plan)
    assert heads.base == encoder.space.weights
    assert heads.recipe["read"] == 40
    again = fit_heads(encoder, texts, plan)
    assert again.fingerprint("multi", "sparse", "select") == heads.fingerprint("multi", "sparse", "select")
    heads.save(tmp_path)
    tokens = load(encoder.folder, precision="float32", ladder=None, heads=tmp_path).at("vall")
    assert tokens.forms == ("dense", "sparse", "multi")
    found = tokens.encode_forms(texts[:3])
    assert found.multi.values.shape[1] == 4
    assert (found.sparse.values > 0).all()
    assert sum(len(x) for x in tokens.scores(texts[:3])) == len(found.multi.values)


@pytest.mark.parametrize("clusters", [None, (2, 3)])
def test_training_lowers_what_it_minimises(encoder, texts, clusters, monkeypatch):
    from nestvec.training import heads as training

    seen = []
    losses = training._losses
    monkeypatch.setattr(training, "_losses", lambda *given: seen.append(losses(*given)) or seen[-1])
    plan = HeadPlan(dim=6, sparse=True, keep=0.5, clusters=clusters, steps=60, batch=16, window=12, rate=1e-2)
    fit_heads(encoder, texts, plan)
    values = [float(loss.detach()) for loss in seen]
    assert np.mean(values[-15:]) < np.mean(values[:15]) - 0.05


def test_lexical_scores_are_those_of_sparse_vectors():
    """Against sums over dictionaries, with ids that come twice on either side, and padding."""
    torch.manual_seed(0)
    module = HeadModule(3, None)
    module.sparse.weight.data = torch.randn(1, 3)
    q, d = torch.randn(2, 4, 3), torch.randn(3, 5, 3)
    q_ids, d_ids = torch.tensor([[5, 6, 5, 0], [7, 5, 9, 9]]), torch.tensor([[5, 5, 7, 1, 0], [6, 9, 2, 3, 5], [4] * 5])
    q_mask, d_mask = q_ids > 0, d_ids > 0
    q[0, 2] = q[0, 0]  # of a repeated id of a query the first is taken, of a document the best
    q[1, 3] = q[1, 2]

    weight, bias = module.sparse.weight[0].detach(), float(module.sparse.bias.detach()[0])

    def weights(states, ids, mask):
        found = {}
        for state, i, there in zip(states, ids.tolist(), mask.tolist(), strict=True):
            if there:
                w = max(0.0, float(state @ weight) + bias)
                found[i] = max(found.get(i, 0.0), w)
        return found

    asked = [weights(*text) for text in zip(q, q_ids, q_mask, strict=True)]
    given = [weights(*text) for text in zip(d, d_ids, d_mask, strict=True)]
    wanted = [[sum(w * there.get(i, 0.0) for i, w in own.items()) for there in given] for own in asked]
    got = module.lexical((q, q_ids, q_mask), (d, d_ids, d_mask))
    assert torch.allclose(got, torch.tensor(wanted), atol=1e-5)


def test_what_cannot_be_fitted_is_refused(encoder, texts):
    with pytest.raises(InputError, match="at least 16 texts"):
        fit_heads(encoder, ["too short", *texts[:10]])
    with pytest.raises(InputError, match="all of a model"):
        fit_heads(encoder.at("L1"), texts)
    with pytest.raises(InputError, match="dim must be at most"):
        fit_heads(encoder, texts, HeadPlan(dim=999, steps=1))
    for wrong in (
        {"dim": None, "sparse": False, "keep": None},
        {"keep": 1.0},
        {"own": 2.0},
        {"steps": 0},
        {"batch": 2},
    ):
        with pytest.raises(InputError):
            HeadPlan(**wrong)
