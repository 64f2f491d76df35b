"""A cache of n-grams: rows for frequent runs of tokens, in a mapped file, found by a 64-bit hash.

At each position of a text the longest known n-gram that ends there stands in the place of the token's own row. The file
may be of any size: a look-up touches a page of hashes and a row, and the rest stays on the disk.

Source: Yu et al. 2025, sec. 3 (arXiv:2502.01637).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import xxhash

from nestvec.core.errors import FormatError, InputError
from nestvec.core.types import Array, Int64, Matrix
from nestvec.kernels.idhash import mix64
from nestvec.tables import saving

_FORMAT = "1"
_TURN = np.uint64(0x9E3779B97F4A7C15)
_LONGEST = 8


@dataclass(frozen=True, eq=False)
class NgramTable:
    """Rows of n-grams of two tokens and more.

    Args:
        hashes: ``[m]`` uint64, ascending.
        codes: ``[m, w]`` int8; a row is ``codes * scale``.
        scale: ``[m]`` float16.
        longest: tokens in an n-gram at most.
        base: fingerprint of the table of tokens that the rows stand beside.

    Raises:
        InputError: the arrays do not fit together, or ``longest`` is not 2 to 8.
    """

    hashes: Array = field(repr=False)
    codes: Array = field(repr=False)
    scale: Array = field(repr=False)
    longest: int
    base: str

    def __post_init__(self) -> None:
        fits = self.codes.ndim == 2 and len(self.hashes) == len(self.codes) == len(self.scale)
        kinds = [a.dtype.name for a in (self.hashes, self.codes, self.scale)] == ["uint64", "int8", "float16"]
        if not fits or not kinds or not 2 <= self.longest <= _LONGEST:
            shapes = {n: (getattr(self, n).dtype, getattr(self, n).shape) for n in ("hashes", "codes", "scale")}
            raise InputError(
                f"n-grams must have [m] uint64 hashes, [m, w] int8 codes and [m] float16 scales, and 2 to {_LONGEST} "
                f"tokens at most, got {shapes} and {self.longest}."
            )

    @classmethod
    def of(cls, grams: Array, lengths: Array, rows: Matrix, *, base: str) -> NgramTable:
        """From n-grams and their rows.

        Args:
            grams: ``[m, longest]`` token ids, the last ones of each line; what stands before them is not looked at.
            lengths: ``[m]``, 2 at least.
            rows: ``[m, w]``, finite.
            base: see the class.

        Raises:
            InputError: an n-gram comes twice (or, once in 2^64 pairs, two have one hash).
        """
        hashes = np.empty(len(grams), np.uint64)
        for n in np.unique(lengths).tolist():
            mine = lengths == n
            hashes[mine] = _rolled(grams[mine][:, -n:])
        order = np.argsort(hashes)
        if (hashes[order][1:] == hashes[order][:-1]).any():
            raise InputError("n-grams must differ, got one twice.")
        scale = np.maximum(np.abs(rows).max(axis=1, initial=0) / 127, 6e-5).astype(np.float16)  # the least normal one
        codes = np.clip(np.rint(rows / scale[:, None].astype(np.float32)), -127, 127).astype(np.int8)
        return cls(hashes[order], codes[order], scale[order], int(grams.shape[1]), base)

    def __len__(self) -> int:
        return len(self.hashes)

    @property
    def nbytes(self) -> int:
        """Bytes on the disk; those in memory are the pages that were touched."""
        return int(self.hashes.nbytes + self.codes.nbytes + self.scale.nbytes)

    @cached_property
    def fingerprint(self) -> str:
        """Of all of it. Cost: one pass."""
        digest = xxhash.xxh3_128(f"{self.longest}\0{self.base}".encode())
        for array in (self.hashes, self.codes, self.scale):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def find(self, ids: Int64[np.ndarray, " t"], offsets: Int64[np.ndarray, " n1"]) -> Int64[np.ndarray, " t"]:
        """The number of the longest n-gram that ends at each token; -1 where there is none.

        Args:
            ids: tokens of all texts, one after the other.
            offsets: where each text begins, and the end; no n-gram goes over a border.

        Cost: ``longest - 1`` binary searches a token.
        """
        out = np.full(len(ids), -1, np.int64)
        if not len(self):
            return out
        for at, hashes in ngram_hashes(ids, offsets, self.longest):  # longer ones come later and win
            place = np.minimum(np.searchsorted(self.hashes, hashes), len(self.hashes) - 1)
            there = self.hashes[place] == hashes
            out[at[there]] = place[there]
        return out

    def rows(self, numbers: Int64[np.ndarray, " h"]) -> Matrix:
        """``[h]`` numbers of n-grams -> ``[h, w]`` float32."""
        found: Matrix = self.codes[numbers] * self.scale[numbers].astype(np.float32)[:, None]
        return found

    def save(self, path: str | Path) -> None:
        """Write one checksummed file that :meth:`open` maps.

        Raises:
            DiskError: the disk refuses.
        """
        arrays = {"hashes": self.hashes, "codes": self.codes, "scale": self.scale}
        saving.write(path, arrays, {"ngrams": _FORMAT, "longest": str(self.longest), "base": self.base})

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True) -> NgramTable:
        """Map what :meth:`save` wrote.

        Args:
            path: of the file.
            verify: compare checksums, which reads all of it once.

        Raises:
            DiskError: there is no such file.
            FormatError: it is another kind of file.
            CorruptError: it is damaged.
        """
        arrays, notes = saving.read(path, verify=verify)
        if notes.get("ngrams") != _FORMAT or not {"hashes", "codes", "scale"} <= arrays.keys():
            raise FormatError(f"{path} must be n-grams of format {_FORMAT}, got {notes.get('ngrams')!r}.")
        return cls(arrays["hashes"], arrays["codes"], arrays["scale"], int(notes["longest"]), notes["base"])


def ngram_hashes(
    ids: Int64[np.ndarray, " t"], offsets: Int64[np.ndarray, " n1"], longest: int
) -> Iterator[tuple[Int64[np.ndarray, " h"], Array]]:
    """For n = 2 … ``longest``: ``(where n-grams end [h], their hashes [h] uint64)``, none over a border of texts."""
    place = np.arange(len(ids)) - np.repeat(offsets[:-1], np.diff(offsets))  # inside its text
    own = mix64(ids.astype(np.int64).view(np.uint64))
    before = own
    for n in range(2, longest + 1):
        at = np.flatnonzero(place >= n - 1)
        before = _joined(before[: len(own) - n + 1], own[n - 1 :])  # [i] ends at token i + n - 1
        yield at, before[at - (n - 1)]


def frequent_ngrams(
    ids: Int64[np.ndarray, " t"], offsets: Int64[np.ndarray, " n1"], *, longest: int = 3, most: int, least: int = 2
) -> tuple[Array, Int64[np.ndarray, " m"], Int64[np.ndarray, " m"]]:
    """The n-grams that come most often, of all lengths together, in the order of a table.

    Args:
        ids: tokens of all texts.
        offsets: where each text begins, and the end.
        longest: tokens at most.
        most: n-grams at most.
        least: times that each comes.

    Returns:
        ``(grams [m, longest] token ids at the end of each line with -1 before, lengths [m], counts [m])``; of equally
        frequent ones shorter are taken first, then those that come earlier.
    """
    lengths, ends, counts, keys = [], [], [], []
    for n, (at, hashes) in enumerate(ngram_hashes(ids, offsets, longest), 2):
        _, first, times = np.unique(hashes, return_index=True, return_counts=True)
        kept = times >= least
        ends.append(at[first[kept]])
        counts.append(times[kept])
        keys.append(hashes[first[kept]])
        lengths.append(np.full(len(ends[-1]), n))
    length, end, count = np.concatenate(lengths), np.concatenate(ends), np.concatenate(counts)
    order = np.lexsort((end, length, -count))[:most]
    order = order[np.argsort(np.concatenate(keys)[order])]
    length, end = length[order], end[order]
    grams = ids[np.maximum(end[:, None] + np.arange(1 - longest, 1), 0)]
    grams[np.arange(longest) < longest - length[:, None]] = -1
    return grams, length, count[order]


def _rolled(grams: Array) -> Array:
    own = mix64(grams.astype(np.int64).view(np.uint64))
    out: Array = own[:, 0]
    for j in range(1, own.shape[1]):
        out = _joined(out, own[:, j])
    return out


def _joined(before: Array, own: Array) -> Array:
    """A hash of a run and of the token after it; ``(a, b)`` and ``(b, a)`` differ."""
    return mix64(before * _TURN + own)
