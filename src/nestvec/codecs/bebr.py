"""Learned recurrent binarisation: bits that are trained to rank as the float vectors do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.portable import Portable
from nestvec.core.types import Array, ArrayLike, Float32, Matrix, UInt8
from nestvec.kernels import bits as packing
from nestvec.kernels.adam import Adam
from nestvec.kernels.blocks import as_codes, rows_times, scores_by_decoding
from nestvec.kernels.listwise import listnet
from nestvec.kernels.rotations import random_rotation

_BATCH = 256  # documents a step; a batch is seeds with their neighbours, so that it holds near ones and far ones
_SEEDS = 32  # queries among them
_POOL = 20_000  # rows of the sample that neighbours are looked for in: 400 million products at d = 384 and 64 seeds
_RATE = 6e-4  # of the mean absolute weight a step: the closed form is good already, and more than this does harm
_RIDGE = 1e-4  # of the mean square: a sample may be smaller than it is wide
# Steps between levels, in standard deviations, that suit normal values best (Max 1960, table II, and its continuation).
_STEP = (1.596, 0.996, 0.586, 0.335, 0.188, 0.104, 0.0569, 0.0308)


@dataclass(frozen=True, eq=False)
class BEBR(Portable):
    """Binarise, look at what is left, binarise that, and so on: ``u + 1`` bits a dimension.

    With ``x`` centred, and linear layers where the paper has small networks::

        b_0 = sign(x W_0)
        r_t = sign((x - b_(t-1) R_(t-1)) W_t)        b_t = b_(t-1) + 2**-t r_t        t = 1 .. u
        x̂ = centre + b_u R_u

    All ``W`` and ``R`` start in closed form (a random rotation, least squares) and are then trained end to end on
    vectors alone, through the signs by the straight-through estimator: ListNet between the lists of uncompressed scores
    and of scores against codes in batches of neighbours, plus the squared error. The lists are the contrastive loss of
    the paper with soft labels.

    Two versions of an encoder can share one index of codes: see ``old`` of :meth:`fit` and :meth:`symmetric`.

    Args:
        centre: ``[d]``.
        forth: ``[u + 1, d, b]``, the ``W``.
        back: ``[u + 1, b, d]``, the ``R``.

    Source: Gan et al. 2023, sec. 3 (arXiv:2302.08714).
    """

    centre: Float32[np.ndarray, " d"]
    forth: Float32[np.ndarray, "t d b"]
    back: Float32[np.ndarray, "t b d"]

    id: ClassVar[str] = "bebr@1"

    def __post_init__(self) -> None:
        t, d, b = self.forth.shape
        if self.back.shape != (t, b, d) or d != len(self.centre) or not 1 <= t <= 8:
            raise InputError(
                f"forth and back must be [t, d, b] and [t, b, d] with d={len(self.centre)} and t from 1 to 8, "
                f"got {self.forth.shape} and {self.back.shape}."
            )

    @classmethod
    def fit(
        cls,
        sample: ArrayLike,
        *,
        bits: int = 2,
        wide: int | None = None,
        steps: int = 300,
        temperature: float = 0.05,
        old: Float32[np.ndarray, "n b"] | None = None,
        seed: int = 0,
    ) -> BEBR:
        """Train on ``sample`` ``[n, d]``, ``n >= 1``.

        Args:
            sample: vectors like those to come.
            bits: ``u + 1`` a dimension, 1 to 8.
            wide: ``b``, the dimensions that become bits; by default ``d``.
            steps: of 256 documents each; 0 leaves the closed form.
            temperature: of both lists. 0.05 suits unit vectors.
            old: ``[n, b]``, what :meth:`grid` of an earlier codec gives for the same items, perhaps of another encoder.
                With it, codes of the two may be compared by :meth:`symmetric`.
            seed: of everything random.

        Raises:
            InputError: an argument is out of range, or ``old`` does not belong to ``sample``.
            ShapeError, NotFiniteError: see :func:`as_matrix`.

        Cost: about 20 ms a step at ``d = b = 384`` and 2 bits.
        """
        sample = as_matrix(sample, name="sample", at_least=1)
        n, d = sample.shape
        b = d if wide is None else wide
        if bits not in range(1, 9) or b < 1 or steps < 0 or temperature <= 0:
            raise InputError(
                "bits must be from 1 to 8, wide at least 1, steps at least 0 and temperature above 0, "
                f"got {bits}, {b}, {steps} and {temperature}."
            )
        if old is not None:
            old = as_matrix(old, name="old", dim=b)
            if len(old) != n:
                raise InputError(f"old must have a row for each of the {n} of sample, got {len(old)}.")
        centre = sample.mean(axis=0)
        rng = np.random.default_rng(seed)
        if n > _POOL:
            chosen = np.sort(rng.choice(n, _POOL, replace=False))
            sample, old = sample[chosen], None if old is None else old[chosen]
        model = _closed_form(sample - centre, bits=bits, wide=b, seed=seed, old=old)
        if steps and n > 1:
            _train(model, sample - centre, old, steps=steps, temperature=temperature, rng=rng)
        return cls(centre, model["forth"], model["back"])

    @property
    def dim(self) -> int:
        """``d``."""
        return len(self.centre)

    @property
    def bits(self) -> int:
        """``u + 1``."""
        return len(self.forth)

    @property
    def bytes_per_vector(self) -> int:
        """``(u + 1) / 8`` for each of the ``b`` dimensions, each plane in whole bytes. The layers are stored once."""
        return self.bits * int((self.forth.shape[2] + 7) // 8)

    def encode(self, x: ArrayLike) -> UInt8[np.ndarray, "n w"]:
        """``[n, d]`` float -> ``[n, (u + 1) ceil(b / 8)]`` uint8: the plane of ``b_0``, then of each ``r_t``."""
        moved: Array = as_matrix(x, name="x", dim=self.dim) - self.centre
        b: Array = np.zeros((len(moved), self.forth.shape[2]), np.float32)
        planes = []
        for t in range(self.bits):
            left = moved if t == 0 else moved - rows_times(b, self.back[t - 1])
            up = rows_times(left, self.forth[t]) > 0
            planes.append(packing.pack(up))
            b += np.where(up, np.float32(0.5**t), np.float32(-(0.5**t)))
        return np.concatenate(planes, axis=1)

    def grid(self, codes: Array) -> Float32[np.ndarray, "n b"]:
        """``b_u``: codes as values on the grid from ``-(2 - 2**-u)`` to ``2 - 2**-u``."""
        codes = as_codes(codes, width=self.bytes_per_vector)
        levels = packing.unpack_levels(codes, self.forth.shape[2], self.bits)  # sum 2**(u - t) of the bits
        return (levels * np.float32(2) - np.float32(2**self.bits - 1)) * np.float32(0.5 ** (self.bits - 1))

    def decode(self, codes: Array) -> Matrix:
        """Codes -> ``[n, d]`` float32."""
        return np.asarray(self.grid(codes) @ self.back[-1] + self.centre)

    def scores(self, queries: ArrayLike, codes: Array) -> Float32[np.ndarray, "q n"]:
        """Inner products of ``queries`` ``[q, d]`` with the decoded codes; the last layer is put on the queries."""
        queries = as_matrix(queries, name="queries", dim=self.dim)
        codes = as_codes(codes, width=self.bytes_per_vector)
        found = scores_by_decoding(queries @ self.back[-1].T, codes, self.grid, dim=self.forth.shape[2])
        found += (queries @ self.centre)[:, None]
        return found

    def symmetric(self, a: Array, b: Float32[np.ndarray, "n b"]) -> Float32[np.ndarray, "q n"]:
        """Inner products of codes ``a`` ``[q, w]`` with :meth:`grid` values ``b`` ``[n, b]`` of this or the old codec.

        Divided by the number of dimensions. Only for ranking: they are not those of the vectors.
        """
        b = as_matrix(b, name="b", dim=self.forth.shape[2])
        return np.asarray(self.grid(a) @ b.T / np.float32(b.shape[1]))


def _signs(x: Matrix) -> Matrix:
    return np.where(x > 0, np.float32(1), np.float32(-1))


def _closed_form(
    x: Matrix, *, bits: int, wide: int, seed: int, old: Float32[np.ndarray, "n b"] | None = None
) -> dict[str, Array]:
    """Layers that make each dimension of a random rotation an even grid, found bit by bit.

    Least squares for the way back would lose less squared length and rank worse: it shrinks what varies little. With
    codes of an earlier codec, the map that comes nearest to those takes the place of the rotation.
    """
    d = x.shape[1]
    turn = random_rotation(max(d, wide), seed=seed)[:d, :wide]
    undo = turn.T
    if old is not None:
        gram = (x.T @ x).astype(np.float64)
        gram[np.diag_indices(d)] += _RIDGE * np.trace(gram) / d + 1e-12
        turn = np.linalg.solve(gram, (x.T @ old).astype(np.float64)).astype(np.float32)
        undo = np.linalg.pinv(turn)
    spread = np.maximum(np.sqrt(np.square(x @ turn).mean(axis=0)), np.float32(1e-12))
    reach = np.float32(_STEP[bits - 1] * 2.0 ** (bits - 2))  # of b = 1, so that neighbours on the grid are a step apart
    forth = np.stack([turn / spread * np.float32(2.0**t) for t in range(bits)])  # arguments of the signs near 1 in size
    back = np.repeat((undo * (spread * reach)[:, None])[None], bits, axis=0)
    b: Array = np.zeros((len(x), wide), np.float32)
    for t in range(bits):
        left = x if t == 0 else x - b @ back[t - 1]
        b += np.float32(0.5**t) * _signs(left @ forth[t])
    weight = ((x @ turn) * b).mean(axis=0) / np.maximum(np.square(b).mean(axis=0), np.float32(1e-12))
    back[-1] = undo * weight[:, None]
    return {"forth": np.ascontiguousarray(forth), "back": np.ascontiguousarray(back)}


def loss_and_gradients(
    model: dict[str, Array], x: Matrix, seeds: int, old: Float32[np.ndarray, "n b"] | None, *, temperature: float
) -> tuple[float, dict[str, Array]]:
    """The loss of a batch ``x`` ``[n, d]`` whose first rows are the queries, and its gradients.

    The sign's derivative is taken as 1 where its argument lies within ±1, else 0.
    """
    forth, back = model["forth"], model["back"]
    queries, steps = x[:seeds], len(forth)
    grids, lefts, inputs = [], [], []
    b: Array = np.zeros((len(x), forth.shape[2]), np.float32)
    for t in range(steps):
        left = x if t == 0 else x - b @ back[t - 1]
        z = left @ forth[t]
        b = b + np.float32(0.5**t) * _signs(z)
        grids.append(b)
        lefts.append(left)
        inputs.append(z)
    decoded = b @ back[-1]
    teacher = queries @ x.T
    loss, slope = listnet(teacher, queries @ decoded.T, temperature=temperature)
    wrong = decoded - x
    size = np.float32(max(float(np.square(x).sum()), 1e-12))
    loss += float(np.square(wrong).sum() / size)
    d_decoded = slope.T @ queries + 2 * wrong / size
    d_b = d_decoded @ back[-1].T
    if old is not None:
        shared = np.float32(1 / old.shape[1])
        more, slope = listnet(teacher, b[:seeds] @ old.T * shared, temperature=temperature)
        loss += more
        d_b[:seeds] += slope @ old * shared
    d_forth, d_back = np.zeros_like(forth), np.zeros_like(back)
    d_back[-1] += b.T @ d_decoded
    for t in reversed(range(steps)):
        d_z = np.float32(0.5**t) * d_b * (np.abs(inputs[t]) <= 1)
        d_forth[t] = lefts[t].T @ d_z
        if t:
            d_left = d_z @ forth[t].T
            d_back[t - 1] -= grids[t - 1].T @ d_left
            d_b = d_b - d_left @ back[t - 1].T
    return loss, {"forth": d_forth, "back": d_back}


def _train(
    model: dict[str, Array],
    x: Matrix,
    old: Float32[np.ndarray, "n b"] | None,
    *,
    steps: int,
    temperature: float,
    rng: np.random.Generator,
) -> None:
    size = {name: float(np.abs(p).mean()) for name, p in model.items()}
    adam = Adam(model, {name: _RATE * size[name] for name in model})
    near = max(min(_BATCH // _SEEDS, len(x)) - 1, 0)
    for step in range(steps):
        seeds = rng.choice(len(x), min(_SEEDS, len(x)), replace=False)
        scores = x[seeds] @ x.T
        friends = np.argpartition(-scores, min(near, len(x) - 1), axis=1)[:, : near + 1]
        rest = np.setdiff1d(friends, seeds)
        batch = np.concatenate([seeds, rest])
        _, gradients = loss_and_gradients(
            model, x[batch], len(seeds), None if old is None else old[batch], temperature=temperature
        )
        adam.step(gradients, scale=1 - step / steps)
