"""Texts as token ids in one flat array, so that any window of any text is a slice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Int64

_AT_ONCE = 4096  # texts tokenised together
_CHARACTERS = 4000  # of a text that are read: no window of 512 tokens is longer


@dataclass(frozen=True, eq=False)
class Corpus:
    """Token ids of many texts, special tokens left out.

    Args:
        ids: ``[total]`` int32, the texts one after the other.
        offsets: ``[n + 1]``; text ``i`` is ``ids[offsets[i] : offsets[i + 1]]``.
        titles: ``[n]`` leading tokens of each text that are its title; 0 where it has none.
    """

    ids: Array
    offsets: Int64[np.ndarray, " m"]
    titles: Int64[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.titles)

    @property
    def lengths(self) -> Int64[np.ndarray, " n"]:
        """``[n]`` tokens of each text."""
        return np.diff(self.offsets)

    @classmethod
    def of(cls, texts: Iterable[tuple[str, str]], *, tokenizer: Any, least: int = 1) -> Corpus:
        """Tokenise ``(title, text)`` pairs.

        Args:
            texts: either of the two may be empty.
            tokenizer: a fast tokenizer (``tokenizers.Tokenizer``) that neither cuts nor pads.
            least: texts of fewer tokens are left out.

        Raises:
            InputError: fewer than ten texts are left.
        """
        parts: list[Array] = []
        titles: list[int] = []
        for chunk in _chunks(texts):
            heads = tokenizer.encode_batch([head for head, _ in chunk], add_special_tokens=False)
            bodies = tokenizer.encode_batch([body for _, body in chunk], add_special_tokens=False)
            for head, body in zip(heads, bodies, strict=True):
                ids = np.array(head.ids + body.ids, np.int32)
                if len(ids) >= least:
                    parts.append(ids)
                    titles.append(len(head.ids))
        if len(parts) < 10:
            raise InputError(
                f"learning needs at least 10 texts of {least} or more tokens, got {len(parts)}; thousands are needed "
                "for a ladder that is worth having."
            )
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        return cls(np.concatenate(parts), offsets, np.array(titles, np.int64))

    def subset(self, rows: Int64[np.ndarray, " k"]) -> Corpus:
        """The corpus of the texts at ``rows``, in that order."""
        parts = [self.ids[self.offsets[i] : self.offsets[i + 1]] for i in rows]
        offsets = np.concatenate([[0], np.cumsum([len(part) for part in parts])]).astype(np.int64)
        ids = np.concatenate(parts) if parts else self.ids[:0]
        return Corpus(ids, offsets, self.titles[rows])

    def split(self, held_out: int, *, seed: int) -> tuple[Corpus, Corpus]:
        """Two corpora, to learn from and to measure on; which text goes where follows from ``seed`` alone."""
        order = np.random.default_rng(seed).permutation(len(self))
        held_out = min(held_out, len(self) // 5)
        return self.subset(np.sort(order[held_out:])), self.subset(np.sort(order[:held_out]))

    def frequencies(self, vocabulary: int) -> Int64[np.ndarray, " v"]:
        """``[vocabulary]`` how often each token occurs."""
        return np.bincount(self.ids, minlength=vocabulary).astype(np.int64)


def read_texts(path: Path) -> Iterator[tuple[str, str]]:
    """``(title, text)`` pairs from lines of plain text, or of JSON with ``text`` and perhaps ``title``.

    A name that ends in ``.gz`` is read through gzip; one that has ``.jsonl`` in it is read as JSON.

    Raises:
        InputError: a line is not JSON, or has no ``text``.
    """
    with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            if ".jsonl" not in path.name:
                yield "", line.strip()
                continue
            try:
                row = json.loads(line)
                yield str(row.get("title") or ""), str(row["text"])
            except (ValueError, KeyError, AttributeError, TypeError) as cause:
                raise InputError(
                    f"each line must be a JSON object with a text, got line {number} of {path.name}: {line!r:.80}"
                ) from cause


def _chunks(texts: Iterable[tuple[str, str]]) -> Iterator[Sequence[tuple[str, str]]]:
    chunk: list[tuple[str, str]] = []
    for head, body in texts:
        chunk.append(tuple(text[:_CHARACTERS].encode("utf-8", "replace").decode() for text in (head, body)))  # type: ignore[arg-type]
        if len(chunk) == _AT_ONCE:
            yield chunk
            chunk = []
    if chunk:
        yield chunk
