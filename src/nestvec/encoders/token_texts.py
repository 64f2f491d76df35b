"""Tokens as people can read them: where each stands in its text, and the word that it is a piece of. No torch here."""

from __future__ import annotations

from typing import Any

import numpy as np

from nestvec.core.token import Token
from nestvec.core.types import Bool, Int64


def token_texts(
    tokenizer: Any,
    found: Any,
    ids: Int64[np.ndarray, " t"],
    keep: Bool[np.ndarray, " t"],
    *,
    whole: str,
    prompt: int,
) -> tuple[Token, ...]:
    """The tokens of one text whose vectors are kept, in their order.

    Args:
        tokenizer: a fast tokenizer (``tokenizers.Tokenizer``), which knows the names of tokens.
        found: what it made of ``whole``.
        ids: ``[t]`` what the model is given; more than ``found`` has where a query is filled up.
        keep: ``[t]`` whether the vector of a token is kept.
        whole: the instruction and the text.
        prompt: characters of the instruction.
    """
    words = _words(found)
    made = []
    for i in np.flatnonzero(keep).tolist():
        start, end = _trimmed(whole, *found.offsets[i]) if i < len(found.ids) else (0, 0)
        if start == end:
            name = str(tokenizer.id_to_token(int(ids[i]))).strip()
            made.append(Token(name, name))
            continue
        first, last = _trimmed(whole, *words.get(found.word_ids[i], (start, end)))
        where = (-1, -1, -1) if start < prompt else (start - prompt, end - prompt, max(first - prompt, 0))
        made.append(Token(whole[start:end], whole[first:last], *where))
    return tuple(made)


def _trimmed(whole: str, start: int, end: int) -> tuple[int, int]:
    """The same stretch without the space around it: tokens of some models begin with one."""
    part = whole[start:end]
    start += len(part) - len(part.lstrip())
    return start, start + len(part.strip())


def _words(found: Any) -> dict[int, tuple[int, int]]:
    """Where each word of a text begins and ends, by its number."""
    spans: dict[int, tuple[int, int]] = {}
    for number, (start, end) in zip(found.word_ids, found.offsets, strict=True):
        if number is not None:
            first, last = spans.get(number, (start, end))
            spans[number] = min(first, start), max(last, end)
    return spans
