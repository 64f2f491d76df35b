"""Counts of words as arrays: what the word-based baselines are made of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from nestvec.core.types import Float32, Float64, Int64, Matrix

Split = Callable[[str], list[str]]
_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|\n+")


def words(text: str) -> list[str]:
    """Lower-case words, with the plural ``s`` taken off by three rules.

    Source: Harman 1991, the S stemmer (JASIS 42(1)).
    """
    return [_singular(word) for word in _WORD.findall(text.lower())]


def letters(text: str) -> list[str]:
    """Runs of three letters of the lower-case text, its two ends marked."""
    whole = f" {text.lower()} "
    return [whole[i : i + 3] for i in range(len(whole) - 2)]


def sentences(text: str) -> list[str]:
    """Pieces between full stops, question and exclamation marks, and line breaks; no abbreviation is known."""
    return [piece.strip() for piece in _SENTENCE.split(text) if piece.strip()]


@dataclass(frozen=True)
class Counts:
    """How often each term stands in each text, as three parallel arrays sorted by text.

    Args:
        text: ``[m]`` which text.
        term: ``[m]`` which term; terms are numbered in alphabetical order.
        count: ``[m]`` float64, how often; or a weight made of it.
        texts: how many texts.
        terms: how many terms.
    """

    text: Int64[np.ndarray, " m"]
    term: Int64[np.ndarray, " m"]
    count: Float64[np.ndarray, " m"]
    texts: int
    terms: int

    @classmethod
    def of(cls, texts: Sequence[str], *, split: Split = words) -> Counts:
        """Count the terms of ``texts``."""
        counted = [Counter(split(text)) for text in texts]
        number = {term: i for i, term in enumerate(sorted(set().union(*counted)))}
        return cls(
            np.repeat(np.arange(len(texts)), [len(c) for c in counted]),
            np.array([number[term] for c in counted for term in c], np.int64),
            np.array([n for c in counted for n in c.values()], np.float64),
            len(texts),
            len(number),
        )

    def spread(self, *, texts: int) -> Int64[np.ndarray, " v"]:
        """``[terms]`` in how many of the first ``texts`` texts each term stands."""
        return np.bincount(self.term[self.text < texts], minlength=self.terms)

    def length(self) -> Float64[np.ndarray, " n"]:
        """``[texts]`` sum of the counts of each text."""
        return np.bincount(self.text, self.count, minlength=self.texts)

    def weighted(self, count: Float64[np.ndarray, " m"]) -> Counts:
        """With other weights."""
        return replace(self, count=count)

    def tf_idf(self) -> Counts:
        """``(1 + ln tf) (1 + ln((1 + n) / (1 + df)))``, each text of length 1.

        Source: Salton and Buckley 1988, IPM 24(5), with the smoothing that is usual today.
        """
        idf = 1 + np.log((1 + self.texts) / (1 + self.spread(texts=self.texts)))
        weight = (1 + np.log(self.count)) * idf[self.term]
        norm = np.sqrt(np.bincount(self.text, weight**2, minlength=self.texts))
        return self.weighted(weight / norm[self.text])

    def products(self, start: int) -> Float32[np.ndarray, "q n"]:
        """Inner products of the texts from ``start`` on with the texts before it.

        Cost: the postings of every term of every query.
        """
        order = np.argsort(self.term, kind="stable")
        order = order[self.text[order] < start]
        first = np.searchsorted(self.term[order], np.arange(self.terms + 1))
        out = np.zeros((self.texts - start, start), np.float32)
        ends = np.searchsorted(self.text, np.arange(self.texts + 1))
        for row in range(len(out)):
            entries = slice(ends[start + row], ends[start + row + 1])
            for term, weight in zip(self.term[entries], self.count[entries], strict=True):
                posting = order[first[term] : first[term + 1]]
                out[row, self.text[posting]] += weight * self.count[posting]
        return out

    def dense(self, most: int) -> Matrix:
        """``[texts, <= most]`` weights of the terms that stand in most texts."""
        kept = np.sort(np.argsort(-self.spread(texts=self.texts), kind="stable")[:most])
        column = np.full(self.terms, -1)
        column[kept] = np.arange(len(kept))
        out = np.zeros((self.texts, max(len(kept), 1)), np.float32)
        inside = column[self.term] >= 0
        out[self.text[inside], column[self.term[inside]]] = self.count[inside]
        return out

    def projected(self, dim: int, *, seed: int) -> Matrix:
        """``[texts, dim]``: every term gets a random row of signs, every text the sum of its rows.

        Source: Johnson and Lindenstrauss 1984; signs: Achlioptas 2003, JCSS 66(4), sec. 2.
        """
        rng = np.random.default_rng(seed)
        signs = rng.integers(0, 2, (self.terms, dim), dtype=np.int8) * np.int8(2) - np.int8(1)
        out = np.zeros((self.texts, dim), np.float32)
        ends = np.searchsorted(self.text, np.arange(self.texts + 1))
        for row, (lo, hi) in enumerate(pairwise(ends.tolist())):
            out[row] = self.count[lo:hi].astype(np.float32) @ signs[self.term[lo:hi]]
        return out


def jaccard(a: Sequence[str], b: Sequence[str], *, split: Split = words) -> Float64[np.ndarray, " n"]:
    """``[n]`` how many of the terms of ``a[i]`` and ``b[i]`` they share: ``|A ∩ B| / |A ∪ B|``, 0 if both have none.

    Source: Jaccard 1912.
    """
    pairs = [(set(split(x)), set(split(y))) for x, y in zip(a, b, strict=True)]
    return np.array([len(x & y) / max(len(x | y), 1) for x, y in pairs], np.float64)


def _singular(word: str) -> str:
    if len(word) < 4 or not word.endswith("s"):
        return word
    if word.endswith("ies") and not word.endswith(("eies", "aies")):
        return word[:-3] + "y"
    if word.endswith("es") and not word.endswith(("aes", "ees", "oes")):
        return word[:-1]
    return word if word.endswith(("us", "ss")) else word[:-1]
