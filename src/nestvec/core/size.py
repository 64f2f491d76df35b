"""The four dials of a vector in one value."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from nestvec.core.errors import InputError

_TEXT = re.compile(
    r"(?:L(?P<depth>\d+))?-?(?:v(?P<vectors>\d+%?|all))?-?(?:d(?P<dim>\d+))?-?(?:b(?P<bits>\d+))?", re.ASCII
)
_SHARE = re.compile(r"[1-9][0-9]?%")


@functools.total_ordering
@dataclass(frozen=True)
class Size:
    """How deep, how many, how wide and how fine the vectors of an item are; ``None`` is the most there is.

    Its text form is ``L3-v1-d128-b8``; a dial that is turned fully up is left out, and with all four up
    the text is ``full``. Sizes sort dial by dial, small first and ``None`` last; of ``vectors``, numbers
    come before shares, and shares before ``all``.

    Args:
        depth: layers of the encoder that run; 0 is the token table alone.
        vectors: vectors kept per item. ``1`` is one pooled vector; ``8`` is at most eight; ``"25%"`` is a share of
            the item's tokens, in whole percent from 1 to 99, rounded up; ``"all"`` is one for every token. ``None``
            is what the encoder gives when nobody asks: one, or all for a model made for late interaction.
        dim: leading dimensions kept.
        bits: bits stored per dimension, 1 to 32.

    Raises:
        InputError: a dial is outside its range.
    """

    depth: int | None = None
    vectors: int | str | None = None
    dim: int | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.vectors, str) and self.vectors != "all" and not _SHARE.fullmatch(self.vectors):
            raise InputError(
                "vectors must be a whole number, 1 or more, a share from '1%' to '99%', or 'all', "
                f"got {self.vectors!r}."
            )
        for name, low, high in (("depth", 0, None), ("vectors", 1, None), ("dim", 1, None), ("bits", 1, 32)):
            value = getattr(self, name)
            if value is None or (name == "vectors" and isinstance(value, str)):
                continue
            if not isinstance(value, int) or value < low or (high is not None and value > high):
                upto = f" to {high}" if high is not None else " or more"
                raise InputError(f"{name} must be a whole number, {low}{upto}, or None for all, got {value!r}.")

    @classmethod
    def parse(cls, text: str | Size) -> Size:
        """Read the text form: dials in the order L, v, d, b, each optional; ``full`` is all of them up.

        Raises:
            InputError: the text has another form.
        """
        if isinstance(text, Size):
            return text
        if text == "full":
            return cls()
        found = _TEXT.fullmatch(text)
        parts = text.split("-")
        if not text or found is None or len(parts) != sum(v is not None for v in found.groupdict().values()):
            raise InputError(
                "a size must look like L3-v1-d128-b8 (each part optional, in that order; v8, v25% or vall for several "
                f"vectors an item) or be full, got {text!r}."
            )
        vectors = found["vectors"]
        depth, dim, bits = (None if found[name] is None else int(found[name]) for name in ("depth", "dim", "bits"))
        return cls(depth, int(vectors) if vectors is not None and vectors.isdigit() else vectors, dim, bits)

    def kept(self, tokens: int) -> int:
        """How many vectors an item of so many tokens keeps: never more than it has, and one at least if it has any.

        ``None`` is read as ``all``: it is for who knows that there are token vectors.
        """
        if self.vectors is None or self.vectors == "all":
            return tokens
        if isinstance(self.vectors, str):
            return -(-tokens * int(self.vectors[:-1]) // 100)
        return min(tokens, self.vectors)

    @property
    def many(self) -> bool:
        """Whether it asks for more than one vector an item."""
        return self.vectors not in (None, 1)

    def __str__(self) -> str:
        dials = (("L", self.depth), ("v", self.vectors), ("d", self.dim), ("b", self.bits))
        return "-".join(f"{letter}{value}" for letter, value in dials if value is not None) or "full"

    def __lt__(self, other: object) -> bool:
        return self._order() < other._order() if isinstance(other, Size) else NotImplemented

    def _order(self) -> tuple[tuple[int, int], ...]:
        """A key that sorts: for each dial its kind, then its value."""
        vectors = (
            (3, 0) if self.vectors is None
            else (2, 0) if self.vectors == "all"
            else (1, int(self.vectors[:-1])) if isinstance(self.vectors, str)
            else (0, self.vectors)
        )  # fmt: skip
        depth, dim, bits = ((1, 0) if value is None else (0, value) for value in (self.depth, self.dim, self.bits))
        return depth, vectors, dim, bits
