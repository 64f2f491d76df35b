"""A collection turned to another number of vectors a record, in place: all columns are written anew, as one version."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Int64, Matrix
from nestvec.search.columns import Column, single
from nestvec.search.forms import document_forms
from nestvec.search.resizing import Counts, Moved
from nestvec.search.settings import ARRAY, Settings
from nestvec.search.several import TOKENS, Several, token_encoder
from nestvec.store import Store
from nestvec.store.rewrite import Values


def turn(store: Store, old: Settings, new: Settings, encoder: Encoder | None, moved: Moved | None) -> Counts:
    """Write every column as the new settings ask. Readers see the old ones until all is done.

    The single vectors stay as they are where their space does. Several vectors are made from the stored texts; where
    they were brought along, only fewer of them, or fewer bits, can be made of those that are kept.

    Raises:
        InputError: there are no texts to encode, and what is kept is not enough.
        DiskError: nothing was changed.
    """
    if encoder is None and new.several is not None:
        _require_enough(old, new)
    with store.read() as snapshot:
        total = len(snapshot)
    making = _Making(store, old, new, encoder, moved, total)
    store.rewrite(new.to_json(), making.columns())
    return Counts(encoded=making.encoded)


def _require_enough(old: Settings, new: Settings) -> None:
    """Return if the vectors that are asked for can be made of those that are kept."""
    before = old.several.vectors if old.several else 1
    after = cast(Several, new.several).vectors
    fewer = isinstance(before, int) and isinstance(after, int) and after <= before
    if not (before in ("all", after) or fewer):
        raise InputError(
            f"vectors that were brought along can only become fewer, got size {new.size} for {old.size}. Bring more "
            "along in a new collection, or open this one with the encoder that made them."
        )


@dataclass(eq=False)
class _Making:
    """Makes the columns batch by batch; where both are made of the texts, in one pass over them."""

    store: Store
    old: Settings
    new: Settings
    encoder: Encoder | None
    moved: Moved | None
    total: int
    encoded: int = 0
    found: list[Matrix] = field(default_factory=list)  # single vectors of the batches of a segment, until asked for

    def columns(self) -> dict[str, Values]:
        """For each array what gives its values by row ids."""
        if self.new.several is None:
            return {ARRAY: self._single}
        return {TOKENS: self._several, ARRAY: self._single}

    @property
    def _keeps_single(self) -> bool:
        """Whether the single vectors stay as they are."""
        return self.encoder is None or self.new.space.fingerprint == self.old.space.fingerprint

    def _single(self, rids: Int64[np.ndarray, " m"]) -> Matrix:
        if self.found:
            return self.found.pop(0)
        with self.store.read() as snapshot:
            if self.encoder is None or self._keeps_single:
                return snapshot.vectors(ARRAY, rids)
            records = snapshot.records(rids)
        made = single(self.encoder.encode(records))
        self._tell(len(rids))
        return made

    def _several(self, rids: Int64[np.ndarray, " m"]) -> Column:
        several = cast(Several, self.new.several)
        with self.store.read() as snapshot:
            if self.encoder is None:
                before = cast(Several, self.old.several)
                made = before.unpack(snapshot.several(TOKENS, rids))
                if before.vectors == several.vectors:  # half of what is half already would be a quarter
                    several = replace(several, vectors="all")
                return several.pack(made)
            records = snapshot.records(rids)
        if self._keeps_single:
            made = token_encoder(self.encoder, self.new.encoded).encode(records)
        else:
            one, made = document_forms(self.encoder, self.new.encoded, records)
            self.found.append(single(one))
        self._tell(len(rids))
        return several.pack(made)

    def _tell(self, rows: int) -> None:
        """Count rows that were encoded."""
        self.encoded += rows
        if self.moved is not None:
            self.moved(self.encoded, self.total)
