"""Texts to sums of token rows, fast: a word is tokenised once and its sum remembered. No torch, no transformers."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import InputError, MissingExtraError
from nestvec.core.types import Float32, Int64, Matrix
from nestvec.encoders.wordpiece import WordPiece

Rows = Callable[[Int64[np.ndarray, " t"]], Float32[np.ndarray, "t r"]]
"""Token ids to their rows."""

_SPACE = re.compile(r"[ \t\n\r]+")
# What str.split() takes for space and a BERT tokenizer deletes, joining what stands around it.
_DELETED = "\x0b\x0c\x1c\x1d\x1e\x1f\x85"
# What a BERT pre-tokeniser makes of a word of plain letters, digits and signs: it parts at every sign.
_PLAIN = re.compile(r"[!-~]+")
_PARTS = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")
_MOST_WORDS = 1 << 17  # remembered at most, then all are forgotten: 200 MB at 384 numbers a word
_MOST_NUMBERS = 1 << 26  # … and that many numbers of their sums, for rows that are wide
_MOST_CHARACTERS = 1 << 24  # … and that many characters of them, for texts whose words are long
_COMMON = 2048  # the words met first are mostly the common ones: 84 % of English prose; these are counted, not copied
_BLOCK = 256  # texts counted together
_COPIED = 8  # texts whose rows are copied together: 0.5 MB, inside a core's cache; at 64 it is six times slower
_PART = 128  # texts looked up while those before are summed
_LINE = 64  # words tokenised as one text
_FEW = 1 << 12  # words below which counting does not pay
_MANY = 512  # new words, for which it pays to copy the vocabulary, which takes as long as 1,000 to 3,000 words save
_FEW_RUNS = 32  # below which numpy is called more cheaply run by run


def open_tokenizer(path: Path) -> Any:
    """The tokenizer in a ``tokenizer.json``, neither cutting nor padding.

    Raises:
        MissingExtraError: the library tokenizers is not installed.
        InputError: the file is no tokenizer.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError as cause:
        raise MissingExtraError("Depth 0", "text") from cause
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as cause:  # a bare Exception is what the library raises
        raise InputError(f"{str(path)!r} must be a tokenizer, got a file that cannot be read: {cause}.") from cause
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def splits_at_spaces(tokenizer: Any) -> bool:
    """True where the tokens of a text are those of its words, one after the other, whatever stands beside them.

    So it is for WordPiece after BERT's normaliser, unless an added token has a space in it.
    """
    parts = (tokenizer.normalizer, tokenizer.pre_tokenizer, tokenizer.model)
    if tuple(type(part).__name__ for part in parts) != ("BertNormalizer", "BertPreTokenizer", "WordPiece"):
        return False
    added = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    return bool(tokenizer.normalizer.clean_text) and not any(map(_SPACE.search, added))


def token_ids(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, special tokens left out. A lone surrogate, which UTF-8 cannot hold, is read as ``?``."""
    return [row.ids for row in _encoded(tokenizer, texts)]


def word_tokens(tokenizer: Any, words: Sequence[str]) -> tuple[Int64[np.ndarray, " t"], Int64[np.ndarray, " n1"]]:
    """``(ids [t], offsets [n + 1])`` of words without a space, for a tokenizer that :func:`splits_at_spaces`.

    Words go through it in lines, three times as fast as one by one; where a token starts says whose it is.
    """
    lines = [words[i : i + _LINE] for i in range(0, len(words), _LINE)]
    counts = []
    flat: list[int] = []
    for line, found in zip(lines, _encoded(tokenizer, [" ".join(line) for line in lines]), strict=True):
        starts = np.cumsum([0, *(len(word) + 1 for word in line[:-1])])
        tokens = np.fromiter((start for start, _ in found.offsets), np.int64, len(found.ids))
        counts.append(np.bincount(np.searchsorted(starts, tokens, side="right") - 1, minlength=len(line)))
        flat += found.ids
    return np.array(flat, np.int64), _ends(np.concatenate(counts).tolist() if counts else [])


def _encoded(tokenizer: Any, texts: Sequence[str]) -> list[Any]:
    try:
        found: list[Any] = tokenizer.encode_batch(list(texts), add_special_tokens=False)
    except (TypeError, UnicodeError):  # the tokenizer is Rust, whose strings are UTF-8
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        found = tokenizer.encode_batch(clean, add_special_tokens=False)
    return found


class TokenSums:
    """The sum of the rows of a text's tokens, and how many there are. Safe to use from several threads.

    Args:
        tokenizer: neither cuts nor pads.
        rows: ids to rows.
        width: of a row.
        by_word: tokenise each word once and remember its sum; by default where that gives the same.
    """

    def __init__(self, tokenizer: Any, rows: Rows, *, width: int, by_word: bool | None = None) -> None:
        self.tokenizer, self.rows, self.width = tokenizer, rows, width
        self.by_word = splits_at_spaces(tokenizer) if by_word is None else by_word
        self._lock = threading.Lock()
        self._lowercase = bool(getattr(tokenizer.normalizer, "lowercase", False))
        added = [token.content.lower() for token in tokenizer.get_added_tokens_decoder().values()]
        self._added = re.compile("|".join(map(re.escape, added)) or "(?!)")  # the last matches nothing
        self._pieces: WordPiece | None = None
        self._forget()

    def __call__(self, texts: Sequence[str]) -> tuple[Matrix, Float32[np.ndarray, " n"]]:
        """``(sums [n, r], tokens [n])`` of ``n`` texts; both 0 for a text without a token.

        The last bits of a sum may differ with what was met before: the order of adding does.
        """
        if not self.by_word:
            ids, offsets = flattened(token_ids(self.tokenizer, texts))
            used, ids = np.unique(ids, return_inverse=True)
            counts = np.diff(offsets).astype(np.float32)
            return segment_sums(self.rows(used), ids.astype(np.int64), offsets), counts
        parts = [texts[i : i + _PART] for i in range(0, len(texts), _PART)] or [texts]
        if len(parts) == 1:
            return self._summed(*self._looked_up(parts[0]))
        with ThreadPoolExecutor(1) as pool:  # numpy adds while Python splits the next part
            waiting = [pool.submit(self._summed, *self._looked_up(part)) for part in parts]
            done = [some.result() for some in waiting]
        return np.concatenate([sums for sums, _ in done]), np.concatenate([counts for _, counts in done])

    def _looked_up(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Numbers of words, where each text ends, and the sums and token counts of all words met by then."""
        with self._lock:
            ids, offsets = self._words(texts)
            return ids, offsets, self._table, self._tokens  # what is added later goes behind, or into new arrays

    @staticmethod
    def _summed(
        ids: np.ndarray, offsets: np.ndarray, table: np.ndarray, tokens: np.ndarray
    ) -> tuple[Matrix, Float32[np.ndarray, " n"]]:
        return segment_sums(table, ids, offsets), _segments(tokens[ids], offsets)

    def _forget(self) -> None:
        self._seen = _Seen()
        self._characters = 0
        self._most = min(_MOST_WORDS, _MOST_NUMBERS // self.width)
        # Asked for at once, and given by the system as it is written to: growing would copy it again and again.
        self._table = np.empty((self._most, self.width), np.float32)
        self._tokens = np.empty(self._most, np.float32)

    def _words(self, texts: Sequence[str]) -> tuple[Int64[np.ndarray, " w"], Int64[np.ndarray, " n1"]]:
        """Numbers of the words of each text; those not met before are tokenised and summed."""
        if len(self._seen) > self._most or self._characters > _MOST_CHARACTERS:
            self._forget()
        odd = any(sign in text for sign in _DELETED for text in texts)
        split = [[word for word in _SPACE.split(text) if word] if odd else text.split() for text in texts]
        offsets = _ends([len(words) for words in split])
        ids = self._numbers(split, int(offsets[-1]))
        if self._seen.fresh:
            self._learn()
        return ids, offsets

    def _numbers(self, split: Iterable[Sequence[str]], count: int) -> Int64[np.ndarray, " w"]:
        return np.fromiter(map(self._seen.__getitem__, itertools.chain.from_iterable(split)), np.int64, count)

    def _learn(self) -> None:
        """Sums of the words met just now. ``flow,`` is ``flow`` and a comma, which mostly were met before."""
        fresh, self._seen.fresh = self._seen.fresh, []
        first = len(self._seen) - len(fresh)
        parts = [self._parts(word) for word in fresh]
        joined = [i for i, some in enumerate(parts) if some and some != [fresh[i]]]
        ends = _ends([len(parts[i]) for i in joined])
        made_of = self._numbers((parts[i] for i in joined), int(ends[-1]))
        lone, self._seen.fresh = self._seen.fresh, []  # parts that were not met as words; they come behind
        self._characters += sum(map(len, fresh)) + sum(map(len, lone))
        self._make_room(first)
        plain = [i for i, some in enumerate(parts) if some == [fresh[i]]]
        at = np.array([*(first + i for i in plain), *range(first + len(fresh), len(self._seen))], np.int64)
        self._put(at, *self._plain_tokens([fresh[i] for i in plain] + lone))
        odd = [i for i, some in enumerate(parts) if not some]
        self._put(np.array(odd, np.int64) + first, *word_tokens(self.tokenizer, [fresh[i] for i in odd]))
        at = np.array(joined, np.int64) + first
        self._table[at] = run_sums(self._table[made_of], ends)
        self._tokens[at] = _segments(self._tokens[made_of], ends)

    def _put(self, at: Int64[np.ndarray, " w"], flat: Int64[np.ndarray, " t"], ends: Int64[np.ndarray, " w1"]) -> None:
        """Note the sums of the words with the numbers ``at``."""
        self._table[at], self._tokens[at] = run_sums(self.rows(flat), ends), np.diff(ends)

    def _parts(self, word: str) -> list[str]:
        """What the tokeniser parts a word into before it looks at letters, in its case; none where only it can tell."""
        if not _PLAIN.fullmatch(word):
            return []
        parts: list[str] = _PARTS.findall(word.lower() if self._lowercase else word)
        return [] if self._added.search(word.lower()) else parts

    def _plain_tokens(self, words: Sequence[str]) -> tuple[Int64[np.ndarray, " t"], Int64[np.ndarray, " n1"]]:
        """As :func:`word_tokens`, of words of one part each."""
        if self._pieces is None and len(words) > _MANY:
            self._pieces = WordPiece.of(self.tokenizer)
        return flattened([self._pieces(word) for word in words]) if self._pieces else word_tokens(self.tokenizer, words)

    def _make_room(self, known: int) -> None:
        """Room for all words; others may hold the old arrays, so they are not resized in place."""
        if len(self._table) < len(self._seen):
            room = max(1024, 2 * len(self._seen)) - known
            self._table = np.concatenate([self._table[:known], np.empty((room, self.width), np.float32)])
            self._tokens = np.concatenate([self._tokens[:known], np.empty(room, np.float32)])


class _Seen(dict[str, int]):
    """Words to numbers in the order in which they were met; a new one is noted in ``fresh``."""

    def __init__(self) -> None:
        super().__init__()
        self.fresh: list[str] = []

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        self.fresh.append(word)
        return number


def segment_sums(
    table: Float32[np.ndarray, "u r"], ids: Int64[np.ndarray, " t"], offsets: Int64[np.ndarray, " n1"]
) -> Matrix:
    """``out[i]`` = the sum of ``table[ids[offsets[i]:offsets[i + 1]]]``, ``[n, r]``.

    Rows with small numbers are counted and multiplied, the others copied and added: where small numbers are common,
    that is two to four times as fast as copying all, and needs numpy only.
    """
    n = len(offsets) - 1
    out = np.zeros((n, table.shape[1]), np.float32)
    common = min(_COMMON, len(table)) if len(ids) > _FEW else 0
    for a in range(0, n, _BLOCK):
        b = min(a + _BLOCK, n)
        some = ids[offsets[a] : offsets[b]]
        text = np.repeat(np.arange(b - a), np.diff(offsets[a : b + 1]))
        if common:
            low = some < common
            counts = np.bincount(text[low] * common + some[low], minlength=(b - a) * common)
            np.matmul(counts.reshape(b - a, common).astype(np.float32), table[:common], out=out[a:b])
            some, text = some[~low], text[~low]
        ends = np.searchsorted(text, np.arange(b - a + 1))
        for c in range(0, b - a, _COPIED):
            d = min(c + _COPIED, b - a)
            out[a + c : a + d] += _segments(table[some[ends[c] : ends[d]]], ends[c : d + 1] - ends[c])
    return out


def run_sums(rows: Float32[np.ndarray, "t r"], offsets: Int64[np.ndarray, " n1"]) -> Float32[np.ndarray, "n r"]:
    """``out[i]`` = the sum of ``rows[offsets[i]:offsets[i + 1]]``, fast for many short runs.

    First rows of all runs are added at once, then second ones; reduceat takes ten times as long for runs of three.
    """
    lengths = np.diff(offsets)
    out = np.zeros((len(lengths), rows.shape[1]), np.float32)
    left = np.flatnonzero(lengths)
    step = 0
    while len(left) > _FEW_RUNS:
        out[left] += rows[offsets[left] + step]
        step += 1
        left = left[lengths[left] > step]
    for i in left:
        out[i] += rows[offsets[i] + step : offsets[i + 1]].sum(axis=0)
    return out


def _segments(rows: np.ndarray, offsets: Int64[np.ndarray, " n1"]) -> np.ndarray:
    """Sums of consecutive runs of ``rows`` ``[t, ...]``; 0 for an empty run, for which reduceat would give a row."""
    out = np.zeros((len(offsets) - 1, *rows.shape[1:]), rows.dtype)
    filled = offsets[1:] > offsets[:-1]
    if filled.any():
        out[filled] = np.add.reduceat(rows, offsets[:-1][filled], axis=0)
    return out


def _ends(lengths: Sequence[int]) -> Int64[np.ndarray, " n1"]:
    return np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def flattened(lists: Sequence[Sequence[int]]) -> tuple[Int64[np.ndarray, " t"], Int64[np.ndarray, " n1"]]:
    """``(all of them one after the other, where each begins, and the end)``."""
    offsets = _ends([len(some) for some in lists])
    return np.fromiter(itertools.chain.from_iterable(lists), np.int64, int(offsets[-1])), offsets
