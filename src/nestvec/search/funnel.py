"""Short prefixes of all vectors first, longer ones of the best, whole vectors of the last few."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.errors import InputError
from nestvec.core.hits import Hits
from nestvec.core.types import ArrayLike, Float32, Int64, Matrix
from nestvec.kernels.topk import merge
from nestvec.search.flat import Flat, Rows


@dataclass(frozen=True, eq=False)
class Funnel:
    """Search short prefixes of all vectors, then longer ones of fewer and fewer, then whole vectors of the last few.

    For vectors whose leading dimensions say most, as those of Matryoshka models or after ``pca@1``. Prefixes are
    brought to length 1, as cosine needs.

    Args:
        flat: the float vectors, unit length, and which rows live.
        prefix: ``[n, widths[0]]`` float32, the leading dimensions of each row at length 1.
        rows: ``[n]`` int64 strictly ascending: the row id of each prefix.
        widths: dimensions looked at, rising, below ``d``.
        keep: how many rows are left after each width, falling.

    Raises:
        InputError: widths do not rise, or what is kept rises.

    Source: Kusupati et al. 2022, sec. 4.3 and appendix H (arXiv:2205.13147).
    """

    flat: Flat
    prefix: Float32[np.ndarray, "n w"]
    rows: Int64[np.ndarray, " n"]
    widths: tuple[int, ...]
    keep: tuple[int, ...]

    def __post_init__(self) -> None:
        rises = all(a < b for a, b in pairwise((*self.widths, self.flat.dim)))
        falls = all(a >= b for a, b in pairwise(self.keep))
        if not self.widths or len(self.widths) != len(self.keep) or not rises or not falls or min(self.keep) < 1:
            raise InputError(
                f"widths must rise and stay below d={self.flat.dim}, and keep fall to 1 or more, one for each width, "
                f"got {self.widths} and {self.keep}."
            )

    @classmethod
    def build(cls, flat: Flat, *, widths: tuple[int, ...], keep: tuple[int, ...], rows: int = 16384) -> Funnel:
        """Copy the first prefix of every live row, ``rows`` at a time."""
        live, first = flat.live, min(widths[:1] or (1,))
        prefix = np.empty((len(live), first), np.float32)
        for i in range(0, len(live), rows):
            prefix[i : i + rows] = _unit(flat.vectors(live[i : i + rows])[:, :first])
        return cls(flat, prefix, live, widths, keep)

    def __len__(self) -> int:
        return len(self.flat)

    @property
    def nbytes(self) -> int:
        """Bytes in memory: prefixes and row ids."""
        return self.prefix.nbytes + self.rows.nbytes

    def search(self, queries: ArrayLike, k: int, *, allow: Int64[np.ndarray, " m"] | None = None) -> Hits:
        """The ``k`` best rows that every width left. Arguments, order and errors are those of :meth:`Flat.search`.

        Rows that came after the funnel was built are searched exactly, and dead ones are not found.
        """
        queries = as_matrix(queries, name="queries", dim=self.flat.dim)
        if k < 1 or not len(queries) or not len(self.rows):
            return self.flat.search(queries, k, allow=allow)
        wanted = self.flat.live if allow is None else np.intersect1d(self.flat.live, allow, assume_unique=True)
        here = np.intersect1d(self.rows, wanted, assume_unique=True)
        tail = np.setdiff1d(wanted, self.rows, assume_unique=True)
        keep = [max(count, k) for count in self.keep]
        start = Flat((Rows(self.rows, self.prefix),), self.widths[0])
        left = start.search(_unit(queries[:, : self.widths[0]]), keep[0], allow=here).ids
        found = Hits.empty(len(queries), k)
        for i, query in enumerate(queries):
            ids = np.sort(left[i][left[i] >= 0])
            vectors = self.flat.vectors(ids)
            for width, count in zip(self.widths[1:], keep[1:], strict=True):
                scores = _unit(vectors[:, :width]) @ _unit(query[None, :width])[0]
                best = np.sort(np.argsort(-scores, kind="stable")[:count])
                ids, vectors = ids[best], vectors[best]
            scores = vectors @ query
            best = np.lexsort((ids, -scores))[:k]
            found.ids[i, : len(best)], found.scores[i, : len(best)] = ids[best], scores[best]
        beside = self.flat.search(queries, k, allow=tail) if len(tail) else Hits.empty(len(queries), 0)
        return Hits(*merge(np.hstack([found.ids, beside.ids]), np.hstack([found.scores, beside.scores]), k))


def _unit(x: Matrix) -> Matrix:
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(np.divide(x, length, out=np.zeros_like(x), where=length > 0))
