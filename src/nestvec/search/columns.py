"""The columns of a collection's rows: one vector a record, and where it keeps several, their codes as well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.record import Record
from nestvec.core.size import Size
from nestvec.core.types import Array, Int64, Matrix
from nestvec.core.vectors import MultiVectors, Vectors
from nestvec.search.forms import document_forms, query_forms
from nestvec.search.settings import ARRAY, Settings, as_searched
from nestvec.search.several import TOKENS, Both, choose_several, token_encoder, unit
from nestvec.store import Ragged, Snapshot

Column = Array | Ragged
"""Values of some rows in one array of the store."""


@dataclass(frozen=True, eq=False)
class Columns:
    """Makes the columns of rows.

    Args:
        settings: of the collection.
    """

    settings: Settings

    def make(self, records: list[Record], encoder: Encoder) -> dict[str, Column]:
        """Records to all their columns.

        Raises:
            SpaceMismatchError: the encoder gives vectors of another space, as a table does that has learnt since.
        """
        if self.settings.several is None:
            made: Vectors | MultiVectors = encoder.encode(records)  # several, if it was made for late interaction
            self.settings.space.require(made.space)
            return {ARRAY: single(made)}
        made, tokens = document_forms(encoder, self.settings.encoded, records)
        self.settings.space.require(made.space)
        return {ARRAY: single(made), TOKENS: self.settings.several.pack(tokens)}

    def given(self, vectors: Vectors | MultiVectors) -> dict[str, Column]:
        """Vectors that somebody else made, to all columns; of several the single one is their mean.

        Raises:
            SpaceMismatchError: they are of another space.
            InputError: there is one a record where several are kept, or the other way round.
        """
        several = self.settings.several
        if isinstance(vectors, Vectors) and several is None:
            self.settings.space.require(vectors.space)
            return {ARRAY: single(vectors)}
        if isinstance(vectors, MultiVectors) and several is not None:
            self.settings.space.require(vectors.space)
            return {ARRAY: single(vectors), TOKENS: several.pack(vectors)}
        kept = "one vector" if several is None else "several vectors"
        raise InputError(
            f"records must come with {kept} each at size {self.settings.size}, got {type(vectors).__name__}."
        )

    def kept(self, snapshot: Snapshot, rids: Int64[np.ndarray, " m"]) -> dict[str, Column]:
        """The columns of rows that are there already."""
        found: dict[str, Column] = {ARRAY: snapshot.vectors(ARRAY, rids)}
        if self.settings.several is not None:
            found[TOKENS] = snapshot.several(TOKENS, rids)
        return found


def asked(encoder: Encoder, settings: Settings, queries: Sequence[str]) -> Vectors | Both:
    """Queries as a search needs them: a vector each, and where records keep several also the vectors of their tokens.

    Args:
        encoder: of the collection.
        settings: of it.
        queries: any number.
    """
    if settings.several is not None:
        one, tokens = query_forms(encoder, settings.encoded, queries)
        return Both(single(one), tokens)
    made: Vectors | MultiVectors = encoder.encode_query(queries)
    return made if isinstance(made, Vectors) else Vectors(single(made), made.space)


def joined(parts: Iterable[Mapping[str, Column]]) -> dict[str, Column]:
    """Columns of several runs of rows as one, in their order; at least one run."""
    some = list(parts)
    return {name: _joined([part[name] for part in some]) for name in some[0]}


def _joined(parts: list[Column]) -> Column:
    if isinstance(parts[0], Ragged):
        codes = [part for part in parts if isinstance(part, Ragged)]
        return Ragged.join(codes, width=codes[0].values.shape[1])
    return np.concatenate([part for part in parts if not isinstance(part, Ragged)])


def single(vectors: Vectors | MultiVectors) -> Matrix:
    """One vector ``[n, d]`` a record, as it is searched: the one that there is, or the mean of several."""
    return means(vectors) if isinstance(vectors, MultiVectors) else as_searched(vectors.values, vectors.space)


def means(vectors: MultiVectors) -> Matrix:
    """The mean ``[n, d]`` of the vectors of each record, of length 1 for a cosine; zeros where there are none."""
    out = np.zeros((len(vectors), vectors.values.shape[1]), np.float32)
    some = np.flatnonzero(np.diff(vectors.offsets))
    if len(some):
        sums = np.add.reduceat(vectors.values, vectors.offsets[some], axis=0)
        out[some] = sums / np.diff(vectors.offsets)[some, None]
    return unit(out) if vectors.space.metric == "cosine" else out


def with_several(
    settings: Settings, wanted: Size | None, codec: str | None, encoder: Encoder | None, *, candidates: int = 0
) -> Settings:
    """Settings of the same collection, its records keeping so many vectors.

    Args:
        settings: as they are, or would be with one vector.
        wanted: vectors and bits; None for one vector.
        codec: that keeps several; None for the one of so many bits.
        encoder: of the collection; None where vectors are brought along.
        candidates: of several vectors, compared for ten results; 0 for as many as are measured to be enough.

    Raises:
        InputError: the encoder gives no vectors of tokens, or no codec keeps them so.
    """
    if wanted is None:
        return replace(settings, several=None)
    space = settings.space if encoder is None else token_encoder(encoder, settings.encoded).space
    several = choose_several(wanted, codec, space)
    size = replace(settings.encoded, vectors=several.vectors, bits=several.bits)
    return replace(settings, size=str(size), several=several, candidates=candidates)
