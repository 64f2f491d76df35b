"""``cache_ngrams``: rows for frequent runs of tokens, out of the whole model, for its token table alone (depth 0).

A token table reads "hot dog" as a hot thing and a dog. The whole model knows better, and may be asked beforehand: what
the table misses of each frequent n-gram is kept on the disk, and a text costs as much arithmetic as before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Float32, Int64, Matrix
from nestvec.encoders import StaticEncoder, load
from nestvec.encoders.words import flattened, segment_sums, token_ids
from nestvec.tables.ngrams import NgramTable, frequent_ngrams

_FITTED = 4000  # texts that the map is solved on
_TEXTS = 1_000_000  # texts whose n-grams are counted at most
_STRENGTH = 1.0  # of the ridge, over the mean square of what it maps


@dataclass(frozen=True, eq=False)
class Grams:
    """N-grams and where they are in texts.

    Args:
        ids: ``[m, longest]`` token ids at the end of each line, in the order of a table.
        lengths: ``[m]``.
        texts: that a map is solved on.
        found: ``[t]`` for every token of those texts, the n-gram that ends there, or -1.
        tokens: ``[t]``.
        offsets: ``[n + 1]``.
    """

    ids: Array
    lengths: Int64[np.ndarray, " m"]
    texts: list[str]
    found: Int64[np.ndarray, " t"]
    tokens: Int64[np.ndarray, " t"]
    offsets: Int64[np.ndarray, " n1"]

    @property
    def last(self) -> Int64[np.ndarray, " m"]:
        """Tokens in whose place they stand."""
        found: Int64[np.ndarray, " m"] = self.ids[:, -1]
        return found

    @property
    def coverage(self) -> float:
        """Share of the tokens of the texts that have an n-gram."""
        return float((self.found >= 0).mean()) if len(self.found) else 0.0


@dataclass(frozen=True, eq=False)
class Cached:
    """What was made.

    Args:
        table: for :meth:`~nestvec.encoders.StaticEncoder.with_ngrams`.
        coverage: share of the tokens of the texts that have an n-gram.
    """

    table: NgramTable
    coverage: float


def cache_ngrams(
    source: str | Path, path: str | Path, texts: Iterable[str], *, most: int = 20_000, longest: int = 3, least: int = 3,
    ladder: Any = "default", seed: int = 0,
) -> Cached:  # fmt: skip
    """Write a file of n-grams for the token table of a model, without labels.

    The row of an n-gram is that of its last token plus ``M w (|s| f - s)``: ``f`` the whole model's vector of its text,
    ``s`` that of the token table, ``w`` the length of the token's row, and ``M`` one matrix for all n-grams, solved by
    ridge such that texts come as near to the whole model as they can.

    Args:
        source: ``default``, a model folder, or a hub id.
        path: of the file.
        texts: unlabelled, like those to come; a million at most are read.
        most: n-grams.
        longest: tokens of an n-gram.
        least: times that an n-gram must come.
        ladder: whose table it is for; see :func:`nestvec.encoders.load`.
        seed: of which 4,000 texts the matrix is solved on.

    Returns:
        What was made and written.

    Raises:
        InputError: no n-gram comes so often, or the table's vectors are of another width than the model's.
        MissingExtraError: torch, safetensors or tokenizers is not installed.

    Cost: one pass of every n-gram and of 4,000 texts through the model: half a minute for 20,000 on one core.

    Source: Yu et al. 2025, sec. 3 (arXiv:2502.01637), with the whole model in the place of one trained for n-grams.
    """
    static, full = load(source, size="L0", ladder=ladder), load(source, ladder=ladder)
    if not isinstance(static, StaticEncoder) or static.space.dim != full.space.dim:
        raise InputError(
            f"the token table must have as many dimensions as the model, {full.space.dim}, got {static.space.dim}. Fit "
            "a ladder for this model."
        )
    grams = find_grams(static, texts, most=most, longest=longest, least=least, seed=seed)
    named = static.tokens.tokenizer.decode_batch([line[line >= 0].tolist() for line in grams.ids])
    own, wanted = _static(static, *_lines(grams)), full.encode(named).values
    missed = np.linalg.norm(own, axis=1, keepdims=True) * wanted - own
    weight, _ = static.head
    missed *= np.linalg.norm(static.tokens.rows(grams.last) @ weight.T, axis=1, keepdims=True)
    rows = fit_rows(static, grams, missed, full.encode(grams.texts).values)
    table = NgramTable.of(grams.ids, grams.lengths, rows, base=static.table)
    table.save(path)
    return Cached(table, grams.coverage)


def find_grams(
    static: StaticEncoder, texts: Iterable[str], *, most: int, longest: int, least: int, seed: int = 0
) -> Grams:
    """The frequent n-grams of texts, and where they are in some of them.

    Raises:
        InputError: none comes so often.
    """
    every = list(islice(texts, _TEXTS))
    tokenizer = static.tokens.tokenizer
    ids, lengths, _ = frequent_ngrams(
        *flattened(token_ids(tokenizer, every)), longest=longest, most=most, least=least
    )  # fmt: skip
    if not len(ids):
        raise InputError(f"texts must have an n-gram that comes {least} times, got {len(every)} without. Give more.")
    some = [every[i] for i in np.sort(np.random.default_rng(seed).permutation(len(every))[:_FITTED])]
    tokens, offsets = flattened(token_ids(tokenizer, some))
    nothing = NgramTable.of(ids, lengths, np.zeros((len(ids), 1), np.float32), base="")
    return Grams(ids, lengths, some, nothing.find(tokens, offsets), tokens, offsets)


def fit_rows(static: StaticEncoder, grams: Grams, features: Array, wanted: Matrix) -> Float32[np.ndarray, "m r"]:
    """``[m, r]`` rows of n-grams: that of the last token plus a linear map of ``features`` ``[m, k]``.

    The map is the ridge solution by which the means of rows come nearest to what the table misses of ``wanted``, unit
    vectors of the texts.

    Source: Hoerl and Kennard 1970, eq. 2.1.
    """
    plain = _static(static, grams.tokens, grams.offsets)
    counts = np.maximum(np.diff(grams.offsets), 1)[:, None]
    hit = grams.found >= 0
    ends = np.concatenate([[0], np.cumsum(hit)])[grams.offsets]  # offsets among the tokens that have an n-gram
    x = (segment_sums(features, grams.found[hit], ends) / counts).astype(np.float64)
    scale = np.linalg.norm(plain, axis=1).mean()  # as long as the table's own vectors are
    weight, _ = static.head
    y = (scale * wanted - plain) @ np.linalg.pinv(weight).T  # what rows can say of it
    square = x.T @ x
    square += _STRENGTH * np.trace(square) / len(square) * np.eye(len(square))
    rows: Float32[np.ndarray, "m r"] = static.tokens.rows(grams.last) + (
        features @ np.linalg.solve(square, x.T @ y)
    ).astype(np.float32)
    return rows


def _lines(grams: Grams) -> tuple[Array, Array]:
    """The n-grams as texts: ``(tokens, offsets)``."""
    return grams.ids[grams.ids >= 0], np.concatenate([[0], np.cumsum(grams.lengths)])


def _static(static: StaticEncoder, tokens: Array, offsets: Array) -> Matrix:
    """Vectors of texts by the token table, as long as they come."""
    used, at = np.unique(tokens, return_inverse=True)
    sums = segment_sums(static.tokens.rows(used), at.astype(np.int64), offsets)
    weight, bias = static.head
    found: Matrix = sums / np.maximum(np.diff(offsets), 1)[:, None].astype(np.float32) @ weight.T + bias
    return found
