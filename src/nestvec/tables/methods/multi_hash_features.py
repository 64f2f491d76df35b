"""Rows of strings by what they look like, with no vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least
from nestvec.tables.strings import BITS, unpack

_SHARES = {"norm": 2, "suffix": 1, "shape": 1, "prefix": 1}
"""How rows are dealt to the features: as spaCy's 5,000, 2,500, 2,500 and 2,500 are."""
_PIECES = 3
_FIRST_SPREAD = 3**0.5
"""Uniform in plus or minus that has variance one, which a normalised layer likes to be given."""


@dataclass(frozen=True)
class MultiHashFeatures:
    """``row = norm(max_p (W_p x + b_p))``, ``x`` the sums of four hashed rows for each of a string's four features.

    Ids are those of :func:`~nestvec.tables.strings.string_ids`: any string has one, nothing is fitted, and a string
    never seen gets a row that its ending and its shape already say something about. The four sums go through a maxout
    layer of three pieces and are normalised over the row, with a stretch and a shift that are learnt.

    Args:
        sizes: the fields: :data:`~nestvec.tables.strings.STRING_IDS` each. Other ids work too, and count as a norm.
        dim: width of a row.
        seed: of the hashes.
        buckets: rows for each of suffix, shape and prefix; the norm has twice as many.
        width: of those rows; 0 for ``dim``.
        hashes: rows that are added up.

    Source: Miranda et al. 2022, sec. 3 (arXiv:2212.09255).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    buckets: int = 1
    width: int = 0
    hashes: int = 4

    id: ClassVar[str] = "multi_hash_features@1"

    def __post_init__(self) -> None:
        at_least(1, buckets=self.buckets, hashes=self.hashes)
        at_least(0, width=self.width)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """From one row to one for each of a million ids, past which no feature has so many values."""
        return Knob("buckets", 1, min(sizes.total, 1 << 20))

    def parts(self) -> Mapping[str, Part]:
        """A part for each feature, the layer, and what stretches and shifts its output."""
        wide = self.width or self.dim
        joined = len(BITS) * wide
        spread = _FIRST_SPREAD / self.hashes**0.5
        return {
            **{name: Part(share * self.buckets, wide, spread=spread) for name, share in _SHARES.items()},
            "layer": Part(joined + 1, _PIECES * self.dim, spread=(6 / (joined + self.dim)) ** 0.5, whole=True),
            "stretch": Part(1, self.dim, spread=0.0, mean=0.05 / 3**0.5, whole=True),  # rows as of a full table
            "shift": Part(1, self.dim, spread=0.0, whole=True),
        }

    def locate(self, ids: Ids) -> Places:
        """``hashes`` buckets a feature; its bits alone decide, but for the field."""
        places: dict[str, Array] = {}
        for number, (name, share) in enumerate(_SHARES.items()):
            value = unpack(ids.local, name) + (ids.field << BITS[name])
            salt = self.seed + number * self.hashes
            at = [buckets(value, share * self.buckets, salt=salt + k) for k in range(self.hashes)]
            places[name] = np.stack(at, axis=1)
        return places

    def compose(self, read: Reading, ids: Ids) -> Any:
        """Sums, layer, greatest of three, normalised."""
        x = read.join(tuple(read.rows(name).sum(1) for name in _SHARES), 1)
        layer = read.matrix("layer")
        pieces = (x @ layer[:-1] + layer[-1]).reshape(len(ids), _PIECES, self.dim)
        best = pieces[:, 0]
        for number in range(1, _PIECES):
            other = pieces[:, number]
            best = (best + other + abs(best - other)) / 2  # the greater; arrays and tensors agree on this spelling
        centred = best - best.mean(1)[:, None]
        normal = centred / ((centred * centred).mean(1)[:, None] + 1e-5) ** 0.5
        return normal * read.matrix("stretch") + read.matrix("shift")
