"""Clicks, with tables whose structure is searched first."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.tables import SEARCHES, Table, fit_spec, make_spec, stored_bytes  # noqa: E402
from nestvec.tables.sparse import largest  # noqa: E402
from nestvec.training import ctr  # noqa: E402
from nestvec.training.ctr import CTRSettings, train_ctr  # noqa: E402
from nestvec.training.ctr_data import auc  # noqa: E402
from nestvec.training.ctr_models import CTRModel  # noqa: E402
from nestvec.training.ctr_teacher import Teacher  # noqa: E402
from nestvec.training.table_advisor import CANDIDATES, advise  # noqa: E402

DIM = 8


@pytest.fixture(scope="module")
def parts():
    return Teacher(fields=4, largest=400, seed=1).sample(5_000)[0].split(seed=0)


@pytest.fixture(scope="module")
def hard():
    """Values with much of their own, and rows enough to learn it: what is dropped is missed."""
    return Teacher(fields=4, largest=1000, skew=0.7, noise=1.0, seed=1).sample(14_000)[0].split(seed=0)


@pytest.mark.parametrize("name", list(SEARCHES))
def test_a_search_then_training_within_the_bytes(parts, name):
    settings = CTRSettings(epochs=1.0, batch=256)
    budget = stored_bytes(make_spec("full", parts[0].rows, DIM)) // 2
    spec = fit_spec(name, parts[0].rows, DIM, budget)
    one = train_ctr(spec, parts, settings=settings, seed=5)
    assert one.auc > 0.65
    assert one.table.spec == one.spec
    assert (one.spec.seed, one.spec.search, one.spec.method) == (5, "", spec.method)
    assert one.table.nbytes <= budget
    again = train_ctr(spec, parts, settings=settings, seed=5)
    assert (one.auc, one.valid_auc, one.spec) == (again.auc, again.valid_auc, again.spec)
    early = train_ctr(spec, parts, settings=settings, seed=5, stop=lambda: True)
    assert early.table.nbytes <= budget


def test_training_after_pruning_beats_pruning_after_training(hard):
    """At a tenth of the numbers, for every search that prunes; both had the same epochs after the first."""
    settings = CTRSettings(epochs=3.0, batch=256)
    train, _, test = hard
    kept = sum(train.rows) * DIM // 10
    model = CTRModel(Table(make_spec("full", train.rows, DIM)), train.spans)
    steps = ctr._Steps(model, settings)
    batches = ctr._batches(len(train), settings, 0)
    for number, at in enumerate(batches, 1):
        steps.step(*ctr._tensors(train, at), number=number, of=len(batches))
    whole = auc(ctr._logits(model, test.ids), test.labels)
    pruned = Table(make_spec("sparse", train.rows, DIM, kept=kept))
    values = model.table.held["rows"].weight.detach().numpy()
    pruned.held["rows"].keep(largest(np.abs(values), kept))
    pruned.held["rows"].weight.data.copy_(torch.from_numpy(values))
    model.table = pruned
    cut = auc(ctr._logits(model, test.ids), test.labels)
    assert whole - cut > 0.03
    for name in ("deeplight", "pep", "dnis", "opt_embed"):
        found = train_ctr(make_spec(name, train.rows, DIM, kept=kept), hard, settings=settings, seed=0)
        assert found.auc > cut + 0.01, name


def test_pep_trains_what_passed_from_its_first_values(parts):
    settings = CTRSettings(epochs=1.0, batch=256)
    spec = make_spec("pep", parts[0].rows, DIM, kept=900)
    model = ctr._model(spec, (parts[0], parts[1]), settings, lambda: False)
    fresh = CTRModel(Table(make_spec("full", parts[0].rows, DIM)), parts[0].spans)
    assert torch.equal(model.table.held["rows"].weight, fresh.table.held["rows"].weight)
    assert all(torch.equal(a, b) for a, b in zip(model.rest(), fresh.rest(), strict=True))
    going_on = ctr._model(make_spec("deeplight", parts[0].rows, DIM, kept=900), parts[:2], settings, lambda: False)
    assert not any(torch.equal(a, b) for a, b in zip(going_on.rest(), fresh.rest(), strict=True))


def test_the_advisor_tries_them(parts):
    assert {name.partition("@")[0] for name in SEARCHES} <= set(CANDIDATES)
    full = stored_bytes(make_spec("full", parts[0].rows, DIM))
    advice = advise(
        parts, [full // 2, 2_000], dim=DIM, seeds=1, settings=CTRSettings(epochs=0.5, batch=256),
        candidates=("deeplight", "auto_dim", "opt_embed"),
    )  # fmt: skip
    tried = {m.name for m in advice.measured} | {name for _, name, _ in advice.dropped}
    assert {"deeplight", "auto_dim", "opt_embed"} <= tried
    assert all(m.bytes == m.best.table.nbytes <= (m.budget or full) for m in advice.measured)
    assert (2_000, "auto_dim") in {(b, name) for b, name, _ in advice.infeasible}
