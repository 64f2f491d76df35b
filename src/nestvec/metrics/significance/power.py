"""What a comparison can show, before it is made."""

from __future__ import annotations

import math
from statistics import NormalDist

from nestvec.core.errors import InputError
from nestvec.kernels.distributions import student_quantile

TYPICAL_SPREAD = 0.33
"""Standard deviation of the difference of nDCG@10 between two systems, query by query: a dense model and TF-IDF on
SciFact's 300 test queries. Systems that are more alike spread less. Without a pilot of your own it is a start."""


def detectable_difference(
    n: int, *, spread: float = TYPICAL_SPREAD, confidence: float = 0.95, power: float = 0.8
) -> float:
    """The smallest true difference of two means that a paired comparison of ``n`` items will probably show.

    ``(t(1 - alpha / 2) + t(power)) * spread / sqrt(n)`` with quantiles of Student's t and ``n - 1`` degrees of freedom.
    If the true difference is smaller, "no difference found" says nothing about the systems.

    Args:
        n: how many items both systems are measured on.
        spread: standard deviation of the differences ``a - b``, item by item; from a pilot
            (``numpy.std(a - b, ddof=1)``), else the default.
        confidence: of the test, two-sided.
        power: how probable it should be that the difference is found.

    Returns:
        The difference, in the unit of ``spread``; infinite for a single item.

    Raises:
        InputError: ``n < 1``, ``spread`` negative or not finite, or a probability out of range.

    Source: Cohen 1988, ch. 2; for retrieval: Sakai 2016.
    """
    if n < 1:
        raise InputError(f"n must be at least 1, got {n}.")
    _check(spread, confidence, power)
    if n == 1:
        return math.inf if spread else 0.0
    quantiles = student_quantile((1 + confidence) / 2, n - 1.0) + student_quantile(power, n - 1.0)
    return quantiles * spread / math.sqrt(n)


def items_needed(
    difference: float, *, spread: float = TYPICAL_SPREAD, confidence: float = 0.95, power: float = 0.8
) -> int:
    """How many items a paired comparison needs to show a true ``difference``: the inverse of the above.

    Args:
        difference: of the means that must not be missed, above 0.
        spread: standard deviation of the differences, item by item.
        confidence: of the test, two-sided.
        power: how probable it should be that the difference is found.

    Returns:
        The smallest such ``n``, at least 2. Less what there is already: how many more are needed.

    Raises:
        InputError: ``difference`` is not above 0, or as for :func:`detectable_difference`.

    Source: Cohen 1988, ch. 2; for retrieval: Sakai 2016.
    """
    if not (difference > 0 and math.isfinite(difference)):
        raise InputError(f"difference must be above 0 and finite, got {difference}.")
    _check(spread, confidence, power)
    normal = NormalDist()
    quantiles = normal.inv_cdf((1 + confidence) / 2) + normal.inv_cdf(power)
    n = max(2, math.ceil((quantiles * spread / difference) ** 2))  # t asks for a few more than the normal
    while detectable_difference(n, spread=spread, confidence=confidence, power=power) > difference:
        n += 1
    return n


def _check(spread: float, confidence: float, power: float) -> None:
    if not (spread >= 0 and math.isfinite(spread)):
        raise InputError(f"spread must be finite and not negative, got {spread}.")
    if not 0 < confidence < 1 or not 0.5 <= power < 1:
        raise InputError(
            f"confidence must lie between 0 and 1 and power between .5 and 1, got {confidence} and {power}."
        )
