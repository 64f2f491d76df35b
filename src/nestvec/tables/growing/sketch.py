"""How often a key has come, for keys that have no row yet, in a fixed number of bytes."""

from __future__ import annotations

import numpy as np

from nestvec.core.types import Array, Int64
from nestvec.kernels.idhash import mix64
from nestvec.tables.growing.keys import Fingerprints

DEPTH = 4
_MOST = np.iinfo(np.uint16).max
_WINDOW = 8  # arrivals a counter and line after which all counts are halved


class Sketch:
    """Counts that are never too low within a window, and rarely too high.

    A count-min sketch of four lines with conservative update. After ``8 * width`` arrivals all counts are halved, so
    that a stream without end does not fill it: what counts is how often a key came lately.

    Args:
        counters: ``[4, width]`` uint16, changed in place.
        arrivals: since the last halving.

    Source: Cormode and Muthukrishnan 2005, sec. 3 (J. Algorithms 55(1)); Estan and Varghese 2002, sec. 3.2, for
    conservative update; Einziger et al. 2017, sec. 3.3 (arXiv:1512.00727), for halving.
    """

    def __init__(self, counters: Array, arrivals: int = 0) -> None:
        self.counters, self.arrivals = counters, arrivals

    @classmethod
    def empty(cls, nbytes: int) -> Sketch:
        """Of at most so many bytes, and at least 64 counters a line."""
        return cls(np.zeros((DEPTH, max(nbytes // (2 * DEPTH), 64)), np.uint16))

    @property
    def nbytes(self) -> int:
        """Bytes of the counters."""
        return int(self.counters.nbytes)

    def add(self, keys: Fingerprints, times: Int64[np.ndarray, " n"]) -> Int64[np.ndarray, " n"]:
        """Count ``[n]`` different keys that came so many times; returns the counts by now, at most 65,535."""
        width = self.counters.shape[1]
        if self.arrivals > _WINDOW * width:
            self.counters >>= 1
            self.arrivals = 0
        self.arrivals += int(times.sum())
        at = [(mix64(keys.low ^ np.uint64(line + 1)) % np.uint64(width)).astype(np.int64) for line in range(DEPTH)]
        found = np.min([line[where] for line, where in zip(self.counters, at, strict=True)], axis=0).astype(np.int64)
        now: Int64[np.ndarray, " n"] = np.minimum(found + times, _MOST)
        for line, where in zip(self.counters, at, strict=True):
            np.maximum.at(line, where, now.astype(np.uint16))
        return now
