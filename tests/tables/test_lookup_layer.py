"""A linear layer as tables: by the formula, solved for, and with a gradient."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError, ShapeError  # noqa: E402
from nestvec.tables.lookup_layer import LookupLinear  # noqa: E402


@pytest.fixture
def inputs():
    rng = np.random.default_rng(0)
    return torch.from_numpy((rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 10)) + 1).astype(np.float32))


@pytest.fixture
def linear():
    torch.manual_seed(0)
    return torch.nn.Linear(10, 7)


def by_hand(layer, x):
    """One vector at a time, as the docstring says it."""
    out = []
    for numbers in (x - layer.centre).tolist():
        row = numbers + [0.0] * (layer.pieces * layer.bits - layer.wide)
        y = layer.bias.detach().clone()
        for k in range(layer.pieces):
            z = row[k * layer.bits : (k + 1) * layer.bits]
            corner = sum(1 << j for j, value in enumerate(z) if value > 0)
            share = np.prod([1 / (1 + np.exp(-2 * abs(value) / layer.temperature)) for value in z])
            y += float(share) * layer.tables.detach()[(k << layer.bits) + corner]
        out.append(y)
    return torch.stack(out)


@pytest.mark.parametrize("bits", [1, 3, 4])
def test_it_is_the_formula(bits, inputs):
    layer = LookupLinear(10, 7, bits=bits, temperature=0.7)
    with torch.no_grad():
        layer.tables.normal_()
        layer.bias.normal_()
        layer.centre.normal_()
    assert torch.allclose(layer(inputs[:20]), by_hand(layer, inputs[:20]), atol=1e-5)
    assert layer(inputs[:6].reshape(2, 3, 10)).shape == (2, 3, 7)
    assert layer(inputs[:0]).shape == (0, 7)


def test_solving_beats_the_mean_and_more_rounds_do_not_hurt(inputs, linear):
    truth = linear(inputs[3000:]).detach()
    spread = (truth - truth.mean(0)).square().sum()

    def error(rounds):
        layer = LookupLinear.of(linear, inputs[:3000], bits=5, rounds=rounds)
        return float((layer(inputs[3000:]).detach() - truth).square().sum() / spread)

    assert error(5) < 0.4
    assert error(5) < error(1)


def test_input_and_tables_get_gradients_that_are_right(inputs):
    layer = LookupLinear(10, 3, bits=4, temperature=0.9).double()
    with torch.no_grad():
        layer.tables.normal_()
    x = inputs[:4].double().requires_grad_()
    assert torch.autograd.gradcheck(layer, (x,), eps=1e-6)  # away from the borders of a corner
    layer(x).sum().backward()
    touched = layer.tables.grad.abs().sum(1) > 0
    rows, _ = layer.corners(x.detach())
    assert set(torch.nonzero(touched)[:, 0].tolist()) == set(rows.flatten().tolist())


def test_nonsense_is_refused(linear, inputs):
    for wrong in ({"wide": 0}, {"out": 0}, {"bits": 0}, {"bits": 17}):
        with pytest.raises(InputError):
            LookupLinear(**{"wide": 4, "out": 4, **wrong})
    with pytest.raises(ShapeError, match=r"\[..., 10\]"):
        LookupLinear(10, 2)(torch.zeros(3, 9))
    with pytest.raises(InputError, match="got none"):
        LookupLinear.of(linear, inputs[:0])
