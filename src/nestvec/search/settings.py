"""What a collection is, for good: pinned when it is created, compared whenever vectors come in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.space import Space
from nestvec.core.types import JSON, Matrix

ARRAY = "dense"
"""Name of the array of one vector per record."""


def as_searched(values: Matrix, space: Space) -> Matrix:
    """Vectors ``[n, d]`` whose inner product is the metric of their space: made unit for a cosine, else as they are.

    A vector of zeros stays one; its cosine with anything is 0.
    """
    if space.metric != "cosine" or space.unit:
        return values
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return (values / np.where(length > 0, length, 1)).astype(np.float32)


@dataclass(frozen=True)
class Settings:
    """The part of a collection's description that never changes.

    Args:
        space: the space of its vectors.
        encoder: name in the catalogue of encoders, or None: vectors are brought along.
        source: what the encoder was loaded from: ``default``, a folder, or a hub id.
        budget: tokens a passage may have, title included; 0 where records are not split.
        overlap: tokens that two passages share where a section had to be cut.
        size: of its vectors, in text form; collections made before there were sizes are ``full``.
    """

    space: Space
    encoder: str | None
    source: str
    budget: int
    overlap: int
    size: str = "full"

    def __post_init__(self) -> None:
        if self.budget and not 0 <= self.overlap < self.budget // 2:
            raise InputError(f"overlap must be less than half the budget of {self.budget}, got {self.overlap}.")

    def to_json(self) -> dict[str, JSON]:
        """As the store keeps it."""
        return {**asdict(self), "space": self.space.to_json(), "arrays": {ARRAY: self.space.dim}}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Settings:
        """Read what :meth:`to_json` gave.

        Raises:
            InputError: the space is incomplete.
        """
        return cls(
            space=Space.from_json(cast("dict[str, JSON]", data["space"])),
            encoder=cast("str | None", data["encoder"]),
            source=cast(str, data["source"]),
            budget=cast(int, data["budget"]),
            overlap=cast(int, data["overlap"]),
            size=cast(str, data.get("size", "full")),
        )
