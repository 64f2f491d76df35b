"""What every codec must do. Runs over the catalogue: a new codec is tested by being listed."""

import inspect
import io
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nestvec.codecs import CODECS, codec_from_arrays
from nestvec.core.coding import Codec
from nestvec.core.errors import FormatError, InputError, NotFiniteError, ShapeError
from nestvec.core.portable import fingerprint

DIM = 12  # not a multiple of 8, so that packed bits have a rest
pytestmark = pytest.mark.parametrize("name", list(CODECS))


@cache
def sample(n=400, dim=DIM, seed=0):
    """Vectors off the origin, of unlike spread and with common directions, as embeddings are."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, dim)) @ np.random.default_rng(7).standard_normal((dim, dim)) * 0.2 + 0.3
    x = x.astype(np.float32)
    x.setflags(write=False)
    return x


@cache
def fitted(name, dim=DIM):
    return CODECS[name].fit(sample(dim=dim), seed=3)


def fit_or_words(codec_class, x, **settings):
    """The codec, or why not."""
    try:
        return codec_class.fit(x, **settings)
    except InputError as error:
        return str(error)


def rows(n=8):
    few = st.floats(-2, 2, width=32)
    return hnp.arrays(np.float32, st.tuples(st.integers(0, n), st.just(DIM)), elements=few)


def test_is_a_codec(name):
    codec = fitted(name)
    assert isinstance(codec, Codec)
    assert (codec.id, codec.dim) == (name, DIM)


@given(x=rows(), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_a_code_does_not_care_about_order_or_company(name, x, seed):
    codec = fitted(name)
    x.setflags(write=False)
    codes = codec.encode(x)
    order = np.random.default_rng(seed).permutation(len(x))
    assert np.array_equal(codec.encode(x[order]), codes[order])
    for i in range(len(x)):
        assert np.array_equal(codec.encode(x[i : i + 1]), codes[i : i + 1])
    assert codes.nbytes == len(x) * codec.bytes_per_vector


def test_company_changes_nothing_in_a_large_batch(name):
    codec = fitted(name)
    codes = codec.encode(sample())
    assert np.array_equal(codec.encode(sample()[37:301]), codes[37:301])


@given(x=rows(), q=rows(3))
@settings(max_examples=30)
def test_scores_are_inner_products_with_what_is_decoded(name, x, q):
    codec = fitted(name)
    codes = codec.encode(x)
    decoded = codec.decode(codes)
    assert decoded.shape == x.shape
    assert decoded.dtype == np.float32
    scores = codec.scores(q, codes)
    assert scores.shape == (len(q), len(x))
    assert scores.dtype == np.float32
    size = np.linalg.norm(q, axis=1)[:, None] * np.maximum(np.linalg.norm(decoded, axis=1), 1)
    assert (np.abs(scores - q.astype(np.float64) @ decoded.T.astype(np.float64)) <= 1e-5 * size + 1e-6).all()


@pytest.mark.parametrize("q", [1, 5, 40])
def test_scores_agree_however_many_queries_there_are(name, q):
    codec = fitted(name)
    queries, codes = sample(q, seed=5), codec.encode(sample())
    assert np.allclose(codec.scores(queries, codes), queries @ codec.decode(codes).T, atol=1e-4)


def test_round_trip_keeps_most_of_a_vector(name):
    """Half of what sets vectors apart survives, in one bit a dimension as in sixteen."""
    codec, x = fitted(name), sample(seed=0)
    decoded = codec.decode(codec.encode(x))
    assert np.square(decoded - x).sum() <= 0.7 * np.square(x - x.mean(axis=0)).sum()
    apart, kept = x - x.mean(axis=0), decoded - x.mean(axis=0)
    cosine = (apart * kept).sum(axis=1) / (np.linalg.norm(apart, axis=1) * np.linalg.norm(kept, axis=1))
    assert cosine.mean() >= 0.7


def test_fitting_is_repeatable_and_leaves_the_sample_alone(name):
    again = CODECS[name].fit(sample(), seed=3)
    assert fingerprint(again) == fingerprint(fitted(name))
    assert np.array_equal(again.encode(sample()), fitted(name).encode(sample()))


def test_saved_and_loaded_gives_the_same_bits(name):
    codec = fitted(name)
    file = io.BytesIO()
    np.savez(file, **codec.arrays())
    file.seek(0)
    loaded = codec_from_arrays(dict(np.load(file)))
    assert type(loaded) is type(codec)
    assert fingerprint(loaded) == fingerprint(codec)
    codes = codec.encode(sample())
    assert np.array_equal(loaded.encode(sample()), codes)
    assert np.array_equal(loaded.decode(codes), codec.decode(codes))
    assert np.array_equal(loaded.scores(sample(2), codes), codec.scores(sample(2), codes))


def test_damaged_arrays_are_refused(name):
    arrays = fitted(name).arrays()
    with pytest.raises(FormatError, match="must have"):
        codec_from_arrays({key: value for key, value in arrays.items() if key == "id"})
    with pytest.raises(FormatError, match="its name"):
        codec_from_arrays({key: value for key, value in arrays.items() if key != "id"})
    with pytest.raises(FormatError, match="must have"):
        codec_from_arrays({**arrays, "more": np.zeros(1)})
    other = next(key for key in CODECS if key != name)
    with pytest.raises(FormatError, match=name):
        CODECS[name].from_arrays(fitted(other).arrays())


def test_nothing_at_all_is_a_batch(name):
    codec = fitted(name)
    none = codec.encode(np.zeros((0, DIM)))
    assert none.shape[0] == 0
    assert codec.decode(none).shape == (0, DIM)
    assert codec.scores(sample(2), none).shape == (2, 0)
    assert codec.scores(np.zeros((0, DIM)), codec.encode(sample(3))).shape == (0, 3)


def test_codes_may_lie_in_a_read_only_map(name, tmp_path):
    codec = fitted(name)
    np.save(tmp_path / "codes.npy", codec.encode(sample()))
    mapped = np.load(tmp_path / "codes.npy", mmap_mode="r")
    assert np.array_equal(codec.decode(mapped), codec.decode(codec.encode(sample())))
    assert np.allclose(codec.scores(sample(2), mapped[5:9]), codec.scores(sample(2), codec.encode(sample()[5:9])))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(name, bad):
    codec, x = fitted(name), sample(3).copy()
    x[1, 2] = bad
    for call in (codec.encode, CODECS[name].fit, lambda y: codec.scores(y, codec.encode(sample(3)))):
        with pytest.raises(NotFiniteError, match="row 1"):
            call(x)


def test_what_has_the_wrong_shape_is_refused(name):
    codec = fitted(name)
    codes = codec.encode(sample(3))
    with pytest.raises(ShapeError, match="d=12"):
        codec.encode(np.zeros((2, DIM + 1)))
    with pytest.raises(ShapeError, match=r"\[None, :\]"):
        codec.encode(np.zeros(DIM))
    with pytest.raises(ShapeError, match="d=12"):
        codec.scores(np.zeros((2, DIM + 1)), codes)
    with pytest.raises(ShapeError, match="codes must be"):
        codec.decode(codes[:, 1:])
    with pytest.raises(ShapeError, match="codes must be"):
        codec.scores(sample(2), codes.astype(np.float64))


@pytest.mark.parametrize("n", [0, 1, 2, 20])
def test_a_tiny_sample_works_or_is_refused_in_words(name, n):
    x = sample(n)
    codec = fit_or_words(CODECS[name], x)
    if isinstance(codec, str):
        assert "at least" in codec
        return
    assert np.isfinite(codec.decode(codec.encode(sample(5)))).all()


def test_constant_vectors_come_back(name):
    same = np.full((300, DIM), 0.25, np.float32)
    codec = CODECS[name].fit(same)
    assert np.allclose(codec.decode(codec.encode(same[:3])), same[:3], rtol=0.01, atol=1e-4)


@pytest.mark.parametrize("dim", [1, 7, 8, 33])
def test_any_width_will_do(name, dim):
    codec = fitted(name, dim)
    codes = codec.encode(sample(dim=dim))
    assert codes.nbytes == 400 * codec.bytes_per_vector
    decoded = codec.decode(codes)
    assert np.isfinite(decoded).all()
    assert np.allclose(codec.scores(sample(3, dim=dim), codes), sample(3, dim=dim) @ decoded.T, atol=1e-4)


@pytest.mark.parametrize("bits", [0, 3, 5, 9, 32])
def test_bits_that_it_does_not_have_are_refused(name, bits):
    if "bits" not in inspect.signature(CODECS[name].fit).parameters:
        pytest.skip("its bits are fixed")
    codec = fit_or_words(CODECS[name], sample(), bits=bits)
    if isinstance(codec, str):
        assert "bits" in codec
        assert str(bits) in codec
    else:
        assert name in ("rabitq@1", "bebr@1")  # 1 to 8
        assert 1 <= bits <= 8
