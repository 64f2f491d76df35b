"""Product codewords that are trained to rank as the uncompressed vectors do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import Array, ArrayLike, Float32, Int64, Matrix, UInt8
from nestvec.kernels import product
from nestvec.kernels.adam import Adam
from nestvec.kernels.listwise import listnet
from nestvec.kernels.product_codes import RotatedProduct
from nestvec.kernels.topk import Best

_BATCH = 64  # queries a step
_ROWS = 8192  # scored at a time when the lists are made
_RATE = 5e-4  # of the codewords' mean absolute value; the paper's 1e-4 is for values near 0.1
_REASSIGN = 50  # steps between two looks at which codeword is nearest


@dataclass(frozen=True, eq=False)
class DistillVQ(RotatedProduct):
    """Rotate and quantise in parts as ``opq@1``, with codewords that keep the order of near neighbours.

    From the codewords of OPQ on, ListNet is made small between the lists of uncompressed scores and of scores against
    codes, over the top of each query's own list and as many random rows::

        loss = -mean_q sum_k softmax(<q, x_k> / t) log softmax(<q, x̂_k> / t)

    No labels are needed, and the sample may be its own queries.

    Args:
        rotation: ``[d, d]``, orthogonal.
        codebooks: ``[m, k, w]``: ``k`` codewords of each part, 16 or 256.

    Source: Xiao et al. 2022, sec. 3 (arXiv:2204.00185), the product part of it, with the encoder left alone.
    """

    id: ClassVar[str] = "distill_vq@1"

    @classmethod
    def fit(
        cls,
        sample: ArrayLike,
        *,
        queries: ArrayLike | None = None,
        parts: int | None = None,
        bits: int = 8,
        steps: int = 400,
        temperature: float = 0.05,
        seed: int = 0,
    ) -> DistillVQ:
        """Train on ``sample`` ``[n, d]``, ``n >= 2**bits``.

        Args:
            sample: vectors like those to come.
            queries: ``[q, d]`` queries like those to come; by default the sample itself.
            parts: ``m``. By default ``d / 8``, at least 1: one bit a dimension with ``bits=8``.
            bits: 4 or 8 a part.
            steps: of 64 queries each; 0 leaves what OPQ gave.
            temperature: ``t`` of both lists. 0.05 suits unit vectors.
            seed: of everything random.

        Raises:
            InputError: ``bits``, ``parts``, ``steps``, ``temperature`` or the number of rows is out of range.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: that of ``opq@1``; ``q n d`` products for the lists; about 10 ms a step at ``m = 48``.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        n, d = sample.shape
        m = max(d // 8, 1) if parts is None else parts
        product.check(cls.id, dim=d, parts=m, bits=bits, rows=n)
        if steps < 0 or temperature <= 0:
            raise InputError(f"steps must be at least 0 and temperature above 0, got {steps} and {temperature}.")
        rotation, books = product.train_rotated(sample, parts=m, bits=bits, seed=seed)
        asked = sample if queries is None else as_matrix(queries, name="queries", dim=d, at_least=1)
        rng = np.random.default_rng(seed)
        most = _BATCH * steps  # more queries than steps can look at need no list
        if len(asked) > most:
            asked = asked[np.sort(rng.choice(len(asked), most, replace=False))]
        turned = sample @ rotation
        return cls(rotation, _distil(turned, asked @ rotation, books, steps=steps, temperature=temperature, rng=rng))


def loss_and_gradient(
    queries: Float32[np.ndarray, "q d"],
    numbers: UInt8[np.ndarray, "q c m"],
    teacher: Float32[np.ndarray, "q c"],
    codebooks: Float32[np.ndarray, "m k w"],
    *,
    temperature: float,
) -> tuple[float, Float32[np.ndarray, "m k w"]]:
    """ListNet of the scores against codes, and its gradient by the codewords.

    Args:
        queries: ``[q, d]``, rotated.
        numbers: ``[q, c, m]`` the codes of each query's list.
        teacher: ``[q, c]`` its uncompressed scores.
        codebooks: ``[m, k, w]``.
        temperature: ``t``.
    """
    q, k = len(queries), codebooks.shape[1]
    cells = numbers.astype(np.intp) + (np.arange(q) * k)[:, None, None]  # of the table of query and codeword
    student = np.zeros(teacher.shape, np.float32)
    pieces = product.cut(queries, len(codebooks))
    for j, (piece, book) in enumerate(zip(pieces, codebooks, strict=True)):
        student += (piece @ book.T).reshape(-1).take(cells[:, :, j])
    loss, slope = listnet(teacher, student, temperature=temperature)
    gradient = np.empty_like(codebooks)
    for j, piece in enumerate(pieces):
        pulled = np.bincount(cells[:, :, j].reshape(-1), slope.reshape(-1), minlength=q * k)
        gradient[j] = pulled.reshape(q, k).T.astype(np.float32) @ piece
    return loss, gradient


def _distil(
    x: Matrix,
    queries: Float32[np.ndarray, "q d"],
    books: Array,
    *,
    steps: int,
    temperature: float,
    rng: np.random.Generator,
) -> Float32[np.ndarray, "m k w"]:
    books = books.copy()
    if not steps:
        return books
    top = _lists(queries, x, min(100, len(x)))  # the paper's depth of 100 to 200
    rate = _RATE * float(np.abs(books).mean()) / 0.05
    adam = Adam({"books": books}, {"books": rate})
    codes = product.encode(x, books)
    for step in range(steps):
        if step and step % _REASSIGN == 0:
            codes = product.encode(x, books)
        chosen = rng.integers(0, len(queries), min(_BATCH, len(queries)))
        lists = np.concatenate([top[chosen], rng.integers(0, len(x), (len(chosen), top.shape[1]))], axis=1)
        some = queries[chosen]
        teacher = np.einsum("qd,qcd->qc", some, x[lists])
        _, slope = loss_and_gradient(some, codes[lists], teacher, books, temperature=temperature)
        adam.step({"books": slope}, scale=1 - step / steps)
    return books


def _lists(queries: Float32[np.ndarray, "q d"], x: Matrix, depth: int) -> Int64[np.ndarray, "q k"]:
    """The best ``depth`` rows of each query."""
    best = Best(len(queries), depth, n=len(x))
    for lo in range(0, len(x), _ROWS):
        best.offer(x[lo : lo + _ROWS] @ queries.T, lo)
    return best.result()[0]
