"""Several scans searched as one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from nestvec.core.types import Array, Bool, Float32, Int64
from nestvec.kernels.topk import merge
from nestvec.search.twostage import Scan


@dataclass(frozen=True, eq=False)
class ScanChain:
    """Codes that came in pieces; positions count on from one piece to the next.

    Args:
        scans: at least one, all of one codec.
    """

    scans: tuple[Scan, ...]

    @cached_property
    def _starts(self) -> Int64[np.ndarray, " s"]:
        """Position of the first code of each piece, and the number of all codes."""
        return np.cumsum([0, *map(len, self.scans)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return sum(scan.nbytes for scan in self.scans)

    def codes(self, positions: Int64[np.ndarray, " m"]) -> Array:
        """The codes at ``positions``, in any order."""
        which = np.searchsorted(self._starts, positions, side="right") - 1
        out: Array | None = None
        for number in np.unique(which):
            here = which == number
            found = self.scans[number].codes(positions[here] - self._starts[number])
            if out is None:
                out = np.empty((len(positions), *found.shape[1:]), found.dtype)
            out[here] = found
        return self.scans[0].codes(positions) if out is None else out

    def nearest(
        self, queries: Float32[np.ndarray, "q d"], m: int, *, shown: Bool[np.ndarray, " n"] | None = None
    ) -> tuple[Int64[np.ndarray, "q m"], Float32[np.ndarray, "q m"]]:
        """Positions and estimates of the ``m`` best of all pieces, best first, ties to the smaller position."""
        found, scores = [], []
        for scan, start in zip(self.scans, self._starts.tolist(), strict=False):
            seen = None if shown is None else shown[start : start + len(scan)]
            at, best = scan.nearest(queries, min(m, len(scan)), shown=seen)
            found.append(np.where(at < 0, -1, at + start))
            scores.append(best)
        if len(found) == 1 and found[0].shape[1] == m:
            return found[0], scores[0]
        return merge(np.hstack(found), np.hstack(scores), m)
