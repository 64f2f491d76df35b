"""Texts as the one vector and the several vectors of each, from one pass through the model where it gives both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, cast, runtime_checkable

from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.vectors import MultiVectors, Vectors
from nestvec.search.several import token_encoder


@runtime_checkable
class Forms(Protocol):
    """What one pass gives of each text.

    ``dense`` is None for a model that has no single vector of its own.
    """

    @property
    def dense(self) -> Vectors | None:
        """One vector a text."""
        ...

    @property
    def multi(self) -> MultiVectors:
        """A vector for every token."""
        ...


@runtime_checkable
class FormsEncoder(Protocol):
    """An encoder of tokens that gives the single vector in the same pass."""

    def encode_forms(self, records: Iterable[Record | str]) -> Forms:
        """Documents in both forms, in the order given."""
        ...

    def encode_query_forms(self, queries: Iterable[str]) -> Forms:
        """Queries in both forms, in the order given."""
        ...


Encoded = tuple[Vectors | MultiVectors, MultiVectors]
"""The single vectors of texts and their several ones; twice the several ones of a model that has no others."""


def document_forms(encoder: Encoder, size: Size, records: Sequence[Record]) -> Encoded:
    """Documents in both forms.

    Args:
        encoder: of a collection.
        size: depth and dim of what it gives.
        records: in order.

    Raises:
        InputError: the encoder gives no vectors of tokens.
    """
    tokens = token_encoder(encoder, size)
    if isinstance(tokens, FormsEncoder):
        return _both(tokens.encode_forms(records))
    made = cast("Vectors | MultiVectors", encoder.encode(records))
    return made, made if isinstance(made, MultiVectors) else tokens.encode(records)


def query_forms(encoder: Encoder, size: Size, queries: Sequence[str]) -> Encoded:
    """Queries in both forms; see :func:`document_forms`."""
    tokens = token_encoder(encoder, size)
    if isinstance(tokens, FormsEncoder):
        return _both(tokens.encode_query_forms(queries))
    made = cast("Vectors | MultiVectors", encoder.encode_query(queries))
    return made, made if isinstance(made, MultiVectors) else tokens.encode_query(queries)


def _both(found: Forms) -> Encoded:
    return found.multi if found.dense is None else found.dense, found.multi
