"""A collection turned to another number of vectors a record, in place: all columns are written anew, as one version."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Int64, Matrix
from nestvec.search.columns import Column, single
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
    """Makes the columns batch by batch."""

    store: Store
    old: Settings
    new: Settings
    encoder: Encoder | None
    moved: Moved | None
    total: int
    encoded: int = 0

    def columns(self) -> dict[str, Values]:
        """For each array what gives its values by row ids."""
        if self.new.several is None:
            return {ARRAY: self._single}
        return {ARRAY: self._single, TOKENS: self._several}

    def _single(self, rids: Int64[np.ndarray, " m"]) -> Matrix:
        with self.store.read() as snapshot:
            if self.encoder is None or self.new.space.fingerprint == self.old.space.fingerprint:
                return snapshot.vectors(ARRAY, rids)
            records = snapshot.records(rids)
        made = single(self.encoder.encode(records))
        self._tell(len(rids), last=self.new.several is None)
        return made

    def _several(self, rids: Int64[np.ndarray, " m"]) -> Column:
        several = cast(Several, self.new.several)
        with self.store.read() as snapshot:
            if self.encoder is None:
                before = cast(Several, self.old.several)
                made = before.unpack(snapshot.several(TOKENS, rids))
                if before.vectors == several.vectors:  # half of what is half already would be a quarter
                    several = replace(several, vectors="all")
            else:
                made = token_encoder(self.encoder, self.new.encoded).encode(snapshot.records(rids))
        self._tell(len(rids), last=True)
        return several.pack(made)

    def _tell(self, rows: int, *, last: bool) -> None:
        """Count rows as encoded by the last column that is made of their texts."""
        if last and self.encoder is not None:
            self.encoded += rows
        if last and self.moved is not None:
            self.moved(self.encoded, self.total)
