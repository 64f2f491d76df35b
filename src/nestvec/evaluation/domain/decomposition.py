"""A difference of means in two parts: what the difference in complexity explains, and what it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float64
from nestvec.evaluation.domain.probing import Probed
from nestvec.metrics import Interval

_RESAMPLES = 2_000  # the ends wander by 2 % of the width
_RIDGE = 1e-2  # of each set's weight: keeps two measures that say the same from fighting
_SEEN = 0.99  # quantile of the references past which a question is unlike theirs


@dataclass(frozen=True)
class Gap:
    """How far the own set is from the others, in nDCG@10.

    Args:
        raw: mean of the own set minus mean of the others.
        explained: the part that the measures of complexity foresee; may be above 0, for easier questions.
        unexplained: the rest: ``raw - explained``.
        beyond_words: the same question asked of BM25: by how much the model's lead over it is larger on the own set
            than on the others.
        held_out: for each reference, the unexplained part when it is held against the other references; empty for one.
        far: share of the own questions whose complexity no reference has; for them, what is explained is a guess.
        slopes: for each measure, by how much the score changes with one standard deviation of it.
    """

    raw: Interval
    explained: Interval
    unexplained: Interval
    beyond_words: Interval
    held_out: tuple[tuple[str, float], ...]
    far: float
    slopes: tuple[float, ...]


def decompose(own: Probed, references: Sequence[Probed], *, confidence: float = 0.95, seed: int = 0) -> Gap:
    """Oaxaca's and Blinder's decomposition, with the references as the yardstick.

    Slopes ``b`` of ``y`` on ``x`` are fitted within the references, each with a level of its own, so that what merely
    differs from set to set is not taken for an effect of complexity. Then ``raw = (mean x_own - mean x_ref) b + rest``,
    every reference with equal weight. Measures of own questions that lie outside the middle 98 % of the references' are
    moved to its edge: nothing is foreseen from what was not seen. A measure is a noisy account of how hard a question
    is, so slopes are too flat: ``rest`` blames the model for some of what is merely hard, and forgives it on easy
    questions. ``beyond_words`` errs on the other side: it takes all that is hard for BM25 to be as hard for the model.

    Intervals are percentiles of a bootstrap that draws questions within each set and fits anew. They say nothing of
    other sets than these; ``held_out`` does.

    Args:
        own: the set in question.
        references: one or more others.
        confidence: of the intervals.
        seed: of the bootstrap.

    Raises:
        InputError: no reference, or confidence out of range.

    Source: Oaxaca 1973 and Blinder 1973; fitted on one side only, as for a prognostic score: Hansen 2008.
    """
    if not references or not 0 < confidence < 1:
        raise InputError(
            f"there must be a reference, and confidence between 0 and 1, got {len(references)} and {confidence}."
        )
    sets = [*references, own]
    whole = _parts([(one.model, one.by_words, one.measures) for one in sets])
    rng = np.random.default_rng(seed)
    drawn: Array = np.array([_parts([_redrawn(one, rng) for one in sets]) for _ in range(_RESAMPLES)])
    ends = np.quantile(drawn, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0).T.tolist()
    n = len(own)
    raw, explained, rest, lead = (Interval(value, low, high, n) for value, (low, high) in zip(whole, ends, strict=True))
    fit = _Fit.of([(one.model, one.by_words, one.measures) for one in references])
    far, slopes = _far(own, references, fit), tuple(fit.slopes.tolist())
    return Gap(raw, explained, rest, lead, _held_out(references), far, slopes)


_Set = tuple[Float64[np.ndarray, " q"], Float64[np.ndarray, " q"], Float64[np.ndarray, "q m"]]


@dataclass(frozen=True, eq=False)
class _Fit:
    """Scores foreseen from complexity, in units of the references' spread."""

    middle: Float64[np.ndarray, " m"]
    spread: Float64[np.ndarray, " m"]
    edges: Float64[np.ndarray, "2 m"]
    level: float
    slopes: Float64[np.ndarray, " m"]

    @classmethod
    def of(cls, sets: Sequence[_Set]) -> _Fit:
        weight = np.concatenate([np.full(len(y), 1 / (len(y) * len(sets))) for y, _, _ in sets])
        x = np.concatenate([x for _, _, x in sets])
        middle = weight @ x
        spread = np.sqrt(weight @ (x - middle) ** 2)
        z = np.concatenate([_scaled(x - x.mean(axis=0), 0 * middle, spread) for _, _, x in sets])
        y = np.concatenate([y - y.mean() for y, _, _ in sets])
        slopes = np.linalg.solve((z.T * weight) @ z + _RIDGE * np.eye(len(middle)), (z.T * weight) @ y)
        level = float(np.mean([y.mean() for y, _, _ in sets]))
        return cls(middle, spread, np.quantile(x, (1 - _SEEN, _SEEN), axis=0), level, slopes)

    def foresee(self, x: Float64[np.ndarray, "q m"]) -> float:
        """The mean score that questions of this complexity should have."""
        inside = np.clip(x, *self.edges)
        return self.level + float((_scaled(inside, self.middle, self.spread) @ self.slopes).mean())


def _scaled(x: Array, middle: Array, spread: Array) -> Float64[np.ndarray, "q m"]:
    """A measure that is the same for all references says nothing of others, and becomes 0."""
    found: Float64[np.ndarray, "q m"] = np.divide(x - middle, spread, out=np.zeros_like(x), where=spread > 1e-9)
    return found


def _parts(sets: Sequence[_Set]) -> tuple[float, float, float, float]:
    """Raw, explained, unexplained, beyond words; the last set is the own one."""
    fit, (y, words, x) = _Fit.of(sets[:-1]), sets[-1]
    raw, explained = float(y.mean()) - fit.level, fit.foresee(x) - fit.level
    lead = float(np.mean([(y - words).mean() for y, words, _ in sets[:-1]]))
    return raw, explained, raw - explained, float((y - words).mean()) - lead


def _redrawn(one: Probed, rng: np.random.Generator) -> _Set:
    rows = rng.integers(0, len(one), len(one))
    return one.model[rows], one.by_words[rows], one.measures[rows]


def _held_out(references: Sequence[Probed]) -> tuple[tuple[str, float], ...]:
    sets = [(one.model, one.by_words, one.measures) for one in references]
    if len(sets) < 2:
        return ()
    rest = [_parts([*sets[:i], *sets[i + 1 :], sets[i]])[2] for i in range(len(sets))]
    return tuple(zip((one.name for one in references), rest, strict=True))


def _far(own: Probed, references: Sequence[Probed], fit: _Fit) -> float:
    """By leverage: the distance from the middle of the references, in their own spread along every direction."""
    known = _scaled(np.concatenate([one.measures for one in references]), fit.middle, fit.spread)
    inverse = np.linalg.inv(known.T @ known / len(known) + _RIDGE * np.eye(known.shape[1]))
    mine = _scaled(own.measures, fit.middle, fit.spread)
    leverage = [np.einsum("qm,mn,qn->q", z, inverse, z) for z in (known, mine)]
    return float((leverage[1] > np.quantile(leverage[0], _SEEN)).mean())
