"""What makes two vectors comparable."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import xxhash

from nestvec.core.errors import InputError, SpaceMismatchError
from nestvec.core.types import JSON

Metric = Literal["cosine", "dot"]


@dataclass(frozen=True)
class Space:
    """The space in which a set of vectors lives. Vectors of two spaces never meet silently.

    Two spaces are the same when everything but ``encoder`` agrees: the name is for people, the weights
    are what counts, so a model folder may move or be renamed without locking its collections.

    Args:
        encoder: name of the encoder, for people.
        weights: fingerprint of everything that decides its output: weights, tokenizer, configuration.
        pooling: how token states became one vector (``mean``, ``cls``, ``lasttoken`` …).
        dim: ``d``.
        instruction: text put before a document.
        query_instruction: text put before a query.
        metric: ``cosine`` or ``dot``.
        unit: True where every vector has length 1.
    """

    encoder: str
    weights: str
    pooling: str
    dim: int
    instruction: str = ""
    query_instruction: str = ""
    metric: Metric = "cosine"
    unit: bool = True

    def __post_init__(self) -> None:
        if self.dim < 1:
            raise InputError(f"a space must have dim >= 1, got {self.dim}.")
        if self.metric not in ("cosine", "dot"):
            raise InputError(f"metric must be 'cosine' or 'dot', got {self.metric!r}.")

    @property
    def fingerprint(self) -> str:
        """32 hexadecimal digits: equal for two spaces exactly when their vectors can be compared."""
        what = {name: value for name, value in asdict(self).items() if name != "encoder"}
        return xxhash.xxh3_128_hexdigest(json.dumps(what, sort_keys=True).encode())

    def differences(self, other: Space) -> Iterator[tuple[str, JSON, JSON]]:
        """Yield ``(field, mine, theirs)`` for every field that matters and differs."""
        mine, theirs = asdict(self), asdict(other)
        for name in mine:
            if name != "encoder" and mine[name] != theirs[name]:
                yield name, mine[name], theirs[name]

    def require(self, other: Space) -> None:
        """Return if ``other`` is this space.

        Raises:
            SpaceMismatchError: it is not; the message names both.
        """
        if self.fingerprint != other.fingerprint:
            raise SpaceMismatchError(self, other)

    def to_json(self) -> dict[str, JSON]:
        """A plain dict that :meth:`from_json` reads back."""
        return dict(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Space:
        """Read what :meth:`to_json` gave.

        Raises:
            InputError: a field is missing, unknown or of the wrong type.
        """
        kinds = {name: kind for name, kind in _FIELDS.items() if name in data}
        if set(data) != set(_FIELDS) or any(type(data[name]) is not kind for name, kind in kinds.items()):
            raise InputError(f"a space must have the fields {sorted(_FIELDS)}, got {dict(data)!r}.")
        return cls(**data)  # type: ignore[arg-type]  # checked field by field above

    def __str__(self) -> str:
        return f"{self.encoder} ({self.pooling}, {self.dim} dims, {self.metric}, {self.fingerprint[:8]})"


_FIELDS: dict[str, type] = {
    "encoder": str,
    "weights": str,
    "pooling": str,
    "dim": int,
    "instruction": str,
    "query_instruction": str,
    "metric": str,
    "unit": bool,
}
