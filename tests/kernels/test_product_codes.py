"""What product codecs share. The contract suite of codecs covers the rest."""

import numpy as np
import pytest

from nestvec.core.errors import InputError
from nestvec.kernels import product
from nestvec.kernels.product_codes import RotatedProduct
from nestvec.kernels.rotations import random_rotation

X = np.random.default_rng(0).standard_normal((300, 10)).astype(np.float32)
TURN = random_rotation(10, seed=1)
BOOKS = product.train(X @ TURN, parts=3, bits=4, seed=2)


def test_codes_are_those_of_the_turned_vectors_two_to_a_byte():
    codec = RotatedProduct(TURN, BOOKS)
    numbers = product.encode(X @ TURN, BOOKS)
    assert (codec.dim, codec.bytes_per_vector) == (10, 2)
    assert (codec.encode(X) == product.pack(numbers, 16)).all()
    decoded = codec.decode(codec.encode(X))
    assert np.allclose(decoded @ TURN, product.decode(numbers, BOOKS, 10), atol=1e-5)
    assert np.allclose(codec.scores(X[:4], codec.encode(X)), X[:4] @ decoded.T, atol=1e-4)


def test_codebooks_of_another_size_are_refused():
    with pytest.raises(InputError, match="codebooks must be"):
        RotatedProduct(TURN, BOOKS[:, :7])
