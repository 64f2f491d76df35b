"""A table inside a model that torch trains."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.tables.growing import NULL, UNKNOWN, GrowingRows, GrowingSpec, GrowingTable  # noqa: E402

pytestmark = pytest.mark.text


@pytest.fixture
def table(tmp_path):
    with GrowingTable.create(tmp_path / "t", GrowingSpec(dim=4, cap=1 << 20)) as table:
        yield table


def test_a_step_is_that_of_dense_adagrad(table):
    rows = GrowingRows(table, rate=0.1)
    keys = ["a", "b", "a", None, "c"]
    start = rows(keys).detach().clone()
    weight = torch.nn.Parameter(start[[0, 1, 3, 4]].clone())
    which = torch.tensor([0, 1, 0, 2, 3])
    for _ in range(3):
        target = torch.arange(20.0).view(5, 4)
        (rows(keys) - target).square().sum().backward()
        assert rows.step() == 4
        weight.grad = None
        (weight[which] - target).square().sum().backward()
        with torch.no_grad():
            state = getattr(weight, "state", torch.zeros(4)) + weight.grad.square().mean(1)
            weight.state = state
            weight -= 0.1 * weight.grad / (state.sqrt() + 1e-8).unsqueeze(1)
    found = table.values(table.lookup(["a", "b", None, "c"]))
    assert np.allclose(found, weight.detach().numpy(), atol=1e-5)
    assert rows.step() == 0


def test_it_grows_in_training_only(table):
    rows = GrowingRows(table)
    rows.eval()
    assert not rows(["x"]).requires_grad
    assert len(table) == 0
    rows.train()
    assert rows(["x", None]).requires_grad
    assert len(table) == 1
    assert table.lookup(["x", None, "y"]).tolist() == [2, NULL, UNKNOWN]


def test_only_used_rows_change_and_the_loss_falls(table):
    rows, layer = GrowingRows(table, field="word", rate=0.3), torch.nn.Linear(4, 1)
    words = [f"w{i}" for i in range(40)]
    wanted = torch.tensor([float(i % 2) for i in range(40)])
    unused = table.admit(["unused"], field="word")
    before = table.values(unused)
    made = torch.optim.SGD(layer.parameters(), lr=0.1)
    losses = []
    for _ in range(40):
        loss = torch.nn.functional.binary_cross_entropy_with_logits(layer(rows(words))[:, 0], wanted)
        made.zero_grad()
        loss.backward()
        made.step()
        rows.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 < losses[0]
    assert (table.values(unused) == before).all()
    assert list(rows.parameters()) == []
