"""A network over hashes, and no table at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nestvec.core.types import Array
from nestvec.kernels.idhash import buckets
from nestvec.tables.method import Ids, Knob, Part, Places, Reading, Sizes, at_least

_LEVELS = 1_000_000


@dataclass(frozen=True)
class DeepHash:
    """``row(i) = net(c(i))`` with ``c(i)`` in ``[-1, 1]^k`` from ``k`` hashes: Linear, batch norm, Mish, and again.

    One network serves all fields. It suits ids whose rows are redundant; rows of ids that have nothing in common are
    hard to learn, and a lookup costs ``k w + (l - 1) w^2`` products.

    Args:
        sizes: the fields.
        dim: width of a row.
        seed: of the hashes.
        width: ``w`` of the hidden layers.
        hashes: ``k``. The paper's 1,024 is best; 128 is eight times cheaper on a CPU and close.
        layers: ``l`` hidden layers.

    Source: Kang et al. 2021, sec. 3 (arXiv:2010.10784).
    """

    sizes: Sizes
    dim: int
    seed: int = 0
    width: int = 64
    hashes: int = 128
    layers: int = 5

    id: ClassVar[str] = "deep_hash@1"

    def __post_init__(self) -> None:
        at_least(1, width=self.width, hashes=self.hashes, layers=self.layers)

    @classmethod
    def knob(cls, sizes: Sizes, dim: int) -> Knob:
        """The widest is the paper's largest."""
        return Knob("width", 1, 4096)

    def parts(self) -> Mapping[str, Part]:
        """Weights, the shift and stretch of every batch norm with what it keeps, and the last layer."""
        found: dict[str, Part] = {}
        wide = self.hashes
        for number in range(self.layers):
            found[f"weight{number}"] = Part(wide, self.width, spread=(6 / wide) ** 0.5, whole=True)  # He et al.
            found[f"affine{number}"] = Part(2, self.width, spread=0.0, whole=True)
            found[f"mean{number}"] = Part(1, self.width, spread=0.0, whole=True, trained=False)
            found[f"variance{number}"] = Part(1, self.width, spread=0.0, mean=1.0, whole=True, trained=False)
            wide = self.width
        found["last"] = Part(wide + 1, self.dim, spread=0.05 * (3 / wide) ** 0.5, whole=True)
        return found

    def locate(self, ids: Ids) -> Places:
        """Nothing: every part is read whole."""
        return {}

    def compose(self, read: Reading, ids: Ids) -> Any:
        """The network, once for every id that is different."""
        different, back = np.unique(ids.flat, return_inverse=True)
        x = read.constant(self._codes(different))
        for number in range(self.layers):
            x = read.normalise(f"mean{number}", f"variance{number}", x @ read.matrix(f"weight{number}"))
            stretch, shift = read.matrix(f"affine{number}")[0], read.matrix(f"affine{number}")[1]
            x = read.mish(x * (1 + stretch) + shift)
        last = read.matrix("last")
        return (x @ last[:-1] + last[-1])[read.constant(back)]

    def _codes(self, flat: Array) -> Array:
        codes = np.empty((len(flat), self.hashes), np.float32)
        for k in range(self.hashes):
            codes[:, k] = buckets(flat, _LEVELS, salt=self.seed + k)
        codes *= np.float32(2 / (_LEVELS - 1))
        codes -= np.float32(1)
        return codes
