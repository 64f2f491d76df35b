"""Product quantisation beside the definition, and beside faiss on the same codebooks."""

import numpy as np
import pytest

from nestvec.core.errors import InputError, ShapeError
from nestvec.kernels import product
from nestvec.kernels.jit import Kernel


def case(n=500, d=10, m=4, bits=4, seed=0):
    x = np.random.default_rng(seed).standard_normal((n, d)).astype(np.float32)
    return x, product.train(x, parts=m, bits=bits, rounds=5)


def test_numbers_are_of_the_nearest_codewords():
    x, books = case()
    numbers = product.encode(x, books)
    for j, part in enumerate(product.cut(x, 4)):
        distance = np.square(part[:, None].astype(np.float64) - books[j]).sum(axis=2)
        assert (distance.argmin(axis=1) == numbers[:, j]).mean() > 0.999
    decoded = product.decode(numbers, books, 10)
    assert (decoded[:, 3:6] == books[1][numbers[:, 1]]).all()


@pytest.mark.parametrize(("m", "size"), [(1, 16), (5, 16), (4, 16), (5, 256)])
def test_numbers_come_back_from_their_packing(m, size):
    numbers = np.random.default_rng(0).integers(0, size, (30, m)).astype(np.uint8)
    packed = product.pack(numbers, size)
    assert packed.shape[1] == product.width(m, size)
    assert (product.unpack(packed, m, size) == numbers).all()


@pytest.mark.parametrize("way", ["numpy", "numba"])
@pytest.mark.parametrize("q", [1, 8, 9])
def test_scores_by_table_and_by_decoding_agree(way, q, monkeypatch):
    kernel = Kernel(product._build)
    if way == "numba":
        pytest.importorskip("numba")
        assert kernel.compile_now() == "numba"
    monkeypatch.setattr(product, "kernel", kernel)
    x, books = case()
    numbers = product.encode(x, books)
    queries = x[:q] + 1
    assert np.allclose(
        product.scores(queries, numbers, books), queries @ product.decode(numbers, books, 10).T, atol=1e-4
    )


def test_a_rotation_makes_the_error_smaller():
    rng = np.random.default_rng(0)
    x = (rng.standard_normal((2000, 16)) * np.geomspace(1, 0.05, 16)).astype(np.float32)

    def error(y, books):
        return np.square(product.decode(product.encode(y, books), books, 16) - y).sum()

    plain = error(x, product.train(x, parts=4, bits=4))
    rotation, books = product.train_rotated(x, parts=4, bits=4)
    assert np.allclose(rotation @ rotation.T, np.eye(16), atol=1e-5)
    start = product.balanced(x, 4)
    assert np.allclose(start @ start.T, np.eye(16), atol=1e-5)
    assert error(x @ rotation, books) < 0.8 * plain


def test_bad_requests_are_refused():
    for wrong in ({"bits": 3}, {"parts": 0}, {"parts": 11}, {"rows": 9}):
        with pytest.raises(InputError, match="must be"):
            product.check("pq@1", **{"dim": 10, "parts": 2, "bits": 4, "rows": 100, **wrong})
    with pytest.raises(InputError, match="codebooks"):
        product.check_codebooks(np.zeros((2, 16, 3), np.float32), 8)
    with pytest.raises(ShapeError, match="queries"):
        product.scores(np.zeros((1, 9), np.float32), np.zeros((3, 2), np.uint8), np.zeros((2, 16, 4), np.float32))


@pytest.mark.peer
def test_faiss_encodes_and_scores_alike_with_the_same_codebooks():
    faiss = pytest.importorskip("faiss")
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1000, 16)).astype(np.float32)
    books = product.train(x, parts=4, bits=8, rounds=5)
    index = faiss.IndexPQ(16, 4, 8, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(books.reshape(-1), index.pq.centroids)
    index.is_trained = True
    index.add(x)
    theirs = faiss.vector_to_array(index.codes).reshape(1000, 4)
    ours = product.encode(x, books)
    assert (theirs == ours).mean() > 0.999  # equal distances to the last bit may go either way
    scores, at = index.search(x[:5], 20)
    mine = product.scores(x[:5], theirs, books)
    assert np.allclose(np.take_along_axis(mine, at, axis=1), scores, atol=1e-4)
    assert np.allclose(-np.sort(-mine, axis=1)[:, :20], scores, atol=1e-4)
