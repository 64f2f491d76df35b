"""Tokens matched in training (nestvec.training.matching): a ladder that learns for a few vectors a text."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from nestvec.core.errors import InputError  # noqa: E402
from nestvec.encoders import backbone, load  # noqa: E402
from nestvec.kernels.maxsim import maxsim_many  # noqa: E402
from nestvec.objectives import Crisp  # noqa: E402
from nestvec.training.distill import Rung, Settings, distill, rung_losses  # noqa: E402
from nestvec.training.fit import Plan, fit  # noqa: E402
from nestvec.training.matching import Matching  # noqa: E402
from nestvec.training.opening import Opening  # noqa: E402
from nestvec.training.sampling import Recipe, Sampler  # noqa: E402
from nestvec.training.starting import closed_heads, make_student  # noqa: E402
from nestvec.training.teacher import encode_corpus, nearest, to_device  # noqa: E402
from nestvec.training.terms import STARBUCKS, Term  # noqa: E402

pytestmark = pytest.mark.text

CRISP = Term("crisp@1", options={"clusters": (2, 3)})


@pytest.fixture(scope="module")
def source(teacher, corpus, special):
    near = nearest(encode_corpus(teacher, corpus, special, width=24, tokens=512), k=5, device="cpu")
    return Sampler(corpus, near, special, Recipe(tokens=512, caps=(24,), short=12), seed=0)


@pytest.fixture
def student(teacher, corpus, special):
    heads = closed_heads(teacher, corpus, special, (1,), width=24, tokens=512, most=1000)
    torch.manual_seed(0)
    return make_student(teacher, heads, None, rank=4)


@pytest.fixture(scope="module")
def specials(special):
    return torch.tensor([*special.first, *special.last, special.pad])


def batch(source, number):
    return [to_device(rows, "cpu") for rows in source.batch(number)]


def matching(teacher, rows, specials):
    return Matching.of([teacher.read(*some)[1] for some in rows], rows, asking=1, special=specials)


def test_the_teacher_scores_by_all_tokens_but_special_ones(teacher, source, specials):
    rows = batch(source, 0)
    found = matching(teacher, rows, specials)
    ragged = []
    for ids, mask in rows:
        states = torch.nn.functional.normalize(teacher.read(ids, mask)[1], dim=-1)
        kept = [x[m & ~torch.isin(i, specials)].numpy() for x, i, m in zip(states, ids, mask, strict=True)]
        ragged += [np.concatenate(kept), np.cumsum([0, *map(len, kept)])]
    np.testing.assert_allclose(found.scores.numpy(), maxsim_many(*ragged, mean=True), atol=1e-5)
    assert torch.equal(teacher.read(*rows[0])[0], teacher.vectors(*rows[0]))


def test_a_term_of_tokens_is_the_objective_on_the_mapped_tokens_of_short_and_long_rows(
    teacher, student, source, specials
):
    rows = batch(source, 1)
    known = matching(teacher, rows, specials)
    vectors = torch.cat([teacher.vectors(*some) for some in rows])
    settings = Settings((Rung(1, weight=0.5), Rung(1, dim=8)), terms=(CRISP,))
    with torch.no_grad():
        losses = rung_losses(
            student, vectors, rows, settings, rotation=torch.eye(32).flip(0), special=specials,
            autocast=nullcontext(), matching=known,
        )  # fmt: skip
        q, d = known.sides([student.read(*some, tokens=True)[1][1] for some in rows])
        whole, narrow = (
            Crisp(clusters=(2, 3))(x, y, query_mask=q.mask, document_mask=d.mask, teacher=known.scores).item()
            for x, y in ((q.tokens, d.tokens), (q.tokens.flip(-1)[..., :8], d.tokens.flip(-1)[..., :8]))
        )
    assert losses["L1-dall-rall"].item() == pytest.approx(0.5 * whole, rel=1e-5)
    assert losses["L1-d8-rall"].item() == pytest.approx(narrow, rel=1e-5)
    assert CRISP.of_tokens
    assert [CRISP.is_for(depth, None) for depth in (0, 1)] == [False, True]
    assert not STARBUCKS[0].of_tokens


def test_the_mean_of_mapped_tokens_is_the_mapped_mean(student, source):
    ids, mask = batch(source, 2)[1]
    with torch.no_grad():
        vectors, tokens = student.read(ids, mask, tokens=True)
    means = (tokens[1] * mask[..., None]).sum(dim=1) / mask.sum(dim=1, keepdim=True)
    assert torch.allclose(vectors[1], means, atol=1e-5)
    assert student.read(ids, mask)[1] == {}


def test_states_come_without_the_instruction():
    opening = Opening((7, 8), at=1)
    states = torch.arange(10.0).reshape(1, 5, 2)
    assert opening.drop(states)[0, :, 0].tolist() == [0, 6, 8]
    assert Opening().drop(states) is states


def found_by(student, teacher, rows, specials):
    """The objective on a batch; and of the five best long rows by the teacher's tokens, and by its single vectors, the
    shares that the student finds by clusters and by single vectors.
    """
    objective, known = Crisp(clusters=(2, 3)), matching(teacher, rows, specials)
    read = [student.read(*some, tokens=True) for some in rows]
    q, d = known.sides([tokens[1] for _, tokens in read])
    masks = {"query_mask": q.mask, "document_mask": d.mask}
    loss = objective(q.tokens, d.tokens, **masks, teacher=known.scores)
    single = [torch.nn.functional.normalize(vectors[1], dim=-1) for vectors, _ in read]
    wanted = [teacher.vectors(*some) for some in rows]
    pairs = [
        (objective.scores(q.tokens, d.tokens, **masks), known.scores),
        (single[0] @ single[1].T, wanted[0] @ wanted[1].T),
    ]
    tops = [[scores.topk(5).indices for scores in pair] for pair in pairs]
    return [loss.item(), *((a[:, :, None] == b[:, None]).any(dim=2).float().mean().item() for a, b in tops)]


def quality(teacher, student, source, specials):
    """Means of :func:`found_by` over batches that were not learnt from."""
    with torch.no_grad():
        held = [found_by(student, teacher, batch(source, number), specials) for number in range(1000, 1012)]
    return np.mean(held, axis=0)


def test_training_through_clusters_lowers_the_objective_and_finds_more_by_clusters_and_by_single_vectors(
    teacher, student, source, specials
):
    before = quality(teacher, student, source, specials)
    settings = Settings((Rung(1),), steps=30, layer_rate=3e-3, terms=(*STARBUCKS, CRISP))
    distill(teacher, student, source, settings, special=specials.tolist())
    after = quality(teacher, student, source, specials)
    assert after[0] < 0.8 * before[0]
    assert (after[1:] > before[1:]).all()


def test_a_ladder_is_fitted_through_clusters(model_folder, texts, monkeypatch):
    small = {"depths": (1,), "dims": (), "rank": 4, "table_ranks": (), "steps": 3, "batch_tokens": 256, "held_out": 40}
    fitted = fit(model_folder, texts, plan=Plan(**small, clusters=(2, 3)), device="cpu")
    assert list(fitted.ladder.recipe["clusters"]) == [2, 3]
    plain = fit(model_folder, texts, plan=Plan(**small), device="cpu")
    many, few = (load(model_folder, ladder=some.ladder, precision="float32").at("L1-v2") for some in (plain, fitted))
    assert not np.allclose(many.encode(["wing lift"]).values, few.encode(["wing lift"]).values, atol=1e-6)
    assert "clusters" not in Plan(**small).said  # runs that were begun before there were any go on
    with pytest.raises(InputError, match="clusters and rounds must be at least 1"):
        Plan(**small, clusters=(0, 3))
    opened = backbone.open_stack
    monkeypatch.setattr(backbone, "open_stack", lambda *args, **more: replace(opened(*args, **more), pooling="cls"))
    with pytest.raises(InputError, match="takes the mean of its tokens, got cls pooling"):
        fit(model_folder, texts, plan=Plan(**small, clusters=(2, 3)), device="cpu")
