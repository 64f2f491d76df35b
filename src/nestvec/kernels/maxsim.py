"""MaxSim: how well an item of several vectors answers a query of several vectors.

``score = sum_i max_j <q_i, x_j>``: each query token is matched with the token of the item that is most like it, and
what they score is added up. Items are ragged: the tokens ``[t, d]`` of all of them, one after the other, and offsets
``[n + 1]``. An item without tokens scores ``-inf``, so that it is never found; a query without tokens scores 0 with all
others.

Tokens are float32, float16, int8 with a scale each, or one bit a dimension; ``nestvec.kernels.maxsim_codes`` has the
last two. Products are those of BLAS and numkong, which choose what suits the processor. The largest are found by numba
where it is there, else by numpy, and are the same. A token's score does not depend on the tokens around it, to the last
bit, so equal items have equal scores.

numkong's own fused MaxSim is not used: packing takes ten times as long as scoring, and its scores, screened in int8,
were off by up to .6 of 7 on random unit tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nestvec.core.arrays import as_matrix
from nestvec.core.coding import Codec, TokenCodec
from nestvec.core.errors import InputError, ShapeError
from nestvec.core.types import Array, ArrayLike, Float32, Int64
from nestvec.kernels import ragged
from nestvec.kernels.blocks import rows_times

_TOGETHER = 512  # query tokens multiplied together: enough for BLAS to be at its best
_SCORES = 1 << 17  # of a block: half a megabyte, which stays in L2 between the product and the maximum


def maxsim(
    query: ArrayLike,
    tokens: Array,
    offsets: ArrayLike,
    *,
    items: Int64[np.ndarray, " m"] | None = None,
    mean: bool = False,
) -> Float32[np.ndarray, " n"]:
    """``sum_i max_j <q_i, x_j>`` of one query with every item, or with some.

    Args:
        query: ``[q, d]`` float, a row a token.
        tokens: ``[t, d]`` float32 or float16, finite; may be a memory map.
        offsets: ``[n + 1]``; item ``i`` owns tokens ``offsets[i]`` to ``offsets[i + 1]``.
        items: ``[m]`` positions of the items to score, in any order; their tokens are copied. None for all.
        mean: divide by the number of query tokens, so that long and short queries score alike.

    Returns:
        ``[n]`` or ``[m]`` float32; ``-inf`` for an item without tokens.

    Raises:
        ShapeError: the arrays do not fit together.
        NotFiniteError: the query is not finite.
        InputError: the tokens are of another type, or an item is not there.

    Cost: ``q t d`` products, and 1 MB beside the answer.

    Source: Khattab and Zaharia 2020, eq. 3 (arXiv:2004.12832).
    """
    query, where = _checked(query, tokens, offsets)
    if items is not None:
        tokens, where = ragged.take(tokens, where, items)
    return _total(_best(query, tokens, where), where, mean=mean)


def maxsim_many(
    queries: ArrayLike, query_offsets: ArrayLike, tokens: Array, offsets: ArrayLike, *, mean: bool = False
) -> Float32[np.ndarray, "q n"]:
    """:func:`maxsim` of several queries with every item.

    Args:
        queries: ``[s, d]`` float, the tokens of query 0 first.
        query_offsets: ``[q + 1]``.
        tokens: ``[t, d]`` float32 or float16.
        offsets: ``[n + 1]``.
        mean: divide by the number of tokens of each query.

    Cost: as of :func:`maxsim`, but tokens are read once for some dozen queries; ``2048 n`` bytes beside the answer.
    """
    x, where = _checked(queries, tokens, offsets)
    start = ragged.as_offsets(query_offsets, end=len(x), name="query_offsets")
    out = np.empty((len(start) - 1, len(where) - 1), np.float32)
    for lo, hi in ragged.blocks(start, _TOGETHER):
        best = _best(x[start[lo] : start[hi]], tokens, where)
        for i in range(lo, hi):
            out[i] = _total(best[:, start[i] - start[lo] : start[i + 1] - start[lo]], where, mean=mean)
    return out


def matches(
    query: ArrayLike, tokens: Array, offsets: ArrayLike
) -> tuple[Int64[np.ndarray, "n q"], Float32[np.ndarray, "n q"]]:
    """Which token of every item each query token is matched with, and how well: what a score is the sum of.

    Args:
        query: ``[q, d]`` float.
        tokens: ``[t, d]`` float32 or float16; for tokens in codes there is :func:`matches_coded`.
        offsets: ``[n + 1]``.

    Returns:
        ``[n, q]`` positions within the item, the first where several are best, -1 where it has no tokens; and
        ``[n, q]`` inner products, ``-inf`` there.
    """
    query, where = _checked(query, tokens, offsets)
    across = np.ascontiguousarray(query.T)
    return _matched(len(query), where, lambda lo, hi: rows_times(_float32(tokens[lo:hi]), across))


def matches_coded(
    codec: Codec, query: ArrayLike, codes: Array, offsets: ArrayLike
) -> tuple[Int64[np.ndarray, "n q"], Float32[np.ndarray, "n q"]]:
    """:func:`matches` with tokens in the codes of any codec: what :func:`maxsim_coded` is the sum of."""
    query = as_matrix(query, name="query", dim=codec.dim)

    def scores(lo: int, hi: int) -> Array:
        if isinstance(codec, TokenCodec):  # each token an item
            return codec.maxima(query, codes[lo:hi], np.arange(hi - lo + 1))
        return codec.scores(query, codes[lo:hi]).T

    return _matched(len(query), ragged.as_offsets(offsets, end=len(codes)), scores)


def _matched(
    q: int, offsets: Int64[np.ndarray, " n1"], scores: Callable[[int, int], Array]
) -> tuple[Int64[np.ndarray, "n q"], Float32[np.ndarray, "n q"]]:
    best: Int64[np.ndarray, "n q"] = np.full((len(offsets) - 1, q), -1, np.int64)
    value = np.full(best.shape, -np.inf, np.float32)
    for i in np.flatnonzero(np.diff(offsets)):
        found = scores(int(offsets[i]), int(offsets[i + 1]))
        best[i], value[i] = found.argmax(axis=0), found.max(axis=0)
    return best, value


def maxsim_coded(
    codec: Codec, query: ArrayLike, codes: Array, offsets: ArrayLike, *, mean: bool = False
) -> Float32[np.ndarray, " n"]:
    """:func:`maxsim` with tokens in the codes of any codec; the query stays float.

    Args:
        codec: what made the codes; one with a ``maxima`` of its own (:class:`TokenCodec`) uses that.
        query: ``[q, d]`` float.
        codes: ``[t, w]``, a row a token.
        offsets: ``[n + 1]``.
        mean: divide by the number of query tokens.
    """
    query = as_matrix(query, name="query", dim=codec.dim)
    where = ragged.as_offsets(offsets, end=len(codes))
    if isinstance(codec, TokenCodec):
        return _total(codec.maxima(query, codes, where), where, mean=mean)
    return _total(best_by_scores(codec, query, codes, where), where, mean=mean)


def best_by_scores(
    codec: Codec, query: Float32[np.ndarray, "q d"], codes: Array, offsets: Int64[np.ndarray, " n1"]
) -> Float32[np.ndarray, "n q"]:
    """The best of ``codec.scores`` for each query token within each item."""

    def best(lo: int, hi: int, inner: Array) -> Array:
        return ragged.maxima(np.ascontiguousarray(codec.scores(query, codes[lo:hi]).T), inner)

    return in_blocks(len(query), offsets, best)


def in_blocks(
    q: int, offsets: Int64[np.ndarray, " n1"], best: Callable[[int, int, Array], Array]
) -> Float32[np.ndarray, "n q"]:
    """The best of each query token in each item, a block of items at a time.

    Args:
        q: how many query tokens.
        offsets: ``[n + 1]``.
        best: gives ``[m, q]`` for the ``m`` items of tokens ``lo`` to ``hi``, whose offsets within are its third
            argument.

    Returns:
        ``[n, q]``; ``-inf`` for items without tokens.
    """
    out = np.empty((len(offsets) - 1, q), np.float32)
    for lo, hi in ragged.blocks(offsets, _SCORES // max(q, 1)):
        first = int(offsets[lo])
        out[lo:hi] = best(first, int(offsets[hi]), offsets[lo : hi + 1] - first)
    return out


def _best(query: Array, tokens: Array, offsets: Array) -> Float32[np.ndarray, "n q"]:
    across = np.ascontiguousarray(query.T)

    def best(lo: int, hi: int, inner: Array) -> Array:
        return ragged.maxima(rows_times(_float32(tokens[lo:hi]), across), inner)

    return in_blocks(len(query), offsets, best)


def _total(best: Array, offsets: Array, *, mean: bool) -> Float32[np.ndarray, " n"]:
    found: Array = best.sum(axis=1)
    found[np.diff(offsets) == 0] = -np.inf  # also where there is no query token
    return found / np.float32(max(best.shape[1], 1)) if mean else found


def _float32(tokens: Array) -> Float32[np.ndarray, "t d"]:
    if tokens.dtype == np.float32:
        return tokens
    if not tokens.size:
        return np.zeros(tokens.shape, np.float32)
    import numkong  # takes 70 ms to import; converts three times as fast as numpy

    return np.asarray(numkong.Tensor(np.ascontiguousarray(tokens)).astype("float32"))


def _checked(query: ArrayLike, tokens: Array, offsets: ArrayLike) -> tuple[Array, Array]:
    query = as_matrix(query, name="query")
    if tokens.ndim != 2 or tokens.shape[1] != query.shape[1]:
        raise ShapeError(f"tokens must be [t, {query.shape[1]}] as the query is, got shape {tokens.shape}.")
    if tokens.dtype not in (np.float32, np.float16):
        raise InputError(
            f"tokens must be float32 or float16, got {tokens.dtype}. Score codes with maxsim_coded and their codec."
        )
    return query, ragged.as_offsets(offsets, end=len(tokens))
