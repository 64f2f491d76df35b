"""Features in towers, so that machines exchange a few numbers a tower instead of the rows of all features.

A tower is a group of features whose rows lie on one machine and are brought to a few numbers there. Which features go
together decides what is lost: those whose rows say much about one another should.

Source: Luo et al. 2024, sec. 3 and 4 (arXiv:2403.00877).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError, NotFiniteError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float64, Int64

_TINY = 1e-12


def interactions(rows: ArrayLike) -> Float64[np.ndarray, "f f"]:
    """``[f, f]``: how strongly features go together, the mean of ``|cos(e_f, e_g)|`` over examples.

    Args:
        rows: ``[n, f, d]``, the rows of ``f`` features in ``n`` examples, out of a table that has learnt in a model
            which adds their inner products (a factorisation machine), for there features that have nothing to do with
            one another become orthogonal.

    Returns:
        Symmetric, in [0, 1]; 0 on the diagonal and for features whose rows are all zero.

    Raises:
        ShapeError: not of three axes, or no example.
        NotFiniteError: NaN or infinity.
    """
    x = np.asarray(rows, np.float64)
    if x.ndim != 3 or not len(x):
        raise ShapeError(f"rows must be [n, f, d] with n >= 1, got shape {x.shape}.")
    if not np.isfinite(x).all():
        raise NotFiniteError("rows must be finite, got NaN or infinity.")
    x = x / np.maximum(np.linalg.norm(x, axis=2, keepdims=True), _TINY)
    found: Array = np.abs(x @ x.transpose(0, 2, 1)).mean(axis=0)
    np.fill_diagonal(found, 0)
    return found


def partition_features(likeness: ArrayLike, towers: int, *, seed: int = 0, starts: int = 8) -> Int64[np.ndarray, " f"]:
    """``[f]``: the tower of each feature, such that those which go together are together and towers are of one size.

    Sizes differ by one at most. From random beginnings, the two features whose exchange gains most change places until
    none gains; the best of all beginnings is taken.

    Args:
        likeness: ``[f, f]`` symmetric, as :func:`interactions` gives it.
        towers: how many.
        seed: of the beginnings.
        starts: how many beginnings.

    Returns:
        Numbers from 0; tower 0 has feature 0, tower 1 the first feature that is in another, and so on.

    Raises:
        ShapeError: ``likeness`` is not square.
        InputError: more towers than features, or none; or it is not symmetric and finite.

    Source: Kernighan and Lin 1970, sec. 2 (Bell System Technical Journal 49(2)), for exchanges.
    """
    like = np.array(likeness, np.float64)
    if like.ndim != 2 or like.shape[0] != like.shape[1]:
        raise ShapeError(f"likeness must be [f, f], got shape {like.shape}.")
    f = len(like)
    if not 1 <= towers <= f or not np.isfinite(like).all() or not np.allclose(like, like.T):
        raise InputError(
            f"likeness must be symmetric and finite and towers 1 to {f}, got towers={towers} for [{f}, {f}]."
        )
    np.fill_diagonal(like, 0)
    rng, best, score = np.random.default_rng(seed), np.zeros(f, np.int64), -np.inf
    for _ in range(starts):
        tower = _exchanged(like, rng.permutation(np.arange(f) % towers))
        inside = float(like[tower[:, None] == tower[None, :]].sum())
        if inside > score + _TINY:
            best, score = tower, inside
    _, first, which = np.unique(best, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[which.reshape(-1)]


def _exchanged(like: Array, tower: Array) -> Array:
    every = np.arange(len(like))
    while True:
        to = np.stack([like[:, tower == t].sum(axis=1) for t in range(int(tower.max()) + 1)], axis=1)  # [f, towers]
        gain = to[:, tower] - to[every, tower][:, None]  # [a, b]: what a gains where b is
        gain = gain + gain.T - 2 * like
        gain[tower[:, None] == tower[None, :]] = 0
        a, b = np.unravel_index(int(gain.argmax()), gain.shape)
        if gain[a, b] <= _TINY:
            return tower
        tower[a], tower[b] = tower[b], tower[a]


@dataclass(frozen=True)
class Traffic:
    """Bytes that machines exchange in one step of training, counted and not measured.

    Args:
        flat: every example's rows of all features go to the machine of the example, and their gradients back.
        towers: every example's tower outputs do.
    """

    flat: int
    towers: int

    @property
    def ratio(self) -> float:
        """``towers / flat``."""
        return self.towers / self.flat


def traffic(*, features: int, dim: int, towers: int, tower_dim: int, batch: int, bytes_per_number: int = 4) -> Traffic:
    """What a machine a tower exchanges in a step, with features spread evenly over as many machines or in towers.

    ``2 batch (1 - 1 / towers) numbers bytes`` with ``numbers = features dim`` or ``towers tower_dim``: forwards and
    back, but for what is at home already.

    Args:
        features: how many.
        dim: of their rows.
        towers: of features, and machines.
        tower_dim: what a tower brings its features to.
        batch: examples of all machines together.
        bytes_per_number: 4 for float32.

    Raises:
        InputError: a number is below 1, or there are fewer than two towers.
    """
    if min(features, dim, tower_dim, batch, bytes_per_number) < 1 or towers < 2:
        raise InputError(
            f"numbers must be at least 1 and towers 2, got {features=}, {dim=}, {towers=}, {tower_dim=}, {batch=}."
        )
    abroad = 2 * batch * bytes_per_number * (towers - 1) / towers
    return Traffic(round(abroad * features * dim), round(abroad * towers * tower_dim))
