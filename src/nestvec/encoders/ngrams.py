"""Texts to sums of rows where runs of tokens have rows of their own. No torch, no transformers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from nestvec.core.types import Float32, Int64, Matrix
from nestvec.encoders.words import TokenSums, flattened, segment_sums, token_ids


@runtime_checkable
class Ngrams(Protocol):
    """Rows for runs of tokens; :class:`nestvec.tables.ngrams.NgramTable` is one."""

    @property
    def fingerprint(self) -> str:
        """Of all of it."""
        ...

    @property
    def base(self) -> str:
        """Fingerprint of the token table that the rows stand beside."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes on the disk."""
        ...

    def find(self, ids: Int64[np.ndarray, " t"], offsets: Int64[np.ndarray, " n1"]) -> Int64[np.ndarray, " t"]:
        """The number of the longest run that ends at each token, -1 where there is none."""
        ...

    def rows(self, numbers: Int64[np.ndarray, " h"]) -> Float32[np.ndarray, "h r"]:
        """Numbers to rows, as wide as those of tokens."""
        ...


@dataclass(frozen=True, eq=False)
class NgramSums:
    """As :class:`TokenSums`, with the row of the longest n-gram that ends at a token in the place of the token's own.

    Every text goes through the tokenizer, for an n-gram may go over words; nothing is remembered.

    Args:
        tokens: of the plain table.
        ngrams: as wide.
    """

    tokens: TokenSums
    ngrams: Ngrams

    @property
    def tokenizer(self) -> Any:
        """That of the plain table."""
        return self.tokens.tokenizer

    @property
    def width(self) -> int:
        """Of a row."""
        return self.tokens.width

    def __call__(self, texts: Sequence[str]) -> tuple[Matrix, Float32[np.ndarray, " n"]]:
        """``(sums [n, r], tokens [n])`` of ``n`` texts; both 0 for a text without a token."""
        ids, offsets = flattened(token_ids(self.tokenizer, texts))
        found = self.ngrams.find(ids, offsets)
        plain, where_plain = np.unique(ids[found < 0], return_inverse=True)
        known, where_known = np.unique(found[found >= 0], return_inverse=True)
        at = np.empty(len(ids), np.int64)
        at[found < 0], at[found >= 0] = where_plain, len(plain) + where_known
        table = np.concatenate([self.tokens.rows(plain), self.ngrams.rows(known)])
        return segment_sums(table, at, offsets), np.diff(offsets).astype(np.float32)
