"""The four dials of a vector in one value."""

from __future__ import annotations

import re
from dataclasses import dataclass

from nestvec.core.errors import InputError

_TEXT = re.compile(r"(?:L(?P<depth>\d+))?-?(?:v(?P<vectors>\d+|all))?-?(?:d(?P<dim>\d+))?-?(?:b(?P<bits>\d+))?")


@dataclass(frozen=True, order=True)
class Size:
    """How deep, how many, how wide and how fine the vectors of an item are; ``None`` is the most there is.

    Its text form is ``L3-v1-d128-b8``; a dial that is turned fully up is left out, and with all four up
    the text is ``full``.

    Args:
        depth: layers of the encoder that run; 0 is the token table alone.
        vectors: vectors kept per item; 1 is one pooled vector. ``None`` is what the encoder gives.
        dim: leading dimensions kept.
        bits: bits stored per dimension, 1 to 32.

    Raises:
        InputError: a dial is outside its range.
    """

    depth: int | None = None
    vectors: int | None = None
    dim: int | None = None
    bits: int | None = None

    def __post_init__(self) -> None:
        for name, low, high in (("depth", 0, None), ("vectors", 1, None), ("dim", 1, None), ("bits", 1, 32)):
            value = getattr(self, name)
            if value is None:
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
                f"a size must look like L3-v1-d128-b8 (each part optional, in that order) or be full, got {text!r}."
            )
        dials = {name: int(v) for name, v in found.groupdict().items() if v is not None and v != "all"}
        return cls(**dials)

    def __str__(self) -> str:
        dials = (("L", self.depth), ("v", self.vectors), ("d", self.dim), ("b", self.bits))
        return "-".join(f"{letter}{value}" for letter, value in dials if value is not None) or "full"
