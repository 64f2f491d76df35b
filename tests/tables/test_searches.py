"""What is special about one search."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import FormatError, InputError, ShapeError  # noqa: E402
from nestvec.tables import Search, Table, make_spec, stored_bytes  # noqa: E402
from nestvec.tables.blocks import Blocks, widths_up_to  # noqa: E402
from nestvec.tables.masked import MaskedRows  # noqa: E402
from nestvec.tables.method import Sizes  # noqa: E402
from nestvec.tables.methods.field_dims import FieldDims  # noqa: E402
from nestvec.tables.methods.leading import Leading  # noqa: E402
from nestvec.tables.methods.sparse import Sparse  # noqa: E402
from nestvec.tables.searches.auto_dim import AutoDim  # noqa: E402
from nestvec.tables.searches.deeplight import DeepLight  # noqa: E402
from nestvec.tables.searches.dnis import DNIS  # noqa: E402
from nestvec.tables.searches.opt_embed import OptEmbed  # noqa: E402
from nestvec.tables.searches.pep import PEP  # noqa: E402

ROWS, DIM = (60, 40), 8
TOTAL = sum(ROWS)
ALL = torch.arange(TOTAL)


def search_for(name, *, steps=100, rows=ROWS, dim=DIM, **settings):
    return Search(make_spec(name, rows, dim, seed=3, **settings), steps=steps)


def step(search, loss=None):
    if loss is not None:
        loss.backward()
    search.table.after_step(lr=0.1)


def test_methods_that_searches_end_in():
    assert Sparse(Sizes(ROWS), DIM, kept=9).parts()["rows"].kept == 9
    assert Leading(Sizes(ROWS), DIM, kept=9).parts()["rows"].leading
    assert [widths_up_to(d) for d in (1, 2, 8, 12)] == [(1,), (1, 2), (1, 2, 4, 8), (1, 2, 4, 8, 12)]
    knob = FieldDims.knob(Sizes(ROWS), DIM)
    assert [knob.of(i) for i in range(knob.low, knob.high + 1)] == [
        (1, 1), (1, 2), (2, 2), (2, 4), (4, 4), (4, 8), (8, 8),
    ]  # fmt: skip
    made = FieldDims(Sizes(ROWS), DIM, widths=(2, 8))
    assert {name: (part.rows, part.width) for name, part in made.parts().items()} == {
        "rows2": (60, 2), "projections2": (1, 16), "rows8": (40, 8),
    }  # fmt: skip
    assert FieldDims(Sizes(ROWS), DIM).parts().keys() == {"rows8"}
    for wrong in ((2,), (2, 9), (0, 2)):
        with pytest.raises(InputError, match="widths must be"):
            FieldDims(Sizes(ROWS), DIM, widths=wrong)
    table = Table(make_spec("field_dims", ROWS, DIM, widths=(2, 4))).eval()
    short, wide = (table.held[n].weight for n in ("rows2", "projections2"))
    assert torch.allclose(table(ALL[:60]), short @ wide.view(2, DIM), atol=1e-6)
    blocks = Blocks(np.array([0, 60]), np.array([2, 4]), TOTAL, DIM)
    assert blocks.lengths.tolist() == [60, 40]


def test_a_mask_must_be_as_promised():
    rows = Table(make_spec("leading", ROWS, DIM, kept=20)).held["rows"]
    assert isinstance(rows, MaskedRows)
    mask = np.zeros((TOTAL, DIM), bool)
    mask[:4, :5] = True
    rows.keep(mask)
    assert rows(torch.tensor([[3, 4]]))[0].bool().sum(dim=1).tolist() == [5, 0]
    for wrong in (mask[:, ::-1], mask[:5], mask & (np.arange(DIM) < 3)):
        with pytest.raises(ShapeError, match="keep 20 numbers, at the beginnings of rows, got"):
            rows.keep(wrong)


def test_deeplight_prunes_on_schedule_and_what_went_may_return():
    search = search_for("deeplight", kept=80)
    assert isinstance(search.strategy, DeepLight)
    weight = search.rows.full.weight
    zeros = []
    for _ in range(100):
        step(search)
        zeros.append(int((weight == 0).sum()))
    assert zeros[24] == 0
    x = (np.arange(1, 101) / 100 - 0.25) / 0.75
    want = np.where(x > 0, (1 - 0.01 ** np.maximum(x, 0)) / 0.99, 0) * (TOTAL * DIM - 80)
    assert np.abs(np.array(zeros) - want).max() <= 1
    assert zeros[-1] == TOTAL * DIM - 80
    with torch.no_grad():
        weight[0] = 5.0  # training may bring numbers back, and then others go
    mask = search.harden().held["rows"].mask
    assert mask[0].all()
    assert mask.sum() == 80


def test_pep_reaches_its_number_by_thresholds_that_learn():
    search = search_for("pep", kept=80)
    strategy = search.strategy
    assert isinstance(strategy, PEP)
    first = search.rows.full.weight.detach().clone()
    assert torch.allclose(search.table(ALL), first, atol=1e-5)  # nothing is that small
    left = []
    for _ in range(100):
        # the first dimension is wanted far from zero, so its threshold should fall against the others
        step(search, -search.table(ALL)[:, 0].abs().sum())
        search.rows.full.weight.grad = None
        left.append(int(search.table(ALL).bool().sum()))
    assert left[9] == TOTAL * DIM
    assert left == sorted(left, reverse=True) or left[-1] < left[50] < left[20]
    assert abs(left[-1] - 80) <= 40  # thresholds went on after the last level
    assert strategy.thresholds[0, 0] < strategy.thresholds[0, 1:].min() - 0.1
    assert strategy.thresholds.mean().abs() < 1e-5
    assert search.rewinds
    table = search.harden()
    assert table.held["rows"].mask.sum() == 80
    assert torch.equal(table.held["rows"].weight, first)  # from the original first values
    kept_by_column = table.held["rows"].mask.sum(dim=0)
    assert kept_by_column[0] > kept_by_column[1:].max()


def test_pep_softens_by_its_formula():
    search = search_for("pep", kept=80)
    search.strategy.level = -3.5
    with torch.no_grad():
        search.strategy.thresholds[0, 2] = 0.4
    w = search.rows.full.weight.detach()
    bar = np.exp(-3.5 + 0.4 * (np.arange(DIM) == 2)).astype(np.float32)
    w = w.numpy()
    want = np.sign(w) * np.maximum(np.abs(w) - bar, 0)
    assert np.allclose(search.table(ALL).detach().numpy(), want, atol=1e-7)
    search.table(ALL).sum().backward()
    live = want != 0
    assert np.allclose(search.strategy.thresholds.grad[0], -(np.sign(w) * live).sum(0) * bar, atol=1e-4)


def test_dnis_sorts_by_use_and_lets_validation_weigh():
    search = search_for("dnis", kept=80)
    strategy = search.strategy
    assert isinstance(strategy, DNIS)
    often = torch.cat([ALL[50:60].repeat(5), ALL])
    for _ in range(40):
        search.table(often)
        step(search)
    assert set((strategy.group == 0).nonzero()[:, 0].tolist()) >= set(range(50, 60))
    assert torch.bincount(strategy.group).tolist() == [17, 17, 16, 17, 17, 16]
    weight = search.rows.full.weight.detach()
    for _ in range(60):
        step(search)
        # validation wants nothing of the first dimension, and more than there is of the second
        rows = search.table(ALL)
        (rows[:, 0].square().sum() - rows[:, 1].square().sum() + search.penalty()).backward()
        search.choose()
    a = strategy.weights.detach()
    assert a.min() >= 0
    assert a.max() <= 1
    assert a[:, 0].max() < 0.35
    assert (a[:, 1] == 1).all()
    assert search.penalty().item() == pytest.approx(1e-5 * a.sum().item())
    table = search.harden()
    mask = table.held["rows"].mask
    weighed = weight * a[strategy.group]
    assert torch.equal(table.held["rows"].weight, weighed)
    assert weighed.abs()[mask].min() >= weighed.abs()[~mask].max()
    assert mask[:, 0].sum() < mask[:, 1:].sum(dim=0).min()
    assert not search.rewinds


def test_auto_dim_gives_width_to_the_field_that_needs_it():
    search = search_for("auto_dim", widths=(4, 8), steps=150)
    assert isinstance(search.strategy, AutoDim)
    rng = np.random.default_rng(0)
    rich = rng.standard_normal((60, DIM))
    poor = rng.standard_normal((40, 1)) * rng.standard_normal(DIM)  # one number an id says all
    wanted = torch.from_numpy(np.concatenate([rich, poor]).astype(np.float32))
    heads = torch.nn.Parameter(torch.eye(DIM).repeat(2, 1, 1))  # what a model has behind its table
    optimiser = torch.optim.Adam([*search.table.parameters(), heads], lr=0.05)
    search.table.train()

    def slopes():
        optimiser.zero_grad()
        rows = (search.table(ALL)[:, None] @ heads[search.strategy.field])[:, 0]
        (rows - wanted).square().mean().backward()

    for _ in range(150):
        slopes()
        optimiser.step()
        search.table.after_step(lr=0.1)
        if search.choosing:
            slopes()
            search.choose()
    table = search.harden()
    first, second = table.spec.settings["widths"]
    assert first == DIM > second
    assert search.strategy.logits[0].argmax() == 3
    assert stored_bytes(table.spec) <= stored_bytes(search.spec)
    assert search.rewinds


def test_auto_dim_pays_for_bytes():
    search = search_for("auto_dim", rows=(900, 400), widths=(4, 4))
    for values, want in (
        ([[9, 0, 0, 0], [0, 9, 0, 0]], (1, 2)),  # the likeliest, though there is room for more
        ([[0, 0, 3, 0], [0, 0, 0, 9]], (2, 8)),  # the second field wants eight, and the first gets what is left
        ([[0, 0, 0, 9], [0, 0, 0, 8]], (4, 4)),  # eight for either is too much
    ):
        with torch.no_grad():
            search.strategy.logits.copy_(torch.tensor(values))
        found = search.harden().spec
        assert found.settings["widths"] == want
        assert stored_bytes(found) <= stored_bytes(search.spec)
    assert search.strategy.cold == 1
    for _ in range(150):
        step(search)
    assert search.strategy.cold == 0.01


def test_auto_dim_mixes_by_its_formula():
    search = search_for("auto_dim", widths=(2, 4))
    search.table.eval()
    with torch.no_grad():
        search.strategy.logits.copy_(torch.tensor([[0.0, 1, 2, 3], [1, 1, 1, 1]]))
        search.strategy.mean += 0.1
    w, p = search.rows.full.weight.detach(), search.strategy.projections.weight.detach()
    chance = search.strategy.logits.detach().softmax(dim=1)
    want = torch.zeros(60, DIM)
    at = 0
    for c, width in enumerate((1, 2, 4, 8)):
        want += chance[0, c] * (w[:60, :width] @ p[at : at + width] - 0.1) / (1 + 1e-5) ** 0.5
        at += width
    assert torch.allclose(search.table(ALL)[:60], want, atol=1e-6)
    assert torch.allclose(search.table(ALL.flip(0)).flip(0)[:60], want, atol=1e-6)


def test_opt_embed_evolves_towards_the_judge_and_keeps_to_its_number():
    search = search_for("opt_embed", rows=(50, 60, 70, 80), kept=700)
    strategy = search.strategy
    assert isinstance(strategy, OptEmbed)
    with pytest.raises(InputError, match="must be judged"):
        search.harden()
    fields = strategy.field.numpy()
    asked = []

    def judge():  # wants fields of 6, 2, 1 and 3 numbers, and sees what rows look like
        lengths = strategy.cut.numpy()
        longest = np.array([lengths[fields == f].max(initial=0) for f in range(4)])
        asked.append(int(lengths.sum()))
        return -float(np.abs(longest - (6, 2, 1, 3)).sum())

    table = search.harden(judge)
    mask = table.held["rows"].mask.numpy()
    lengths = mask.sum(axis=1)
    longest = np.array([lengths[fields == f].max() for f in range(4)])
    assert np.abs(longest - (6, 2, 1, 3)).sum() <= 2
    assert len(asked) == 200
    assert max(asked) <= 700
    assert table.spec.settings["kept"] == mask.sum() <= 700
    assert search.rewinds


def test_opt_embed_drops_the_rows_that_pass_by_least():
    search = search_for("opt_embed", kept=150)
    with torch.no_grad():
        search.strategy.thresholds[1] = 100.0  # nobody of the second field passes
    mask = search.harden(lambda: 0.0).held["rows"].mask.numpy()  # all lengths alike: the first judged, which is full
    norms = search.rows.full.weight.detach().abs().sum(dim=1).numpy()[:60]
    lengths = mask.sum(axis=1)
    order = np.argsort(-norms)
    assert lengths[order[:18]].tolist() == [8] * 18
    assert lengths[order[18]] == 150 - 18 * 8  # the last one has what is left
    assert not lengths[order[19:]].any()
    assert not lengths[60:].any()


def test_mutants_are_copies_and_parents_are_crossed_between_fields():
    strategy = search_for("opt_embed", rows=(50, 60, 70, 80), kept=700).strategy
    parents = [np.full(4, k) for k in (2, 5, 8)]
    for _ in range(20):
        mutants, crossed = strategy._mutants(parents), strategy._crossed(parents)
        assert [p.tolist() for p in parents] == [[k] * 4 for k in (2, 5, 8)]
        assert all(m is not p for m in mutants for p in parents)
        assert all(1 <= m.min() <= m.max() <= DIM for m in mutants)
        for child in crossed:
            assert len(child) == 4
            assert (np.diff(child) != 0).sum() <= 1  # one cut, between fields
    changed = np.mean([m != p for _ in range(200) for m, p in zip(strategy._mutants(parents[:1]), parents[:1] * 10,
                                                                   strict=True)])  # fmt: skip
    assert 0.06 < changed < 0.11  # a tenth, less those drawn as they were


def test_opt_embed_learns_thresholds_through_the_step():
    search = search_for("opt_embed", kept=150)
    search.table.eval()
    strategy = search.strategy
    norms = search.rows.full.weight.detach().abs().sum(dim=1)
    with torch.no_grad():
        strategy.thresholds.copy_(torch.tensor([0.2, 0.25]))
    rows = search.table(ALL)
    kept = norms > torch.tensor([0.2, 0.25])[strategy.field]
    assert 0 < kept.sum() < TOTAL
    assert torch.equal(rows.any(dim=1), kept)
    rows.sum().backward()
    far = (norms - strategy.thresholds.detach()[strategy.field]).abs()
    surrogate = torch.where(far <= 0.4, 2 - 4 * far, torch.where(far <= 1, 0.4, 0.0))
    slope = -(surrogate * search.rows.full.weight.detach().sum(dim=1))
    want = torch.stack([slope[strategy.field == f].sum() for f in range(2)])
    assert torch.allclose(strategy.thresholds.grad, want, atol=1e-5)
    assert search.penalty().item() == pytest.approx(1e-4 * (np.exp(-0.2) + np.exp(-0.25)))
    search.table.train()
    lengths = {int(row.bool().sum()) for _ in range(20) for row in search.table(ALL)[kept][:1]}
    assert len(lengths) > 4  # every batch cuts anew


def test_a_supernet_may_begin_with_a_full_table():
    full = Table(make_spec("full", ROWS, DIM, seed=9))
    search = search_for("deeplight", kept=80)
    search.rows.restore(full.freeze().held["rows"])
    assert torch.equal(search.table(ALL), full(ALL))
    with pytest.raises(FormatError, match="csr@1, coo@1 or leading@1, got floats@1"):
        search.harden().held["rows"].restore(full.freeze().held["rows"])
