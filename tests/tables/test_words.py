"""Rows that are spelt with words, and the two methods that are made of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError  # noqa: E402
from nestvec.tables import Table, fit_spec, make_spec  # noqa: E402
from nestvec.tables.method import Sizes  # noqa: E402
from nestvec.tables.methods.lr2vq import LR2VQ  # noqa: E402
from nestvec.tables.methods.mgqe import MGQE  # noqa: E402
from nestvec.tables.word_rows import WordRows  # noqa: E402
from nestvec.tables.words import COUNT, Spelt, Words, divisors, pack, unpack  # noqa: E402

SIZES = Sizes((1000, 30))


@given(n=st.integers(0, 20), pieces=st.integers(1, 9), bits=st.sampled_from([4, 6]), seed=st.integers(0, 99))
def test_codes_of_any_width_come_back(n, pieces, bits, seed):
    numbers = np.random.default_rng(seed).integers(0, 2**bits, (n, pieces)).astype(np.uint8)
    packed = pack(numbers, bits)
    assert packed.shape == (n, -(-pieces * bits // 8))
    assert (unpack(packed, pieces, bits) == numbers).all()


def by_hand(rows):
    """Rows as the nearest words, one piece after another."""
    words, hot = rows.words, rows.hot
    queries = rows.weight.detach().numpy().reshape(rows.count, words.pieces, -1)
    book = rows.book.numpy()
    out = np.empty_like(queries)
    for i in range(rows.count):
        for j in range(words.pieces):
            may = book[0 if words.shared else j][: COUNT if i < hot else words.few]
            out[i, j] = may[np.square(may - queries[i, j]).sum(axis=1).argmin()]
    return out.reshape(rows.count, -1)


@pytest.mark.parametrize("words", [Words(3), Words(3, shared=True), Words(3, hot=10, few=16), Words(2, hot=0)])
def test_rows_are_the_nearest_words_trained_and_served(words):
    values = np.random.default_rng(0).uniform(-1, 1, (40, 6)).astype(np.float32)
    rows = WordRows(values, words, seed=1)
    read = rows(torch.arange(40)[:, None])[:, 0].detach().numpy()
    assert (read == by_hand(rows)).all()
    served = rows.packed("float32")
    assert isinstance(served, Spelt)
    assert (served.take(np.arange(40)[::-1]) == read[::-1]).all()
    planned = words.shapes(40, 6)
    assert {n: (a.dtype.name, a.shape) for n, a in served.arrays().items()} == planned
    again = WordRows(values * 0, words, seed=2)
    again.restore(served)
    assert (again(torch.arange(40)[:, None])[:, 0].detach().numpy() == read).all()


def test_the_gradient_goes_to_the_query_and_the_words_follow():
    values = np.random.default_rng(0).uniform(-1, 1, (40, 4)).astype(np.float32)
    rows = WordRows(values, Words(2), seed=1).train()
    slope = torch.randn(3, 1, 4, generator=torch.Generator().manual_seed(0))
    at = torch.tensor([[5], [9], [5]])
    (rows(at) * slope).sum().backward()
    dense = rows.weight.grad.to_dense()
    assert torch.allclose(dense[5], slope[0, 0] + slope[2, 0])
    assert torch.equal(dense[9], slope[1, 0])
    assert int((dense != 0).any(dim=1).sum()) == 2
    before = np.square(by_hand(rows) - values).sum(axis=1)
    for _ in range(50):
        rows(torch.arange(40)[:, None])
        rows.after_step(lr=0.1)
    after = np.square(by_hand(rows) - values).sum(axis=1)
    assert after.mean() < 0.05 * before.mean()  # more words than rows: each comes to lie on a query
    kept = rows.book.clone()
    rows.eval()(torch.arange(40)[:, None])
    rows.after_step(lr=0.1)
    assert torch.equal(rows.book, kept)  # nothing is learnt from what is only asked


def test_mgqe_gives_few_words_and_short_codes_to_rare_ids():
    made = MGQE(SIZES, 8, pieces=4)
    assert made.frequent().tolist() == [100, 3]
    at = made.locate(SIZES.split(np.arange(1030)))["rows"][:, 0]
    assert sorted(at.tolist()) == list(range(1030))
    hot = np.concatenate([np.arange(100), np.arange(1000, 1003)])
    assert (at[hot] < 103).all()
    table = Table(make_spec("mgqe", (1000, 30), 8, pieces=4))
    form = table.freeze().held["rows"]
    assert form.codes.shape == (103, 4)
    assert form.short.shape == (927, 3)  # four times six bits
    assert unpack(form.short, 4, 6).max() < 64
    assert MGQE(SIZES, 8, pieces=7).parts()["rows"].words.pieces == 4  # the next that divides
    for wrong, message in (({"few": 32}, "16 or 64"), ({"hot": 101}, "per cent"), ({"pieces": 0}, "at least 1")):
        with pytest.raises(InputError, match=message):
            MGQE(SIZES, 8, **wrong)


def test_lr2vq_widens_short_words_by_the_matrix_of_the_field():
    made = LR2VQ(SIZES, 8, pieces=2)
    assert made.widths() == (2, 4, 2)
    table = Table(make_spec("lr2vq", (1000, 30), 8, pieces=2)).eval()
    spelt = table.held["rows"](torch.arange(1030)[:, None])[:, 0].detach().numpy().reshape(1030, 2, 2)
    matrices = table.held["projections"].weight.detach().numpy().reshape(2, 2, 4)
    want = np.einsum("njr,nrw->njw", spelt, matrices[(np.arange(1030) >= 1000).astype(int)]).reshape(1030, 8)
    assert np.allclose(table(torch.arange(1030)).detach().numpy(), want, atol=1e-6)
    form = table.freeze().held["rows"]
    assert form.codes.shape == (1030, 2)
    assert form.words.shape == (256, 2)  # one book for all
    assert LR2VQ(SIZES, 8, pieces=1, rank=8).parts()["rows"].width == 8
    with pytest.raises(InputError, match="width of a piece, 4, got 5"):
        LR2VQ(SIZES, 8, pieces=2, rank=5)


def test_a_budget_chooses_the_pieces():
    spec = fit_spec("mgqe", 100_000, 16, 500_000)
    assert spec.settings == {"pieces": 4}  # what is recorded is what is used
    assert spec.compressor.parts()["rows"].words.pieces == 4
    assert divisors(12) == (1, 2, 3, 4, 6, 12)
    assert [fit_spec("lr2vq", 9_000, 12, size).settings["pieces"] for size in (38_000, 60_000)] == [3, 6]
    spec = fit_spec("lr2vq", 100_000, 16, 250_000)
    assert spec.compressor.widths() == (2, 8, 4)
