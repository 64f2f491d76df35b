"""What can be solved instead of trained: heads, leading dimensions, binariser, and a first token table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Matrix


class Ridge:
    """``argmin_W,b sum_i |W x_i + b - y_i|^2 + l |W|^2``, from a stream: only sums of products are kept.

    Args:
        width: of ``x``.
        dim: of ``y``.

    Source: Hoerl and Kennard 1970, eq. 2.1.
    """

    def __init__(self, width: int, dim: int) -> None:
        self.width, self.dim, self.rows = width, dim, 0
        self._xx = np.zeros((width + 1, width + 1))
        self._xy = np.zeros((width + 1, dim))

    def add(self, x: ArrayLike, y: ArrayLike) -> None:
        """Take in ``[n, width]`` and ``[n, dim]``; float64 inside.

        Raises:
            ShapeError, NotFiniteError: the two are not finite matrices of as many rows.
        """
        xs, ys = as_matrix(x, name="x", dim=self.width), as_matrix(y, name="y", dim=self.dim)
        if len(xs) != len(ys):
            raise ShapeError(f"x and y must have as many rows, got {len(xs)} and {len(ys)}.")
        one = np.concatenate([xs.astype(np.float64), np.ones((len(xs), 1))], axis=1)
        self._xx += one.T @ one
        self._xy += one.T @ ys.astype(np.float64)
        self.rows += len(xs)

    def solve(self, *, strength: float = 1e-4) -> tuple[Array, Array]:
        """``W`` ``[dim, width]`` and ``b`` ``[dim]``.

        Args:
            strength: ``l`` over the mean of the squares of ``x``; keeps ``W`` finite where dimensions are constant.

        Raises:
            InputError: fewer than two rows came, or all ``x`` are equal.
        """
        if self.rows < 2:
            raise InputError(f"a head needs at least 2 vectors to be fitted to, got {self.rows}.")
        mean_x, mean_y = self._xx[-1, :-1] / self.rows, self._xy[-1] / self.rows
        spread = self._xx[:-1, :-1] / self.rows - np.outer(mean_x, mean_x)
        cross = self._xy[:-1] / self.rows - np.outer(mean_x, mean_y)
        scale = float(np.trace(spread)) / self.width
        if not scale > 1e-12 * max(1.0, float(mean_x @ mean_x)):
            raise InputError(f"a head needs vectors that differ, got {self.rows} equal ones. Give other texts.")
        weight = np.linalg.solve(spread + strength * scale * np.eye(self.width), cross).T
        bias = mean_y - weight @ mean_x
        return weight.astype(np.float32), bias.astype(np.float32)


@dataclass(frozen=True, eq=False)
class Leading:
    """How the leading dimensions are made.

    Args:
        rotation: ``[d, d]`` orthogonal, put before cutting; None to cut as the model gives them.
        kept: ``{name: overlap}`` what each choice kept on held-out vectors.
    """

    rotation: Matrix | None
    kept: dict[str, float]


def choose_leading(x: ArrayLike, *, dims: tuple[int, ...], seed: int = 0) -> Leading:
    """Truncate, or rotate to principal axes first: whichever keeps more of the neighbours on held-out vectors.

    The proxy is the part of each vector's ten nearest neighbours at full width that are among its ten nearest at a
    cut width, meaned over ``dims``. The rotation has to win by 0.005, for it costs a multiplication.

    Args:
        x: ``[n, d]``, ``n >= 10``; a fifth of it, at most 1,000, is held out.
        dims: widths to look at.
        seed: of what is held out.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.
        InputError: all vectors are equal.

    Source: Pearson 1901, for the axes.
    """
    x = as_matrix(x, name="x", at_least=10)
    order = np.random.default_rng(seed).permutation(len(x))
    held = min(1000, len(x) // 5)
    kept_out, rest = x[order[:held]], x[order[held:]]
    rotation = principal_axes(rest)
    rotated = kept_out @ rotation
    pool, pool_rotated = rest[:4000], rest[:4000] @ rotation
    truth = _nearest(kept_out, pool)
    kept = {"truncate": 0.0, "rotate": 0.0}
    for dim in dims:
        for name, a, b in (("truncate", kept_out, pool), ("rotate", rotated, pool_rotated)):
            found = _nearest(a[:, :dim], b[:, :dim])
            same = (found[:, :, None] == truth[:, None, :]).any(axis=2).mean()
            kept[name] += float(same) / len(dims)
    return Leading(rotation if kept["rotate"] > kept["truncate"] + 0.005 else None, kept)


def principal_axes(x: ArrayLike) -> Matrix:
    """``[d, d]`` orthogonal, columns in falling order of variance about the origin, signs fixed.

    About the origin and not the mean: scores are inner products, which a rotation keeps and a shift does not.

    Raises:
        InputError: all vectors are equal, so that no direction is better than another.
    """
    x = as_matrix(x, name="x", at_least=1).astype(np.float64)
    if len(x) > 1 and np.ptp(x, axis=0).max() == 0:
        raise InputError(f"axes need vectors that differ, got {len(x)} equal ones. Give other texts.")
    _, axes = np.linalg.eigh(x.T @ x)
    axes = axes[:, ::-1]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return np.ascontiguousarray(axes * signs, dtype=np.float32)


def fit_binariser(x: ArrayLike, *, seed: int = 0) -> tuple[Array, Array]:
    """Centre ``[d]`` and random rotation ``[d, d]``: ``sign((x - centre) R)`` then splits evenly in each bit.

    Raises:
        InputError: all vectors are equal.

    Source: Gong et al. 2013, sec. 3.1 (the centre, and a rotation that evens out variance).
    """
    x = as_matrix(x, name="x", at_least=2)
    if np.ptp(x, axis=0).max() == 0:
        raise InputError(f"a binariser needs vectors that differ, got {len(x)} equal ones. Give other texts.")
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((x.shape[1], x.shape[1])))
    return x.mean(axis=0), (q * np.sign(np.diag(r))).astype(np.float32)


def fit_table(
    vectors: ArrayLike, counts: ArrayLike, *, rank: int, smoothing: float = 1e-3
) -> tuple[Array, Array, Array]:
    """A token table from one pass of every token through the model: centred, weighted, and of low rank.

    ``row_t = a / (a + p_t) (v_t - mean)``, then the best approximation of ``rank`` dimensions.

    Args:
        vectors: ``[vocabulary, d]`` of each token alone.
        counts: ``[vocabulary]`` how often each occurs; a token that never does counts as rare.
        rank: ``r`` of the table.
        smoothing: ``a``.

    Returns:
        ``codes`` ``[vocabulary, r]`` with mean square 1, ``projection`` ``[r, d]``, weights ``[vocabulary]``
        (``a / (a + p)``, not in the codes).

    Source: Arora et al. 2017, sec. 3 (the weight); Tulkens and Dongen 2024 (one pass of the vocabulary).
    """
    x = as_matrix(vectors, name="vectors", at_least=2)
    p = np.asarray(counts, np.float64)
    p = p / max(p.sum(), 1.0)
    weights = (smoothing / (smoothing + p)).astype(np.float32)
    centred = (x - x.mean(axis=0)).astype(np.float64)
    _, axes = np.linalg.eigh((centred * weights[:, None] ** 2).T @ centred)
    basis = axes[:, ::-1][:, :rank]
    codes = centred @ basis
    scale = float(np.sqrt(np.mean(codes**2))) or 1.0
    return (codes / scale).astype(np.float32), (basis.T * scale).astype(np.float32), weights


def _nearest(a: Array, b: Array) -> Array:
    """``[q, d]`` and ``[n, d]`` -> ``[q, k]``, the ten (or fewer) rows of ``b`` with the highest cosine."""
    unit = [v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-12) for v in (a, b)]
    return np.argsort(-(unit[0] @ unit[1].T), axis=1, kind="stable")[:, : min(10, len(b))]
