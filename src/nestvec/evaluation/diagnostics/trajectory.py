"""The way of a text through a space: where it turns, and whether another model sees it turn there too.

Source: Mistry and Minai 2023 (arXiv:2308.04625), for series and matrices of similarity of one text by several models.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.types import JSON, Array, ArrayLike, Float32, Float64, Matrix
from nestvec.evaluation.diagnostics.finding import Figure
from nestvec.kernels.neighbours import unit
from nestvec.kernels.ranks import mean_ranks
from nestvec.metrics.bootstrap import bootstrap
from nestvec.metrics.correlation import pearson, spearman
from nestvec.metrics.trajectory import novelty_of_directions, self_similarity, successive_similarity

_LEAST = 4  # texts: two on each side of a joint
_PAIRS_OF = 500  # texts whose pairs are correlated: 124,750 of them
_PERMUTED = 199  # orders of the texts for the p of a matrix
_RESAMPLES = 500  # of a correlation of series; the ends wander by 4 % of the interval's width
_NEAR = 1  # texts that two boundaries may lie apart and still be called the same


@dataclass(frozen=True)
class Boundary:
    """A joint at which a text turns.

    Args:
        start: position of the first text after it.
        novelty: how far the texts after it lie from those before it.
        p: of so much novelty anywhere, had the texts no order.
    """

    start: int
    novelty: float
    p: float


@dataclass(frozen=True, eq=False)
class Trajectory:
    """What :func:`trajectory` found. Joint ``i`` lies between texts ``i`` and ``i + 1``.

    Args:
        name: of the model.
        directions: ``[n, d]`` the vectors at length 1.
        width: texts on each side that were compared.
        successive: ``[n - 1]`` cosine of the two texts at each joint.
        novelty: ``[n - 1]`` see :func:`nestvec.metrics.trajectory.novelty`.
        surprise: ``[n - 1]`` the novelty in deviations above its mean over random orders of the same texts.
        boundaries: rising.
    """

    name: str
    directions: Matrix = field(repr=False)
    width: int
    successive: Float64[np.ndarray, " m"] = field(repr=False)
    novelty: Float64[np.ndarray, " m"] = field(repr=False)
    surprise: Float64[np.ndarray, " m"] = field(repr=False)
    boundaries: tuple[Boundary, ...]

    def __len__(self) -> int:
        return len(self.directions)

    @cached_property
    def similarity(self) -> Float32[np.ndarray, "n n"]:
        """``[n, n]`` cosine of every text with every other; made when it is asked for."""
        return self_similarity(self.directions)

    @property
    def segments(self) -> tuple[tuple[int, int], ...]:
        """``(first, after the last)`` of each stretch between boundaries."""
        ends = [0, *(one.start for one in self.boundaries), len(self)]
        return tuple(pairwise(ends))

    def to_json(self) -> dict[str, JSON]:
        """Plain data, without the matrix."""
        return {
            "model": self.name, "texts": len(self), "width": self.width, "successive": self.successive.tolist(),
            "novelty": self.novelty.tolist(), "surprise": self.surprise.tolist(),
            "boundaries": [{"start": one.start, "novelty": one.novelty, "p": one.p} for one in self.boundaries],
        }  # fmt: skip


def trajectory(
    vectors: ArrayLike, *, name: str = "", width: int = 8, confidence: float = 0.95, shuffles: int = 199, seed: int = 0
) -> Trajectory:
    """Follow texts in their order: similarity from one to the next, novelty, and the joints at which they turn.

    A joint is a boundary if its novelty is the highest for half a ``width`` around, and higher than random orders of
    the same texts reach anywhere: of texts without any order, boundaries are found in ``1 - confidence`` of cases.
    Joints near the ends rest on fewer texts, so each joint is compared in deviations from its own mean over the random
    orders.

    Args:
        vectors: ``[n, d]`` float, in order.
        name: of the model, for people.
        width: texts on each side of a joint; at most half of them are taken.
        confidence: that there is a boundary at all, where some are named.
        shuffles: random orders; p is at least ``1 / (shuffles + 1)``.
        seed: of these orders.

    Raises:
        ShapeError, NotFiniteError: see :func:`as_matrix`.
        InputError: fewer than four texts, ``width`` below 1, too few ``shuffles`` for the confidence, or that is not
            between 0 and 1.

    Cost: ``2 n d width`` multiplications for each random order, with ``d`` at most ``n``.

    Source: Foote 2000, for the novelty; Westfall and Young 1993, for the largest of many as the measure.
    """
    values = as_matrix(vectors, name="vectors")
    if len(values) < _LEAST:
        raise InputError(f"a trajectory needs {_LEAST} texts or more, got {len(values)}.")
    if width < 1 or not 0 < confidence < 1 or (shuffles + 1) * (1 - confidence) < 1 - 1e-9:
        raise InputError(
            f"width must be at least 1 and shuffles enough for the confidence (19 for .95), got {width}, {shuffles} "
            f"and {confidence}."
        )
    directions = unit(values)
    width = min(width, len(values) // 2)
    small = _rotated(directions)
    rng = np.random.default_rng(seed)
    orders = [np.arange(len(small)), *(rng.permutation(len(small)) for _ in range(shuffles))]
    # the real order is one of them: only so is p exact
    drawn = np.stack([novelty_of_directions(small[order], width=width) for order in orders])
    mean, spread = drawn.mean(axis=0), drawn.std(axis=0)
    # of equal texts nothing but rounding is left
    scores = (drawn - mean) / np.where(spread > 1e-9, spread, np.inf)
    found, surprise = drawn[0], scores[0]
    p = (scores.max(axis=1)[:, None] >= surprise).mean(axis=0)
    kept = [i for i in _peaks(surprise, apart=max(1, width // 2)) if p[i] <= 1 - confidence + 1e-9 and surprise[i] > 0]
    return Trajectory(
        name, directions, width, successive_similarity(directions), found, surprise,
        tuple(Boundary(i + 1, float(found[i]), float(p[i])) for i in sorted(kept)),
    )  # fmt: skip


@dataclass(frozen=True)
class Agreement:
    """How alike two models see one text; see :func:`agreement`.

    Args:
        first: name of one model.
        second: of the other.
        figures: of the series, the matrix, novelty and boundaries.
        basis: on how many texts.
    """

    first: str
    second: str
    figures: tuple[Figure, ...]
    basis: str

    def __getitem__(self, name: str) -> float:
        """The value of a figure by its name."""
        return next(figure.value for figure in self.figures if figure.name == name)

    def to_json(self) -> dict[str, JSON]:
        """Plain data."""
        found = [figure.to_json() for figure in self.figures]
        return {"first": self.first, "second": self.second, "figures": found, "basis": self.basis}


def agreement(first: Trajectory, second: Trajectory, *, seed: int = 0) -> Agreement:
    """Correlate two trajectories of the same texts, by Spearman throughout.

    Neighbouring joints share texts, so the intervals of the two series come from drawing stretches of joints, each as
    long as a kernel, and not single joints. The p of the two matrices is that of giving the texts of one another
    order.

    Args:
        first: by one model.
        second: by another.
        seed: of all draws.

    Returns:
        Figures ``successive``, ``matrix``, ``novelty`` and ``boundaries``: of those named by either model, the part
        that both name, one text apart at most. NaN where neither names any.

    Raises:
        InputError: not as many texts in both.

    Source: Mistry and Minai 2023 (arXiv:2308.04625); stretches: Davison and Hinkley 1997, ch. 8; matrices:
        Mantel 1967.
    """
    if len(first) != len(second):
        raise InputError(f"two trajectories must be of the same texts, got {len(first)} and {len(second)} of them.")
    block = max(first.width, second.width)
    series = [
        (name, bootstrap(spearman, a, b, groups=np.arange(len(a)) // block, resamples=_RESAMPLES, seed=seed), note)
        for name, a, b, note in (
            ("successive", first.successive, second.successive, "similarity of each text and the next"),
            ("novelty", first.novelty, second.novelty, "where the text turns, joint by joint"),
        )
    ]
    told = [Figure(name, found.mean, (found.low, found.high), note) for name, found, note in series]
    value, p, used = _matrices(first, second, seed)
    told.insert(1, Figure("matrix", value, note=f"similarity of all pairs of {used:,} texts; p {p:.3f}"))
    mine, theirs = (np.array([one.start for one in side.boundaries]) for side in (first, second))
    same = _matched(mine, theirs)
    either = len(mine) + len(theirs) - same
    note = f"{same} of {either} that either model names, at most {_NEAR} text apart"
    told.append(Figure("boundaries", same / either if either else float("nan"), note=note))
    return Agreement(first.name, second.name, tuple(told), f"{len(first):,} texts")


def _rotated(u: Matrix) -> Float64[np.ndarray, "n r"]:
    """The same directions in as many dimensions as there are texts, where these are fewer: distances stay."""
    wide = u.astype(np.float64)
    return wide if len(u) >= u.shape[1] else np.ascontiguousarray(np.transpose(np.linalg.qr(wide.T, mode="r")))


def _peaks(height: Float64[np.ndarray, " m"], *, apart: int) -> list[int]:
    """Positions that are the highest for ``apart`` around, highest first; of equal ones the first."""
    found: list[int] = []
    for i in np.argsort(-height, kind="stable"):
        around = height[max(0, i - apart) : i + apart + 1]
        if height[i] >= around.max() and all(abs(i - j) > apart for j in found):
            found.append(int(i))
    return found


def _matrices(first: Trajectory, second: Trajectory, seed: int) -> tuple[float, float, int]:
    """Spearman over pairs of texts, its p, and how many texts there were."""
    rng = np.random.default_rng(seed)
    n = len(first)
    rows = np.arange(n) if n <= _PAIRS_OF else np.sort(rng.choice(n, _PAIRS_OF, replace=False))
    upper = np.triu_indices(len(rows), 1)
    mine, theirs = (_ranked(self_similarity(side.directions[rows]), upper) for side in (first, second))
    value = pearson(mine[upper], theirs[upper])
    if np.isnan(value):
        return value, 1.0, len(rows)
    beyond = 0
    for _ in range(_PERMUTED):
        order = rng.permutation(len(rows))
        beyond += abs(pearson(mine[order][:, order][upper], theirs[upper])) >= abs(value) * (1 - 1e-12)
    return value, (1 + beyond) / (1 + _PERMUTED), len(rows)


def _ranked(matrix: Float32[np.ndarray, "n n"], upper: tuple[Array, Array]) -> Float64[np.ndarray, "n n"]:
    """Each pair's rank in the place of its similarity."""
    ranks = np.zeros(matrix.shape)
    ranks[upper] = mean_ranks(matrix[upper])
    return ranks + ranks.T


def _matched(mine: Array, theirs: Array) -> int:
    """How many of two rising lists meet, one to one."""
    i = j = same = 0
    while i < len(mine) and j < len(theirs):
        if abs(mine[i] - theirs[j]) <= _NEAR:
            same, i, j = same + 1, i + 1, j + 1
        elif mine[i] < theirs[j]:
            i += 1
        else:
            j += 1
    return same
