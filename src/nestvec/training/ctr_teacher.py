"""Clicks with a known truth: a teacher whose probabilities are the best that any model can learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float64
from nestvec.training.ctr_data import Examples, auc

_LATENT = 8
_CLUSTERS = 12
"""Values of a field gather around so many centres, so that there is something to learn about a rare one."""
_BISECTIONS = 60


@dataclass(frozen=True)
class Teacher:
    """A factorisation machine over fields with Zipf-distributed values, asked for labelled rows.

    ``logit = b + s * (sum_f w_f + sum_{f<g} <z_f, z_g>)`` with ``z`` of a value its cluster's centre plus noise, and
    both sums of variance one. Sizes of the fields are log-uniform, the ``r``-th value of a field has probability
    ``r^-skew``, ``s`` makes the logit's standard deviation ``strength``, and ``b`` makes ``rate`` of the labels
    positive.

    Args:
        fields: how many.
        smallest: values of the smallest field.
        largest: values of the largest.
        skew: exponent of Zipf's law; 0 is uniform.
        noise: of a value around its cluster, as a part of the distance of clusters. 1 leaves little structure.
        rate: positive labels.
        strength: how far from chance the best model gets.
        min_count: values with fewer rows than this become one, which makes the data denser.
        drift: share of the values of every field that another takes the place of, a day.
        seed: of everything.

    Raises:
        InputError: a number is out of range.

    Source: Rendle 2010, eq. 1 (ICDM) for the teacher.
    """

    fields: int = 8
    smallest: int = 10
    largest: int = 100_000
    skew: float = 1.1
    noise: float = 0.5
    rate: float = 0.22
    strength: float = 2.0
    min_count: int = 0
    drift: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.fields < 2 or not 1 <= self.smallest <= self.largest:
            raise InputError(
                f"a teacher needs two fields or more and 1 <= smallest <= largest, got {self.fields}, "
                f"{self.smallest} and {self.largest}."
            )
        if not 0 < self.rate < 1 or not 0 <= self.drift <= 1 or self.skew < 0 or self.noise < 0:
            raise InputError("rate must be between 0 and 1, drift in [0, 1], skew and noise not negative.")

    @property
    def rows(self) -> tuple[int, ...]:
        """Values of each field, rising."""
        steps = np.linspace(np.log(self.smallest), np.log(self.largest), self.fields)
        return tuple(np.rint(np.exp(steps)).astype(int).tolist())

    def sample(self, n: int, *, days: int = 1) -> tuple[Examples, float]:
        """Draw ``n`` labelled rows, spread evenly over ``days``, in the order of time.

        Returns:
            The rows, ids of every field by falling frequency of the first day; and the teacher's own AUC on them, the
            ceiling for every model.

        Raises:
            InputError: ``n`` or ``days`` is not positive.
        """
        if n < 1 or days < 1:
            raise InputError(f"n and days must be at least 1, got {n} and {days}.")
        values = self._values(n, days)
        logits = self._logits(values)
        logits *= self.strength / max(float(logits.std()), 1e-9)
        chance = _sigmoid(logits + self._bias(logits))
        labels = (np.random.default_rng((self.seed, 3)).random(n) < chance).astype(np.float32)
        starts = np.cumsum([0, *self.rows])[:-1]
        ids = (values + starts).astype(np.int64)
        spans = tuple((f, f + 1) for f in range(self.fields))
        names = tuple(f"field{f}" for f in range(self.fields))
        return Examples(ids, labels, self.rows, spans, names), auc(chance, labels)

    def _values(self, n: int, days: int) -> Array:
        rng = np.random.default_rng((self.seed, 1))
        values = np.empty((n, self.fields), np.int64)
        day = np.arange(n) * days // n
        for f, count in enumerate(self.rows):
            weight = np.arange(1, count + 1, dtype=np.float64) ** -self.skew
            rank = np.searchsorted(np.cumsum(weight) / weight.sum(), rng.random(n))
            holder = np.arange(count)
            for today in range(days):
                if today:
                    changed = rng.random(count) < self.drift
                    holder[changed] = rng.integers(0, count, int(changed.sum()))
                values[day == today, f] = holder[np.minimum(rank[day == today], count - 1)]
            if self.min_count > 1:
                rare = np.bincount(values[:, f], minlength=count) < self.min_count
                values[:, f] = np.where(rare[values[:, f]], count - 1, values[:, f])
        return values

    def _logits(self, values: Array) -> Float64[np.ndarray, " n"]:
        rng = np.random.default_rng((self.seed, 2))
        total = np.zeros((len(values), _LATENT))
        squares = np.zeros(len(values))
        linear = np.zeros(len(values))
        for f, count in enumerate(self.rows):
            centres = rng.standard_normal((_CLUSTERS, _LATENT))
            own = centres[rng.integers(0, _CLUSTERS, count)] + self.noise * rng.standard_normal((count, _LATENT))
            weights = own @ rng.standard_normal(_LATENT) + 0.3 * rng.standard_normal(count)
            z = own[values[:, f]]
            linear += weights[values[:, f]]
            total += z
            squares += np.square(z).sum(axis=1)
        pairs = (np.square(total).sum(axis=1) - squares) / 2  # of all pairs of fields at once
        logits: Array = linear / linear.std() + pairs / pairs.std()
        return logits

    def _bias(self, logits: Array) -> float:
        low, high = -50.0, 50.0
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if _sigmoid(logits + middle).mean() > self.rate else (middle, high)
        return low


def _sigmoid(x: Array) -> Array:
    chance: Array = 1 / (1 + np.exp(-x))
    return chance
