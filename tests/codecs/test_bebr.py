"""Recurrent binarisation: hand-written gradients, training that helps, and old codes that stay searchable."""

import numpy as np
import pytest

from nestvec.codecs.bebr import BEBR, _closed_form, loss_and_gradients
from nestvec.codecs.sign import Sign
from nestvec.core.errors import InputError


def unit(n, d=24, seed=0):
    rng = np.random.default_rng(seed)
    x = np.random.default_rng(7).standard_normal((30, d))[rng.integers(0, 30, n)] + 0.7 * rng.standard_normal((n, d))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)


def recall(scores, true, k=10):
    best, found = np.argsort(-true, axis=1)[:, :k], np.argsort(-scores, axis=1)[:, :k]
    return np.mean([np.isin(a, b).mean() for a, b in zip(best, found, strict=True)])


@pytest.mark.parametrize("bits", [1, 2, 3])
@pytest.mark.parametrize("with_old", [False, True])
def test_gradients_are_those_of_torch_with_a_straight_through_sign(bits, with_old):
    torch = pytest.importorskip("torch")
    x = unit(20, 8)
    model = _closed_form(x, bits=bits, wide=6, seed=1)
    old = np.sign(np.random.default_rng(0).standard_normal((20, 6))).astype(np.float32) if with_old else None
    loss, gradients = loss_and_gradients(model, x, 5, old, temperature=0.2)

    class Through(torch.autograd.Function):
        @staticmethod
        def forward(ctx, z):
            ctx.save_for_backward(z)
            return torch.where(z > 0, 1.0, -1.0)

        @staticmethod
        def backward(ctx, slope):
            (z,) = ctx.saved_tensors
            return slope * (z.abs() <= 1)

    forth, back = (torch.tensor(model[name], requires_grad=True) for name in ("forth", "back"))
    tx, b = torch.tensor(x), 0
    for t in range(bits):
        left = tx if t == 0 else tx - b @ back[t - 1]
        b = b + 0.5**t * Through.apply(left @ forth[t])
    decoded = b @ back[-1]
    teacher = torch.softmax(tx[:5] @ tx.T / 0.2, dim=1)
    total = -(teacher * torch.log_softmax(tx[:5] @ decoded.T / 0.2, dim=1)).sum(dim=1).mean()
    total = total + (decoded - tx).square().sum() / tx.square().sum()
    if with_old:
        total = total - (teacher * torch.log_softmax(b[:5] @ torch.tensor(old).T / 6 / 0.2, dim=1)).sum(dim=1).mean()
    total.backward()
    assert loss == pytest.approx(total.item(), rel=1e-4)
    assert np.allclose(gradients["forth"], forth.grad.numpy(), atol=1e-4)
    assert np.allclose(gradients["back"], back.grad.numpy(), atol=1e-4)


def test_training_ranks_better_than_the_closed_form_and_than_signs_of_equal_bytes():
    x, more, queries = unit(1000), unit(1000, seed=2), unit(100, seed=1)
    true = queries @ more.T
    found = {}
    for steps in (0, 60):
        codec = BEBR.fit(x, bits=2, steps=steps)
        found[steps] = recall(codec.scores(queries, codec.encode(more)), true)
    signs = Sign.fit(x, wide=48)
    assert codec.bytes_per_vector == signs.bytes_per_vector == 6
    assert found[60] >= found[0] - 0.005
    assert found[60] > recall(signs.scores(queries, signs.encode(more)), true)


def test_every_bit_more_ranks_better():
    x, queries = unit(500), unit(50, seed=1)
    found = []
    for bits in (1, 2, 3):
        codec = BEBR.fit(x, bits=bits, steps=15)
        found.append(recall(codec.scores(queries, codec.encode(x)), queries @ x.T))
        top = 2 - 0.5 ** (bits - 1)
        grid = codec.grid(codec.encode(x))
        assert (np.abs(grid).max(), len(np.unique(grid))) == (top, 2**bits)
    assert found == sorted(found)


def test_new_codes_can_search_old_ones_of_another_encoder():
    """The new space is the old one turned: without the term nothing is shared but luck."""
    x, queries = unit(1000), unit(100, seed=1)
    turn = np.linalg.qr(np.random.default_rng(3).standard_normal((24, 24)))[0].astype(np.float32)
    before = BEBR.fit(x, bits=2, steps=15)
    grid = before.grid(before.encode(x))
    found = []
    for old in (None, grid):
        new = BEBR.fit(x @ turn, bits=2, steps=30, old=old, seed=5)
        found.append(recall(new.symmetric(new.encode(queries @ turn), grid), queries @ x.T))
    alike = recall(before.symmetric(before.encode(queries), grid), queries @ x.T)
    assert found[0] < 0.1
    assert found[1] > max(0.5 * alike, 0.2)


def test_settings_out_of_range_are_refused():
    for wrong in ({"bits": 0}, {"bits": 9}, {"wide": 0}, {"steps": -1}, {"temperature": 0.0}):
        with pytest.raises(InputError, match="bits must be"):
            BEBR.fit(unit(10), **wrong)
    with pytest.raises(InputError, match="old must have a row"):
        BEBR.fit(unit(10), old=np.ones((9, 24), np.float32))
    assert BEBR.fit(unit(10), wide=5, steps=2).bytes_per_vector == 2
