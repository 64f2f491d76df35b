"""MaxSim of ragged items, whatever the tokens are kept in, against the definition in three loops."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nestvec.codecs import CODECS
from nestvec.core.coding import TokenCodec
from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.kernels import maxsim_codes, ragged
from nestvec.kernels.jit import Kernel
from nestvec.kernels.maxsim import matches, matches_coded, maxsim, maxsim_coded, maxsim_many

DIM = 12


def tokens(t, seed=0, d=DIM):
    x = np.random.default_rng(seed).standard_normal((t, d)).astype(np.float32)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def cut(sizes):
    return np.cumsum([0, *sizes], dtype=np.int64)


def slow(query, x, offsets):
    """The definition, one inner product at a time."""
    out = np.full(len(offsets) - 1, -np.inf)
    for i in range(len(out)):
        mine = x[offsets[i] : offsets[i + 1]].astype(np.float64)
        if len(mine):
            out[i] = sum(max(float(a @ b) for b in mine) for a in query.astype(np.float64))
    return out


@cache
def compiled(module):
    """One compilation for all tests."""
    return module._build()


def go(way, monkeypatch):
    """From here on the largest are found in that way."""
    for module in (ragged, maxsim_codes):
        kernel = Kernel(module._build)
        if way == "numba":
            pytest.importorskip("numba")
            kernel.compiled = compiled(module)
        monkeypatch.setattr(module, "kernel", kernel)


@pytest.fixture(params=["numpy", "numba"])
def way(request, monkeypatch):
    go(request.param, monkeypatch)


sizes_ = st.lists(st.integers(0, 40), max_size=12)


@given(sizes=sizes_, q=st.integers(0, 9), seed=st.integers(0, 99))
@settings(max_examples=40)
def test_it_is_what_the_definition_says(sizes, q, seed):
    offsets = cut(sizes)
    x, query = tokens(offsets[-1], seed), tokens(q, seed + 1)
    x.setflags(write=False)
    found = maxsim(query, x, offsets)
    assert found.dtype == np.float32
    assert np.allclose(found, slow(query, x, offsets), atol=1e-5)
    assert np.allclose(maxsim(query, x, offsets, mean=True) * max(q, 1), found, atol=1e-5)


def test_both_ways_and_every_type(way):
    offsets = cut([0, 3, 0, 1, 400, 17, 0])
    x, query = tokens(offsets[-1]), tokens(7, 1)
    assert np.allclose(maxsim(query, x, offsets), slow(query, x, offsets), atol=1e-5)
    half = x.astype(np.float16)
    assert np.allclose(maxsim(query, half, offsets), slow(query, half, offsets), atol=1e-5)
    assert np.isneginf(maxsim(query, x, offsets)[[0, 2, 6]]).all()
    best, value = matches(query, x, offsets)
    assert (best[[0, 2, 6]] == -1).all()
    assert np.allclose(value.sum(axis=1), slow(query, x, offsets), atol=1e-5)
    assert (best[4] == (x[offsets[4] : offsets[5]] @ query.T).argmax(axis=0)).all()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("int8_rows@1", {}),
        ("sign@1", {}),
        ("rabitq@1", {}),
        ("rabitq@1", {"bits": 3}),
        ("residual@1", {}),
        ("pq@1", {}),
    ],
)
def test_codes_score_as_what_they_decode_to(way, name, options):
    offsets = cut([0, 3, 0, 1, 300, 17, 0])
    x, query = tokens(offsets[-1]), 3 * tokens(7, 1)
    codec = CODECS[name].fit(x, **options)
    codes = codec.encode(x)
    found, expected = maxsim_coded(codec, query, codes, offsets), slow(query, codec.decode(codes), offsets)
    assert found.dtype == np.float32
    near = 0.03 if isinstance(codec, TokenCodec) else 2e-3  # of these the query, 3 long, is held to a byte a dimension
    assert np.allclose(found, expected, atol=near)
    assert np.allclose(maxsim_coded(codec, query, codes, offsets, mean=True), expected / 7, atol=near / 7)
    best, value = matches_coded(codec, query, codes, offsets)
    assert np.allclose(value.sum(axis=1), found, atol=1e-5)
    many = np.diff(offsets)
    assert (best[many == 0] == -1).all()
    assert ((best[many > 0] >= 0) & (best[many > 0] < many[many > 0, None])).all()
    assert maxsim_coded(codec, query[:0], codes, offsets).tolist() == [-np.inf, 0, -np.inf, 0, 0, 0, -np.inf]
    assert (maxsim_coded(codec, query, codes[:0], cut([0, 0])) == -np.inf).all()
    assert maxsim_coded(codec, query, codes[:0], cut([])).shape == (0,)


def test_numba_and_numpy_give_the_same_bits(monkeypatch):
    offsets = cut([5, 0, 90, 200])
    x, query = tokens(offsets[-1]), tokens(6, 1)
    codec = CODECS["int8_rows@1"].fit(x)
    codes, found = codec.encode(x), []
    for way in ("numba", "numpy"):
        go(way, monkeypatch)
        found.append(np.stack([maxsim(query, x, offsets), maxsim_coded(codec, query, codes, offsets)]))
    assert (found[0] == found[1]).all()


def test_some_codecs_have_a_way_of_their_own():
    fast = {name for name in CODECS if hasattr(CODECS[name], "maxima")}
    assert fast == {"int8_rows@1", "sign@1"}
    assert all(isinstance(CODECS[name].fit(tokens(2)), TokenCodec) for name in fast)
    assert not isinstance(CODECS["int8@1"].fit(tokens(2)), TokenCodec)


@pytest.mark.parametrize("d", [1, 3, 64, 130, 700])
def test_int8_is_as_exact_as_the_query_in_8_bits(d):
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (50, d)).astype(np.int8)
    query = (rng.standard_normal((4, d)) * np.array([[1e-6], [1], [1e4], [0]])).astype(np.float32)
    found = maxsim_codes.best_int8(query, codes, cut([20, 30]))
    true = query.astype(np.float64) @ codes.T.astype(np.float64)
    true = np.stack([true[:, :20].max(axis=1), true[:, 20:].max(axis=1)])
    allowed = np.abs(query).max(axis=1) / 254 * 127 * d + 1e-5 * np.abs(true)
    assert (np.abs(found - true) <= allowed).all()


def test_equal_items_score_equally_wherever_they_are():
    """So that ties go to the smaller id, and not to the end of a block."""
    one, query = tokens(5), tokens(3, 1)
    for n in (1, 7, 300):
        x = np.concatenate([one] * n)
        assert len(set(maxsim(query, x, cut([5] * n)).tolist())) == 1
        assert maxsim(query, x, cut([5] * n))[0] == maxsim(query, one, cut([5]))[0]


def test_ten_thousand_tokens_and_one():
    x, query = tokens(10_001), tokens(32, 1)
    assert np.allclose(maxsim(query, x, cut([10_000, 1])), slow(query[:, :], x, cut([10_000, 1])), atol=1e-4)


@given(sizes=st.lists(st.integers(0, 9), min_size=1, max_size=9), seed=st.integers(0, 99))
@settings(max_examples=20)
def test_some_items_score_as_among_all(sizes, seed):
    offsets = cut(sizes)
    x, query = tokens(offsets[-1], seed), tokens(3, 1)
    items = np.random.default_rng(seed).integers(0, len(sizes), 5)
    assert (maxsim(query, x, offsets, items=items) == maxsim(query, x, offsets)[items]).all()
    rows, own = ragged.take(x, offsets, items)
    assert (np.diff(own) == np.array(sizes)[items]).all()
    assert len(rows) == own[-1]


def test_a_memory_map_will_do(tmp_path):
    offsets = cut([4, 6])
    np.save(tmp_path / "x.npy", tokens(10))
    assert (maxsim(tokens(2, 1), np.load(tmp_path / "x.npy", mmap_mode="r"), offsets)
            == maxsim(tokens(2, 1), tokens(10), offsets)).all()  # fmt: skip


@pytest.mark.parametrize("name", ["int8_rows@1", "rabitq@1", "residual@1"])
def test_codes_in_a_memory_map_will_do(tmp_path, name):
    codec = CODECS[name].fit(tokens(40))
    np.save(tmp_path / "codes.npy", codec.encode(tokens(40)))
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    found = maxsim_coded(codec, tokens(3, 1), mapped, cut([30, 10]))
    assert (found == maxsim_coded(codec, tokens(3, 1), np.array(mapped), cut([30, 10]))).all()


def test_many_queries_are_one_after_the_other():
    offsets, start = cut([4, 0, 6]), cut([2, 0, 3])
    x, queries = tokens(10), tokens(5, 1)
    found = maxsim_many(queries, start, x, offsets)
    assert np.allclose(found[0], maxsim(queries[:2], x, offsets), atol=1e-6)
    assert np.allclose(found[2], slow(queries[2:], x, offsets), atol=1e-5)
    assert found[1].tolist() == [0, -np.inf, 0]
    assert maxsim_many(queries[:0], cut([]), x, offsets).shape == (0, 3)


def test_what_does_not_fit_is_refused_in_words():
    x, query = tokens(10), tokens(2, 1)
    with pytest.raises(ShapeError, match=r"rise from 0 to 10"):
        maxsim(query, x, cut([4, 5]))
    for bad in ([0, 6, 4, 10], [1, 10], [], [[0, 10]], [0.0, 10.0]):
        with pytest.raises(ShapeError, match="offsets must be"):
            maxsim(query, x, np.array(bad))
    with pytest.raises(ShapeError, match=r"tokens must be \[t, 12\]"):
        maxsim(query, x[:, 1:], cut([10]))
    with pytest.raises(InputError, match=r"got int8\. Score codes with maxsim_coded"):
        maxsim(query, x.astype(np.int8), cut([10]))
    with pytest.raises(NotFiniteError, match="query"):
        maxsim(query * np.nan, x, cut([10]))
    with pytest.raises(InputError, match=r"items must be in \[0, 1\)"):
        maxsim(query, x, cut([10]), items=np.array([1]))


@given(sizes=sizes_, most=st.integers(1, 50))
def test_blocks_cover_all_items_in_order(sizes, most):
    offsets = cut(sizes)
    runs = list(ragged.blocks(offsets, most))
    assert [i for lo, hi in runs for i in range(lo, hi)] == list(range(len(sizes)))
    assert all(offsets[hi] - offsets[lo] <= most or hi == lo + 1 for lo, hi in runs)
