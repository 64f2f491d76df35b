"""A few short tables instead of a long one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_COMBINE = ("multiply", "add", "concat", "path")
_PATH = _COMBINE.index("path")
_FIRST_SPREAD = 0.05**0.5
"""Of networks: what they add is at first about as large as a row."""


@dataclass(frozen=True)
class QuotientRemainder:
    """``row(i) = Q_f[i // m] * R_f[i % m]``: every id its own row, made of ``ceil(n / m) + m`` stored ones.

    No two ids share both parts, so no two rows need be equal. ``m`` near ``sqrt(n)`` stores least.

    More than two parts store less still: ``k`` digits of the id in mixed radix ``(m, …, m, ceil(n / m^(k-1)))``, or,
    by the Chinese remainder theorem, ``i mod m_j`` for ``k`` pairwise coprime ``m_j`` whose product reaches ``n``. In
    either, no two ids share all parts. In mixed radix neighbours in frequency share the quotient; the remainders of
    coprime moduli mix any ids.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: not used.
        divisor: ``m``; a field with fewer than ``m**k`` ids takes the ``k``-th root of its own number.
        combine: 0 multiplies the parts, 1 adds them, 2 sets them side by side with a ``k``-th of the width each. 3 is a
            path: the row of the quotient goes through a small network for each other part, which of them the part says:
            ``x + V_r relu(U_r x + b_r)``.
        digits: ``k``, the number of parts.
        coprime: whether the parts are remainders by coprime moduli, the smallest from ``m`` on.
        hidden: width of the networks of a path.

    Source: Shi et al. 2020, sec. 3 and 4 (arXiv:1909.02107); the paper's networks have 16 to 128 hidden numbers, and
    no way past them.
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    divisor: int = 1
    combine: int = 0
    digits: int = 2
    coprime: bool = False
    hidden: int = 4

    id: ClassVar[str] = "quotient_remainder@1"

    def __post_init__(self) -> None:
        at_least(1, divisor=self.divisor, hidden=self.hidden)
        at_least(2, digits=self.digits)
        if not 0 <= self.combine < len(_COMBINE):
            raise InputError(f"combine must be 0 (multiply), 1 (add), 2 (concat) or 3 (path), got {self.combine}.")
        if self.combine == 2 and self.dim < self.digits:
            raise InputError(f"combine 2 (concat) needs dim of at least {self.digits}, got {self.dim}.")

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """Bytes fall with the divisor, up to a root of the largest field: the square root for two parts."""
        return Knob("divisor", 1, math.isqrt(max(sizes.rows) - 1) + 1)

    @cached_property
    def radices(self) -> Array:
        """``[fields, k]`` how many values each part has: remainder, further digits, quotient."""
        return np.array([self._radices(n) for n in self.sizes.rows], np.int64)

    def parts(self) -> Mapping[str, Part]:
        """``remainder``, ``digit1`` …, ``quotient``; in a product all but the first start as ones."""
        found: dict[str, Part] = {}
        for name, rows in zip(self._names(), self.radices.sum(axis=0).tolist(), strict=True):
            if self.combine == _PATH and name != "quotient":
                found[name] = Part(rows, self._network, spread=_FIRST_SPREAD)
            elif self.combine == 0 and name != "remainder":
                found[name] = Part(rows, self.dim, spread=0.0, mean=1.0)
            else:
                found[name] = Part(rows, self._width(name))
        return found

    def locate(self, ids: Ids) -> Places:
        """Digits or remainders of the number inside the field."""
        radices = self.radices
        before, own = (np.cumsum(radices, axis=0) - radices)[ids.field], radices[ids.field]
        places, rest = {}, ids.local
        for j, name in enumerate(self._names()):
            if self.coprime:
                digit = ids.local % own[:, j]
            else:
                rest, digit = np.divmod(rest, own[:, j])
            places[name] = (before[:, j] + digit)[:, None]
        return places

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Multiply, add, concatenate, or follow the path; the quotient first."""
        first, *others = (read.rows(name)[:, 0] for name in reversed(self._names()))
        if self.combine == 2:
            return read.join((first, *others), 1)
        for other in others:
            if self.combine == _PATH:
                first = self._through(first, other)
            else:
                first = first * other if self.combine == 0 else first + other
        return first

    def _names(self) -> tuple[str, ...]:
        return ("remainder", *(f"digit{j}" for j in range(1, self.digits - 1)), "quotient")

    def _width(self, name: str) -> int:
        if self.combine != 2:
            return self.dim
        each = self.dim // self.digits
        return self.dim - (self.digits - 1) * each if name == "quotient" else each

    @property
    def _network(self) -> int:
        """Numbers of one network."""
        return self.hidden * (2 * self.dim + 1)

    def _through(self, x: Any, network: Any) -> Any:
        """``[n, dim]`` through the network of each."""
        n, into = len(x), self.hidden * self.dim
        inner = (network[:, :into].reshape(n, self.hidden, self.dim) @ x[:, :, None])[:, :, 0]
        inner = inner + network[:, into : into + self.hidden]
        inner = (inner + abs(inner)) / 2  # relu; arrays and tensors agree on that
        return x + (network[:, into + self.hidden :].reshape(n, self.dim, self.hidden) @ inner[:, :, None])[:, :, 0]

    def _radices(self, n: int) -> list[int]:
        k = self.digits
        # a network in place of a row makes remainders dear: fewer of them store least
        dear = -(-self._network // self.dim) if self.combine == _PATH else 1
        m = min(self.divisor, _root(-(-n // dear), k))
        if not self.coprime:
            return [m] * (k - 1) + [-(-n // m ** (k - 1))]
        found = [m]
        for _ in range(k - 2):
            found.append(_coprime(found[-1], found))
        found.append(_coprime(-(-n // math.prod(found)), found))
        return found


def _root(n: int, k: int) -> int:
    """The least ``m`` with ``m**k >= n``."""
    m: int = max(round(n ** (1 / k)), 1)
    while m > 1 and (m - 1) ** k >= n:
        m -= 1
    while m**k < n:
        m += 1
    return m


def _coprime(least: int, others: list[int]) -> int:
    """The least number from ``least`` on that shares no factor with any of ``others``."""
    while any(math.gcd(least, other) > 1 for other in others):
        least += 1
    return least
