"""What is special about one method."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from nestvec.core.errors import InputError, NestvecError  # noqa: E402
from nestvec.kernels.idhash import buckets  # noqa: E402
from nestvec.tables import METHODS, RowWiseAdagrad, Table, fit_spec, least_bytes, make_spec, stored_bytes  # noqa: E402
from nestvec.tables.adagrad import RowWiseAdagrad as Same  # noqa: E402
from nestvec.tables.alpt import LowPrecisionRows  # noqa: E402
from nestvec.tables.dpq import ProductRows  # noqa: E402
from nestvec.tables.method import Part, Sizes  # noqa: E402
from nestvec.tables.methods.bloom import Bloom  # noqa: E402
from nestvec.tables.methods.deep_hash import DeepHash  # noqa: E402
from nestvec.tables.methods.full import Full  # noqa: E402
from nestvec.tables.methods.hash import Hash  # noqa: E402
from nestvec.tables.methods.hash_embedding import HashEmbedding  # noqa: E402
from nestvec.tables.methods.hot_cold import HotCold  # noqa: E402
from nestvec.tables.methods.low_dim import LowDim  # noqa: E402
from nestvec.tables.methods.memcom import MEmCom  # noqa: E402
from nestvec.tables.methods.mixed_dim import MixedDim  # noqa: E402
from nestvec.tables.methods.quotient_remainder import QuotientRemainder  # noqa: E402
from nestvec.tables.methods.robe import ROBE  # noqa: E402
from nestvec.tables.methods.subspace import Subspace  # noqa: E402
from nestvec.tables.methods.tensor_train import TensorTrain  # noqa: E402
from nestvec.tables.methods.unified import Unified  # noqa: E402
from nestvec.tables.packing import Floats  # noqa: E402
from nestvec.tables.product import Product  # noqa: E402
from nestvec.tables.rows import FloatRows  # noqa: E402
from nestvec.tables.spec import TableSpec  # noqa: E402

SIZES = Sizes((1000, 30))
ALL = np.arange(1030)


def table(name, rows=(1000, 30), dim=8, **settings):
    return Table(make_spec(name, rows, dim, **settings)).eval()


def weight(of, part):
    return of.held[part].weight.detach().numpy()


def rows_of(of, ids=ALL):
    return of(torch.from_numpy(np.asarray(ids))).detach().numpy()


def test_full_and_hash_against_plain_indexing():
    assert (rows_of(table("full")) == weight(table("full"), "rows")).all()
    made = Hash(SIZES, 8, seed=4, buckets=103)
    assert made.shares().tolist() == [100, 3]
    at = made.locate(SIZES.split(ALL))["rows"][:, 0]
    assert (at[:1000] == buckets(ALL[:1000], 100, salt=4)).all()
    assert (at[1000:] >= 100).all()  # a field never leaves its own rows
    hashed = table("hash", buckets=103, seed=4)
    at = hashed.spec.compressor.locate(SIZES.split(ALL))["rows"][:, 0]
    assert (rows_of(hashed) == weight(hashed, "rows")[at]).all()
    signed = rows_of(table("hash", buckets=103, seed=4, signed=True))
    assert (np.abs(signed) == np.abs(rows_of(hashed))).all()
    assert 0.3 < (signed == rows_of(hashed)).all(axis=1).mean() < 0.7


def test_quotient_and_remainder_keep_ids_apart():
    for combine in range(3):
        made = QuotientRemainder(SIZES, 8, divisor=32, combine=combine)
        places = made.locate(SIZES.split(ALL))
        pairs = np.concatenate([places["quotient"], places["remainder"]], axis=1)
        assert len(np.unique(pairs, axis=0)) == len(ALL)
        t = table("quotient_remainder", divisor=32, combine=combine)
        q, r = weight(t, "quotient")[pairs[:, 0]], weight(t, "remainder")[pairs[:, 1]]
        want = (q * r, q + r, np.concatenate([q, r], axis=1))[combine]
        assert np.allclose(rows_of(t), want)
    assert made.radices.tolist() == [[32, 32], [6, 5]]  # never beyond the root of a field
    with pytest.raises(InputError, match="combine must be"):
        QuotientRemainder(SIZES, 8, combine=4)
    with pytest.raises(InputError, match="dim of at least 3, got 2"):
        QuotientRemainder(SIZES, 2, combine=2, digits=3)


@given(rows=st.lists(st.integers(1, 3000), min_size=1, max_size=3), digits=st.integers(2, 5), coprime=st.booleans(),
       divisor=st.integers(1, 70), combine=st.sampled_from([0, 1, 3]))  # fmt: skip
@settings(max_examples=60)
def test_no_two_ids_share_all_parts(rows, digits, coprime, divisor, combine):
    sizes = Sizes(tuple(rows))
    made = QuotientRemainder(sizes, 4, divisor=divisor, digits=digits, coprime=coprime, combine=combine)
    places, parts = made.locate(sizes.split(np.arange(sizes.total))), made.parts()
    assert list(places) == list(parts)
    assert len(parts) == digits
    for name, at in places.items():
        assert 0 <= at.min() <= at.max() < parts[name].rows
    assert len(np.unique(np.concatenate(list(places.values()), axis=1), axis=0)) == sizes.total
    for n, radices in zip(rows, made.radices.tolist(), strict=True):
        assert math.prod(radices) >= n
        if coprime:
            assert all(math.gcd(a, b) == 1 for a, b in itertools.combinations(radices, 2))


def test_digits_remainders_and_paths_against_plain_arithmetic():
    n = ALL[:1000]
    made = QuotientRemainder(Sizes((1000,)), 8, divisor=10, digits=3)
    places = made.locate(made.sizes.split(n))
    assert (places["remainder"][:, 0] == n % 10).all()
    assert (places["digit1"][:, 0] == n // 10 % 10).all()
    assert (places["quotient"][:, 0] == n // 100).all()
    made = QuotientRemainder(Sizes((1000,)), 8, divisor=10, digits=3, coprime=True)
    assert made.radices.tolist() == [[10, 11, 13]]  # 10 * 11 * 10 would do, but 10 is taken
    t = table("quotient_remainder", rows=1000, divisor=10, digits=3, coprime=True)
    remainder, digit, quotient = (weight(t, name) for name in ("remainder", "digit1", "quotient"))
    assert np.allclose(rows_of(t, n), remainder[n % 10] * digit[n % 11] * quotient[n % 13])
    wide = rows_of(table("quotient_remainder", rows=1000, divisor=10, digits=3, combine=2), n)
    assert wide.shape == (1000, 8)
    t = table("quotient_remainder", rows=1000, divisor=5, combine=3, hidden=2)
    networks = weight(t, "remainder")
    for i in (0, 7, 999):
        x, network = weight(t, "quotient")[i // 5], networks[i % 5]
        inner = np.maximum(network[:16].reshape(2, 8) @ x + network[16:18], 0)
        assert np.allclose(rows_of(t, [i])[0], x + network[18:].reshape(8, 2) @ inner, atol=1e-6)


@pytest.mark.parametrize(
    "how", [{"digits": 3}, {"coprime": True}, {"digits": 3, "combine": 2, "coprime": True}, {"digits": 3, "combine": 3}]
)
def test_every_way_of_cutting_ids_learns_and_is_served(how):
    t = table("quotient_remainder", divisor=5, **how).train()
    ids = torch.arange(30)
    wanted = torch.where(ids % 2 == 0, 1.0, -1.0)[:, None].expand(-1, 8)
    optimiser = RowWiseAdagrad(t.parameters(), lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        loss = (t(ids) - wanted).square().mean()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.6  # of 1 for rows of zeros
    assert np.abs(t.freeze().rows(ALL) - rows_of(t)).max() < 1e-6


def test_more_parts_store_less():
    few = [sum(QuotientRemainder(Sizes((10**6,)), 8, divisor=10**6, digits=k).radices[0]) for k in (2, 3, 6)]
    assert few == [2000, 300, 60]
    spec = fit_spec("quotient_remainder", 10**6, 8, 20_000, digits=3)
    assert stored_bytes(spec) <= 20_000 < least_bytes("quotient_remainder", 10**6, 8)
    path = QuotientRemainder(Sizes((10**6,)), 8, divisor=10**6, combine=3)
    assert path.radices[0].prod() >= 10**6
    other = replace(path, divisor=int(path.radices[0, 0]) // 2)
    assert sum(p.rows * p.width for p in path.parts().values()) < sum(p.rows * p.width for p in other.parts().values())


def test_neighbouring_seeds_share_no_hash():
    columns = [
        make_spec("unified", (1000, 30), 8, buckets=500, lookups=4, seed=seed)
        .compressor.locate(SIZES.split(ALL))["rows"]
        .T
        for seed in range(6)
    ]
    every = np.concatenate(columns)
    assert len(np.unique(every, axis=0)) == 24
    old = TableSpec.from_json(make_spec("unified", 1000, 8, buckets=500, seed=3).to_json().replace('"hashing":2,', ""))
    assert old.hashing == 1
    ids = old.sizes.split(ALL[:1000])
    plain = np.stack([buckets(ALL[:1000], 500, salt=salt) for salt in (3, 4)], axis=1)
    assert (old.compressor.locate(ids)["rows"] == plain).all()  # as it was when it was saved
    assert TableSpec.from_json(old.to_json()) == old
    with pytest.raises(InputError, match="hashing must be 1 or 2, got 3"):
        replace(old, hashing=3)


def test_sums_weights_and_factors():
    t = table("bloom", buckets=50, hashes=3)
    at = Bloom(SIZES, 8, buckets=50, hashes=3).locate(SIZES.split(ALL))["rows"]
    assert np.allclose(rows_of(t), weight(t, "rows")[at].sum(axis=1), atol=1e-6)
    t = table("hash_embedding", buckets=50)
    places = HashEmbedding(SIZES, 8, buckets=50).locate(SIZES.split(ALL))
    p = weight(t, "weights")[places["weights"][:, 0]]
    assert np.allclose(rows_of(t), (weight(t, "rows")[places["rows"]] * p[:, :, None]).sum(axis=1), atol=1e-6)
    assert HashEmbedding(SIZES, 8, buckets=500).parts()["weights"].rows == 1030
    t = table("memcom", buckets=103, bias=True)
    with torch.no_grad():
        t.held["factors"].weight.uniform_()
        t.held["offsets"].weight.uniform_()
    at = MEmCom(SIZES, 8, buckets=103).locate(SIZES.split(ALL))["rows"][:, 0]
    assert len(set(at[:100].tolist())) == 100  # the most frequent do not meet
    assert np.allclose(rows_of(t), weight(t, "rows")[at] * weight(t, "factors") + weight(t, "offsets"), atol=1e-6)


@pytest.mark.parametrize("block", [0, 1, 3])
def test_robe_reads_blocks_of_one_array(block):
    made = ROBE(SIZES, 8, numbers=400, block=block, signed=False)
    at = made.locate(SIZES.split(ALL))["array"]
    assert at.shape == (1030, 8)
    size = block or 8
    for start in range(0, 8, size):
        piece = at[:, start : start + size]
        assert (np.diff(piece, axis=1) == 1).all()
    t = table("robe", numbers=400, block=block, signed=False)
    assert (rows_of(t) == weight(t, "array")[at, 0]).all()
    signed = rows_of(table("robe", numbers=400, block=block))
    assert (np.abs(signed) == np.abs(rows_of(t))).all()


def test_tensor_train_is_a_product_of_slices():
    made = TensorTrain(Sizes((1000,)), 8, rank=3)
    assert made.factors().prod() >= 1000
    assert np.prod(made.widths()) == 8
    t = table("tensor_train", rows=1000, rank=3)
    a, b, c = made.widths()
    _, n2, n3 = made.factors()[0]
    for i in (0, 1, 517, 999):
        i1, i2, i3 = i // (n2 * n3), i // n3 % n2, i % n3
        g1 = weight(t, "first")[i1].reshape(a, 3)
        g2 = weight(t, "second")[i2].reshape(3, b, 3)
        g3 = weight(t, "third")[i3].reshape(3, c)
        want = np.einsum("ar,rbs,sc->abc", g1, g2, g3).reshape(-1)
        assert np.allclose(rows_of(t, [i])[0], want, atol=1e-6)


def test_unified_fields_see_all_rows_and_differ():
    made = Unified(SIZES, 9, buckets=64, lookups=2)
    at = made.locate(SIZES.split(ALL))["rows"]
    assert len(np.unique(at[:1000])) == 64
    same = made.locate(SIZES.split(np.concatenate([ALL[:30], ALL[1000:]])))["rows"]
    assert (same[:30] == same[30:]).mean() < 0.2  # local id i of one field is not local id i of the other
    t = table("unified", dim=9, buckets=64)
    assert np.allclose(rows_of(t), weight(t, "rows")[at].reshape(-1, 10)[:, :9])
    with pytest.raises(InputError, match="lookups must be at most"):
        Unified(SIZES, 2, lookups=3)


def test_narrow_rows_are_widened_by_the_matrix_of_the_field():
    t = table("low_dim", width=3)
    p = weight(t, "projections").reshape(2, 3, 8)
    field = (ALL >= 1000).astype(int)
    assert np.allclose(rows_of(t), np.einsum("nw,nwd->nd", weight(t, "rows"), p[field]), atol=1e-6)
    with pytest.raises(InputError, match="width must be at most"):
        LowDim(SIZES, 8, width=9)


def test_mixed_dimensions_fall_with_the_size_of_a_block():
    made = MixedDim(Sizes((10_000, 40)), 16, alpha=400)
    starts, widths = made.blocks()
    assert starts.tolist() == [0, 100, 1000, 10_000]
    assert widths.tolist() == [16 * w // 16 for w in (8, 4, 2, 16)]  # 16 (40 / n)^.4 as powers of two
    t = table("mixed_dim", rows=(10_000, 40), dim=16, alpha=400)
    ids = np.array([10_020, 99, 100, 9_999, 5])
    got = rows_of(t, ids)
    assert (got[0] == weight(t, "rows16")[20]).all()
    w8, p8 = weight(t, "rows8"), weight(t, "projections8").reshape(1, 8, 16)
    assert np.allclose(got[[1, 4]], w8[[99, 5]] @ p8[0], atol=1e-6)
    assert np.allclose(got[3], weight(t, "rows2")[8_999] @ weight(t, "projections2").reshape(2, 16), atol=1e-6)
    assert {p.width for n, p in MixedDim(Sizes((500, 500)), 16, alpha=900).parts().items()} == {16}


def test_hot_ids_own_their_rows():
    made = HotCold(SIZES, 8, buckets=103, hot=50)
    share, hot = made.shares()
    assert (share.tolist(), hot.tolist()) == ([100, 3], [50, 1])
    at = made.locate(SIZES.split(ALL))["rows"][:, 0]
    assert at[:50].tolist() == list(range(50))
    assert at[50:1000].min() == 50
    assert at[50:1000].max() < 100
    rare = HotCold(SIZES, 8, buckets=103, hot=100).locate(SIZES.split(ALL))["rows"][:, 0]
    assert (rare[99:1000] == 99).all()  # everything that is rare is one
    exact = HotCold(SIZES, 8, buckets=1030).locate(SIZES.split(ALL))["rows"][:, 0]
    assert exact.tolist() == ALL.tolist()


def test_subspaces_are_digits():
    made = Subspace(Sizes((50_265,)), 768, subspaces=3)
    assert made.bases().tolist() == [37]
    places = made.locate(made.sizes.split(np.array([50_264, 0, 37])))
    assert [places[f"digit{j}"][:, 0].tolist() for j in range(3)] == [[18, 0, 0], [26, 0, 1], [36, 0, 0]]
    digits = Subspace(SIZES, 8, subspaces=3).locate(SIZES.split(ALL))
    assert len(np.unique(np.concatenate(list(digits.values()), axis=1), axis=0)) == len(ALL)
    assert [p.width for p in Subspace(SIZES, 8, subspaces=3).parts().values()] == [3, 3, 2]


def test_deep_hash_is_a_network_over_hashes():
    t = table("deep_hash", hashes=12, width=5, layers=2)
    made = DeepHash(SIZES, 8, hashes=12, width=5, layers=2)
    codes = made._codes(ALL)
    assert codes.min() >= -1
    assert codes.max() <= 1
    assert len(np.unique(codes, axis=0)) == len(ALL)
    x = codes.astype(np.float64)
    for layer in range(2):
        x = x @ weight(t, f"weight{layer}") / np.sqrt(1 + 1e-5)
        x = x * np.tanh(np.log1p(np.exp(x)))
    want = x @ weight(t, "last")[:-1] + weight(t, "last")[-1]
    assert np.allclose(rows_of(t), want, atol=1e-5)
    t.train()
    t(torch.arange(100))
    assert weight(t, "mean0").any()  # the running averages moved
    assert Full(SIZES, 8).parts()["rows"].rows == 1030


def _sparse(gradient):
    return torch.sparse_coo_tensor(torch.tensor([[1, 4]]), gradient[[1, 4]], (6, 3), check_invariants=True)


def test_adagrad_against_its_formula_sparse_and_dense():
    assert RowWiseAdagrad is Same
    start = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    gradient = np.zeros((6, 3), np.float32)
    gradient[[1, 4]] = [[1, 2, 2], [0, 0, 3]]
    made = []
    for sparse in (False, True):
        p = torch.nn.Parameter(torch.from_numpy(start.copy()))
        optimiser = RowWiseAdagrad([p], lr=0.1)
        for _ in range(2):
            g = torch.from_numpy(gradient)
            p.grad = _sparse(g) if sparse else g
            optimiser.step()
        made.append(p.detach().numpy())
    total, want = np.zeros(6), start.astype(np.float64)
    for _ in range(2):
        total += np.square(gradient).mean(axis=1)
        want -= 0.1 * gradient / (np.sqrt(total) + 1e-8)[:, None]
    assert np.allclose(made[0], want, atol=1e-6)
    assert np.allclose(made[0], made[1], atol=1e-6)
    assert (made[1][[0, 2, 3, 5]] == start[[0, 2, 3, 5]]).all()


def test_adagrad_of_lone_numbers_is_adagrad():
    p = torch.nn.Parameter(torch.tensor([[1.0], [2.0], [3.0]]))
    optimiser = RowWiseAdagrad([p], lr=0.1)
    for _ in range(2):
        p.grad = torch.tensor([[0.5], [0.0], [-2.0]])
        optimiser.step()
    assert torch.allclose(p.detach()[:, 0], torch.tensor([1 - 0.1 - 0.1 / 2**0.5, 2, 3 + 0.1 + 0.1 / 2**0.5]))


def test_large_parts_have_sparse_gradients_and_small_ones_dense():
    t = Table(make_spec("full", (20_000,), 8))
    t(torch.tensor([3])).sum().backward()
    assert t.held["rows"].weight.grad.is_sparse
    assert isinstance(t.held["rows"], FloatRows)
    assert not Table(make_spec("full", (100,), 8)).held["rows"].sparse


def test_alpt_rounds_without_bias_and_touches_used_rows_only():
    rows = LowPrecisionRows(np.full((4, 500), 0.013, np.float32), bits=8, seed=0).train()
    assert abs(rows(torch.arange(4)[:, None]).mean().item() - 0.013) < 2e-4  # levels are .0004 apart
    before = rows.codes.clone()
    rows(torch.tensor([[1]])).sum().backward()
    rows.after_step(lr=0.1)
    assert (rows.codes[1] != before[1]).any()
    assert (rows.codes[[0, 2, 3]] == before[[0, 2, 3]]).all()
    assert not list(rows.parameters())  # nothing is kept as floats


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_alpt_reads_the_upper_bits_of_what_it_trains(bits):
    values = np.random.default_rng(0).standard_normal((50, 64)).astype(np.float32)
    rows = LowPrecisionRows(values, bits=bits, seed=0).eval()
    at = torch.arange(50)[:, None]
    read = rows(at)[:, 0].numpy()
    assert max(len(np.unique(row)) for row in read) <= 2**bits
    # the error is known for a normal distribution (Max 1960, table 2); rounding at random doubles that of 8 bits
    assert np.square(read - values).mean() == pytest.approx({2: 0.119, 4: 0.0115, 8: 0.00016}[bits], rel=0.3)
    served = rows.packed(f"alpt{bits}")
    assert np.abs(served.take(np.arange(50)) - read).max() < 2e-3
    again = LowPrecisionRows(values * 0, bits=bits, seed=1).eval()
    again.restore(served)
    assert np.abs(again(at)[:, 0].numpy() - read).max() < 2e-3
    again.restore(Floats(values))  # of another codec: quantised anew
    assert np.square(again(at)[:, 0].numpy() - values).mean() < 0.2


def test_two_bits_learn_what_rounding_to_them_would_lose():
    """Steps far smaller than the distance of two levels must add up: every row ends near what it is drawn to."""
    wanted = torch.tensor([0.1, 0.3, -0.1, -0.3]).repeat(20, 4)
    rows = LowPrecisionRows(np.random.default_rng(0).uniform(-0.05, 0.05, (20, 16)).astype(np.float32), bits=2, seed=0)
    rows.train()
    for _ in range(200):
        (rows(torch.arange(20)[:, None])[:, 0] - wanted).square().sum().backward()
        rows.after_step(lr=0.05)
    found = rows.eval()(torch.arange(20)[:, None])[:, 0]
    assert (found - wanted).square().mean() < 0.1 * wanted.square().mean()


def test_rows_of_one_number_have_the_gradient_of_an_index():
    at = torch.tensor([[3, 1, 3], [0, 3, 2]])
    part = Part(5, 1)
    rows = FloatRows(np.arange(5, dtype=np.float32)[:, None], part)
    found = rows(at)
    assert (found[:, :, 0] == at).all()
    (found[:, :, 0] * torch.tensor([[1.0, 10, 100], [1000, 10_000, 100_000]])).sum().backward()
    assert rows.weight.grad[:, 0].tolist() == [1000, 10, 100_000, 10_101, 0]


def test_dpq_serves_the_pieces_that_training_chose():
    rows = ProductRows(np.random.default_rng(0).standard_normal((50, 6)).astype(np.float32), pieces=3, seed=1).eval()
    served = rows.packed("dpq3")
    assert isinstance(served, Product)
    assert served.codes.shape == (50, 2)
    got = served.take(np.arange(50))
    assert np.allclose(got, rows(torch.arange(50)[:, None])[:, 0].detach().numpy(), atol=1e-6)
    books = served.books.reshape(3, 16, 2)
    for j in range(3):
        assert {tuple(row) for row in got[:, 2 * j : 2 * j + 2]} <= {tuple(row) for row in books[j]}
    scores = np.einsum(
        "njw,jkw->njk", rows.queries.detach().numpy().reshape(50, 3, 2), rows.keys.detach().numpy().reshape(3, 16, 2)
    )
    best = books[np.arange(3), scores.argmax(axis=2)].reshape(50, 6)
    assert np.allclose(got, best)  # nothing has moved the running averages yet
    with pytest.raises(InputError, match="must divide"):
        ProductRows(np.ones((2, 5), np.float32), pieces=2, seed=0)
    with pytest.raises(InputError, match="cannot learn on"):
        Table.thaw(table("full+dpq4", rows=(900,)).freeze())


def test_a_budget_chooses_the_pieces():
    assert fit_spec("dpq", 100_000, 16, 1_000_000).codec == "dpq16"
    assert fit_spec("dpq", 100_000, 16, 250_000).codec == "dpq4"
    assert fit_spec("hash+dpq", 100_000, 16, 20_000).codec == "dpq16"


def test_every_method_refuses_nonsense():
    for name in METHODS:
        made = METHODS[name]
        for setting in ("buckets", "divisor", "width", "rank", "subspaces", "numbers", "alpha"):
            if setting in made.__dataclass_fields__:
                with pytest.raises(NestvecError, match=f"{setting} must be at least"):
                    made(SIZES, 8, **{setting: -1})
