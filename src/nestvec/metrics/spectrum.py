"""How many dimensions a cloud of vectors really uses, read off its spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import ShapeError
from nestvec.core.types import ArrayLike, Float64

_BLOCK = 8192  # rows summed at a time in float32, and added up in float64


@dataclass(frozen=True, eq=False)
class Spectrum:
    """The figures of one pass over ``[n, d]`` vectors.

    Args:
        n: how many vectors.
        mean: ``[d]`` their mean.
        singular: ``[d]`` singular values of the matrix as it is, falling.
        variances: ``[d]`` eigenvalues of its covariance (divided by n), falling.
        spread: ``[d]`` the variance of each dimension by itself.
        cosine: the mean cosine of two different vectors; NaN if there is no pair.

    Cost of :meth:`of`: one pass, ``n d^2`` multiplications, and two eigenvalue problems of ``[d, d]``.
    """

    n: int
    mean: Float64[np.ndarray, " d"]
    singular: Float64[np.ndarray, " d"]
    variances: Float64[np.ndarray, " d"]
    spread: Float64[np.ndarray, " d"]
    cosine: float

    @classmethod
    def of(cls, x: ArrayLike) -> Spectrum:
        """Measure vectors ``[n, d]``, at least one of them.

        Raises:
            ShapeError: not a matrix, or without rows or columns.
            NotFiniteError: a value is NaN or infinite.
        """
        values = as_matrix(x, name="x", at_least=1)
        n, d = values.shape
        if not d:
            raise ShapeError(f"x must have at least one dimension, got shape {values.shape}.")
        gram, total, directions, real = np.zeros((d, d)), np.zeros(d), np.zeros(d), 0
        for start in range(0, n, _BLOCK):
            block = values[start : start + _BLOCK].astype(np.float64)
            gram += block.T @ block
            total += block.sum(axis=0)
            length = np.linalg.norm(block, axis=1)
            directions += (block[length > 0] / length[length > 0, None]).sum(axis=0)
            real += int(np.count_nonzero(length))
        mean = total / n
        covariance = gram / n - np.outer(mean, mean)
        return cls(
            n=n,
            mean=mean,
            singular=np.sqrt(_eigenvalues(gram)),
            variances=_eigenvalues(covariance),
            spread=np.maximum(np.diag(covariance), 0),
            # n^2 |mean direction|^2 counts each vector with itself, which is 1 each
            cosine=(float(directions @ directions) - real) / (real * (real - 1)) if real > 1 else float("nan"),
        )

    @property
    def rankme(self) -> float:
        """See :func:`rankme`."""
        return _exp_entropy(self.singular) if self.singular[0] > 0 else 0.0

    @property
    def participation_ratio(self) -> float:
        """See :func:`participation_ratio`."""
        total = self.variances.sum()
        return float(total**2 / (self.variances**2).sum()) if total > 0 else 0.0

    @property
    def isoscore(self) -> float:
        """See :func:`isoscore`."""
        d = len(self.variances)
        return max(self.participation_ratio - 1, 0.0) / (d - 1) if d > 1 else 1.0

    @property
    def stable_rank(self) -> float:
        """See :func:`stable_rank`."""
        return float((self.singular**2).sum() / self.singular[0] ** 2) if self.singular[0] > 0 else 0.0

    @property
    def dead(self) -> int:
        """How many dimensions do not move: their deviation is below a thousandth of the typical dimension's."""
        typical = float(np.median(self.spread)) or float(self.spread.mean())
        return int(np.count_nonzero(self.spread <= 1e-6 * typical))


def rankme(x: ArrayLike) -> float:
    """How many directions vectors use, counted smoothly: the exponential of the entropy of the singular values.

    ``exp(-sum_i p_i ln p_i)`` with ``p_i = s_i / sum(s) + 1e-7``. Rises with ``n`` until ``n`` is far above ``d``:
    compare values of the same ``n`` and ``d`` only.

    Args:
        x: ``[n, d]`` float.

    Returns:
        From 1 (all on one line) to about ``min(n, d)``; 0 if every vector is zero.

    Raises:
        ShapeError, NotFiniteError: see :meth:`Spectrum.of`, whose cost this has as well.

    Source: Garrido et al. 2023, eq. 1 (arXiv:2210.02885).
    """
    return Spectrum.of(x).rankme


def participation_ratio(x: ArrayLike) -> float:
    """How many dimensions would hold the same variance if they shared it evenly: ``(sum l)^2 / sum l^2``.

    ``l`` are the eigenvalues of the covariance. Few strong directions lower it more than they lower RankMe.

    Args:
        x: ``[n, d]`` float.

    Returns:
        From 1 to ``d``; 0 if all vectors are the same.

    Raises:
        ShapeError, NotFiniteError: see :meth:`Spectrum.of`.

    Source: Gao et al. 2017, sec. 2.1, bioRxiv 214262.
    """
    return Spectrum.of(x).participation_ratio


def isoscore(x: ArrayLike) -> float:
    """How evenly the variance lies over all directions: ``(PR - 1) / (d - 1)``, from 0 (a line) to 1 (a ball).

    The closed form of the published algorithm, ``PR`` being :func:`participation_ratio`.

    Args:
        x: ``[n, d]`` float.

    Returns:
        0 to 1; 1 for ``d = 1``.

    Raises:
        ShapeError, NotFiniteError: see :meth:`Spectrum.of`.

    Source: Rudman et al. 2022, algorithm 1 (arXiv:2108.07344).
    """
    return Spectrum.of(x).isoscore


def stable_rank(x: ArrayLike) -> float:
    """How much larger the whole is than its strongest direction: ``|X|_F^2 / s_1^2``, without centring.

    Args:
        x: ``[n, d]`` float.

    Returns:
        From 1 to ``min(n, d)``; 0 if every vector is zero.

    Raises:
        ShapeError, NotFiniteError: see :meth:`Spectrum.of`.

    Source: Rudelson and Vershynin 2007, sec. 1, Journal of the ACM 54(4).
    """
    return Spectrum.of(x).stable_rank


def average_cosine(x: ArrayLike) -> float:
    """The mean cosine of two different vectors: how far all of them lean the same way.

    ``(|sum_i u_i|^2 - n) / (n (n - 1))`` over the directions ``u_i``; vectors of zeros are left out.

    Args:
        x: ``[n, d]`` float.

    Returns:
        -1 to 1; NaN with fewer than two directions.

    Raises:
        ShapeError, NotFiniteError: see :meth:`Spectrum.of`.

    Source: Ethayarajh 2019, sec. 3 (arXiv:1909.00512).
    """
    return Spectrum.of(x).cosine


def _eigenvalues(matrix: Float64[np.ndarray, "d d"]) -> Float64[np.ndarray, " d"]:
    """Falling, and none below what rounding alone gives."""
    found = np.linalg.eigvalsh(matrix)[::-1]
    noise = len(found) * np.finfo(np.float64).eps * max(float(np.trace(matrix)), 0.0)
    return np.where(found > noise, found, 0.0)


def _exp_entropy(s: Float64[np.ndarray, " d"]) -> float:
    p = s / s.sum() + 1e-7
    return float(np.exp(-(p * np.log(p)).sum()))
