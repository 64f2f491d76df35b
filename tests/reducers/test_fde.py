"""Fixed-dimensional encodings against the paper's construction, cell by cell and token by token."""

import io
from functools import cache, partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as tried
from hypothesis import strategies as st

from nestvec.core.errors import FormatError, InputError, NotFiniteError, ShapeError
from nestvec.kernels import partition
from nestvec.kernels.cellscan import CellScan
from nestvec.kernels.jit import Kernel
from nestvec.kernels.maxsim import maxsim_many
from nestvec.reducers import TOKEN_REDUCERS
from nestvec.reducers.fde import FDE, SHAPES, Shape

DIM = 10
SMALL = Shape(3, 3, 4)


def tokens(t, seed=0, d=DIM):
    x = np.random.default_rng(seed).standard_normal((t, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def cut(sizes):
    return np.cumsum([0, *sizes], dtype=np.int64)


def slow(fde, x, *, document):
    """One item, in float64, as sec. 2 of the paper says it, divided by the square root of ``R``."""
    whole = []
    for planes, signs in zip(fde.planes.astype(np.float64), fde.signs.astype(np.float64), strict=True):
        p, d = signs.shape
        cell = [sum(int(g @ token > 0) << b for b, g in enumerate(planes)) for token in x]
        y = [signs @ token / (1 if p == d else np.sqrt(p)) for token in x]
        for c in range(2 ** len(planes)):
            mine = [y[t] for t in range(len(x)) if cell[t] == c]
            if not document:
                whole.append(np.sum(mine, axis=0) if mine else np.zeros(p))
            elif mine:
                whole.append(np.mean(mine, axis=0))
            elif len(x) and fde.fill:
                differ = [(other ^ c).bit_count() for other in cell]
                whole.append(y[differ.index(min(differ))])
            else:
                whole.append(np.zeros(p))
    flat = np.concatenate(whole) / np.sqrt(len(fde.planes))
    if fde.final:
        out = np.zeros(fde.final)
        for value, column, turn in zip(flat, fde.column, fde.turn, strict=True):
            out[column] += turn * value
        flat = out
    length = np.linalg.norm(flat)
    return flat / length if document and fde.unit and length else flat


@cache
def compiled(k, p):
    return partition._build(k, p)


def go(way, monkeypatch):
    def kernel_of(k, p):
        kernel = Kernel(partial(partition._build, k, p))
        kernel.compiled = compiled(k, p) if way == "numba" else None
        return kernel

    if way == "numba":
        pytest.importorskip("numba")
    monkeypatch.setattr(partition, "kernel_of", kernel_of)


@pytest.mark.parametrize("way", ["numpy", "numba"])
@pytest.mark.parametrize(
    "settings",
    [{}, {"fill": False}, {"unit": True}, {"shape": Shape(3, 3, 4, final=7)}, {"seed": 5}],
    ids=lambda s: "-".join(s) or "plain",
)
def test_it_is_the_construction_of_the_paper(way, settings, monkeypatch):
    go(way, monkeypatch)
    x, offsets = tokens(61), cut([1, 0, 30, 5, 24, 1])
    fde = FDE.fit(x, **{"shape": SMALL, **settings})
    for found, document in ((fde.queries(x, offsets), False), (fde.documents(x, offsets), True)):
        assert found.dtype == np.float32
        assert found.shape == (6, fde.dim)
        expected = [slow(fde, x[a:b], document=document) for a, b in pairwise(offsets.tolist())]
        assert np.abs(found - expected).max() < 1e-5


@pytest.mark.parametrize("shape", [Shape(2, 0, 3), Shape(1, 1, DIM), Shape(4, 6, 1), Shape(1, 2, 5, final=3)])
def test_other_shapes_too(shape, monkeypatch):
    go("numpy", monkeypatch)
    x, offsets = tokens(40), cut([20, 20])
    fde = FDE.fit(x, shape=shape, seed=1)
    assert fde.shape == shape
    assert fde.dim == shape.dim == len(slow(fde, x[:20], document=True))
    assert np.abs(fde.documents(x, offsets)[1] - slow(fde, x[20:], document=True)).max() < 1e-5
    assert np.abs(fde.queries(x, offsets)[0] - slow(fde, x[:20], document=False)).max() < 1e-5


def test_named_shapes_are_as_long_as_they_say():
    assert {name: shape.dim for name, shape in SHAPES.items()} == {n: int(n) for n in ("1280", "2560", "5120", "10240")}
    fde = FDE.fit(tokens(2, d=128))
    assert fde.documents(tokens(4, d=128), cut([4])).shape == (1, 10240)
    assert FDE.fit(tokens(1, d=128), shape="1280").dim == 1280


@given(sizes=st.lists(st.integers(0, 70), max_size=8), seed=st.integers(0, 99))
@tried(max_examples=20)
def test_an_item_does_not_care_about_order_or_company(sizes, seed):
    offsets = cut(sizes)
    x = tokens(offsets[-1], seed)
    x.setflags(write=False)
    fde = FDE.fit(tokens(1), shape=SMALL)
    all_ = fde.documents(x, offsets)
    for i, (lo, hi) in enumerate(pairwise(offsets.tolist())):
        assert np.allclose(fde.documents(x[lo:hi], [0, hi - lo])[0], all_[i], atol=1e-6)


def test_an_item_of_many_tokens_and_many_items_of_few():
    x = tokens(3000)
    fde = FDE.fit(x, shape=SMALL)
    assert np.abs(fde.documents(x, cut([2990, 10]))[0] - slow(fde, x[:2990], document=True)).max() < 1e-5
    many = fde.documents(x, cut([1] * 3000))
    assert np.abs(many[2345] - slow(fde, x[2345:2346], document=True)).max() < 1e-5


def test_inner_products_stand_for_maxsim():
    """Where clusters are as clear as here, what is best by MaxSim is best by them."""
    rng = np.random.default_rng(0)
    topics = tokens(200, d=32)
    words = rng.integers(0, 200, (100, 8))
    near = topics[words] + 0.05 * rng.standard_normal((100, 8, 32)).astype(np.float32)
    x, offsets = near.reshape(-1, 32).astype(np.float32), cut([8] * 100)
    queries, start = topics[words[:, :4]].reshape(-1, 32), cut([4] * 100)
    fde = FDE.fit(x, shape=Shape(40, 4, 16))
    exact, cheap = maxsim_many(queries, start, x, offsets), fde.queries(queries, start) @ fde.documents(x, offsets).T
    assert (exact.argmax(axis=1) == np.arange(100)).all()
    assert (cheap.argmax(axis=1) == np.arange(100)).mean() >= 0.95
    assert 0.5 < (np.diag(cheap) / np.diag(exact)).mean() < 1  # a cell's mean is below its best
    measured = fde.recall((queries, start), (x, offsets), k=1)
    assert measured.at(1) == (cheap.argmax(axis=1) == np.arange(100)).mean()
    assert measured.at(measured.needed(1.0)) == 1
    single = FDE.fit(x, shape=Shape(1, 0, 32))  # one cell, nothing projected: the means alone
    assert single.recall((queries, start), (x, offsets), k=10).at(20) < fde.recall((queries, start), (x, offsets)).at(
        20
    )


def test_saved_and_loaded_gives_the_same_bits_or_an_error():
    x, offsets = tokens(30), cut([10, 20])
    fde = TOKEN_REDUCERS["fde@1"].fit(x, shape=Shape(2, 2, 3, final=5), unit=True, seed=4)
    file = io.BytesIO()
    np.savez(file, **fde.arrays())
    file.seek(0)
    arrays = dict(np.load(file))
    loaded = FDE.from_arrays(arrays)
    assert loaded.fingerprint == fde.fingerprint
    assert (loaded.documents(x, offsets) == fde.documents(x, offsets)).all()
    for name in ("planes", "signs", "turn"):
        with pytest.raises(FormatError, match=f"fingerprint {fde.fingerprint}, got"):
            FDE.from_arrays({**arrays, name: -arrays[name]})
    other = FDE.fit(x, shape=Shape(2, 2, 3, final=5), unit=True, seed=5)
    with pytest.raises(FormatError, match="encode the documents again"):
        FDE.from_arrays({**other.arrays(), "fingerprint": arrays["fingerprint"]})
    with pytest.raises(FormatError, match="none"):
        FDE.from_arrays({name: value for name, value in arrays.items() if name != "fingerprint"})
    with pytest.raises(FormatError, match="those of 'fde@2'"):
        FDE.from_arrays({**arrays, "id": np.frombuffer(b"fde@2", np.uint8)})
    with pytest.raises(FormatError, match="fit together"):
        FDE.from_arrays({**arrays, "final": np.asarray(0)})


def test_seed_and_settings_are_in_the_fingerprint():
    made = [
        FDE.fit(tokens(1), shape=SMALL),
        FDE.fit(tokens(1), shape=SMALL, seed=1),
        FDE.fit(tokens(1), shape=SMALL, fill=False),
        FDE.fit(tokens(1), shape=SMALL, unit=True),
        FDE.fit(tokens(1), shape=Shape(3, 3, 4, final=9)),
    ]
    assert len({fde.fingerprint for fde in made}) == len(made)
    assert made[0].fingerprint == FDE.fit(tokens(5, 3), shape=SMALL, seed=0).fingerprint


@pytest.mark.parametrize("q", [0, 1, 5])
def test_a_scan_by_cells_is_the_product(q):
    x, offsets = tokens(200), cut([10] * 20)
    fde = FDE.fit(x, shape=SMALL)
    encodings, queries = fde.documents(x, offsets), fde.queries(x[: 2 * q], cut([2] * q))
    scan = fde.scanner(encodings)
    assert isinstance(scan, CellScan)
    assert (len(scan), scan.nbytes) == (20, encodings.nbytes)
    assert np.allclose(scan.scores(queries), queries @ encodings.T, atol=1e-5)
    assert FDE.fit(x, shape=Shape(3, 3, 4, final=9)).scanner(encodings) is None
    with pytest.raises(ShapeError, match="d=96"):
        scan.scores(queries[:, 1:])
    with pytest.raises(ShapeError, match=r"c \* 4"):
        fde.scanner(encodings[:, 1:])


def test_what_cannot_be_is_refused_in_words():
    fde = FDE.fit(tokens(1), shape=SMALL)
    with pytest.raises(InputError, match="1280, 2560, 5120, 10240, or a Shape"):
        FDE.fit(tokens(1), shape="4096")
    for bad in ((0, 3, 4), (1, 13, 4), (1, -1, 4), (1, 3, 0), (1, 3, 4, -1)):
        with pytest.raises(InputError, match="bits from 0 to 12"):
            Shape(*bad)
    with pytest.raises(ShapeError, match="d=10"):
        fde.queries(tokens(3, d=11), cut([3]))
    with pytest.raises(ShapeError, match="offsets must be"):
        fde.documents(tokens(3), cut([4]))
    with pytest.raises(NotFiniteError, match="tokens"):
        fde.documents(tokens(3) * np.inf, cut([3]))
    with pytest.raises(InputError, match=r"column must be in \[0, 2\)"):
        FDE(np.zeros((1, 0, 2), np.float32), np.eye(2, dtype=np.int8)[None], np.array([0, 2], np.int32),
            np.ones(2, np.int8), final=2)  # fmt: skip
