"""Texts to token ids, and the count of texts that did not fit."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nestvec.core.types import Int64


class TruncationWarning(UserWarning):
    """A text was longer than the encoder's window, and what was over the window was not read."""


@dataclass(eq=False)
class Tally:
    """Counts texts that were cut, and says so the first time. Safe to share between threads."""

    count: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, cut: int, *, of: int, limit: int) -> None:
        """Note that ``cut`` of ``of`` texts were longer than ``limit`` tokens.

        Warns:
            TruncationWarning: the first time that ``cut`` is not 0.
        """
        if not cut:
            return
        with self._lock:
            first = self.count == 0
            self.count += cut
        if first:
            warnings.warn(
                f"texts must fit the encoder's {limit} tokens to be read whole, got {cut} of {of} that do not; the "
                "rest of each was left out. Split them first (nestvec.inputs.passages); encoder.truncated counts on.",
                TruncationWarning,
                stacklevel=2,
            )


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokenizer of a model, with the limits of the model on it.

    It owns copies of the fast tokenizer: the original changes its truncation and padding at every call,
    which is not safe between threads.

    Args:
        whole: a fast tokenizer (``tokenizers.Tokenizer``) that neither cuts nor pads.
        names: what the model wants to be given (``input_ids``, ``token_type_ids`` …).
        pad_id: the id of the padding token.
        pad_left: True where padding goes before the text.
    """

    whole: Any
    names: tuple[str, ...]
    pad_id: int
    pad_left: bool = False

    @classmethod
    def of(cls, tokenizer: Any) -> Tokens:
        """Take what is needed from a transformers tokenizer that has a fast backend."""
        whole = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        whole.no_truncation()
        whole.no_padding()
        pad = tokenizer.pad_token_id
        return cls(
            whole=whole,
            names=tuple(tokenizer.model_input_names),
            pad_id=0 if pad is None else int(pad),
            pad_left=tokenizer.padding_side == "left",
        )

    def cut_at(self, limit: int) -> Any:
        """A copy of the tokenizer that cuts at ``limit`` tokens, special tokens included."""
        copy = type(self.whole).from_str(self.whole.to_str())
        copy.enable_truncation(limit)
        return copy

    @property
    def special(self) -> int:
        """How many special tokens every text gets."""
        return int(self.whole.num_special_tokens_to_add(is_pair=False))

    def count(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text, special tokens not counted."""
        return [len(found.ids) for found in _encode(self.whole, texts, special=False)]

    def pad(self, found: Sequence[Any]) -> dict[str, Int64[np.ndarray, "b t"]]:
        """Encodings of one batch to arrays ``[b, t]``, ``t`` the longest of them."""
        rows = [row.ids or [self.pad_id] for row in found]  # a tokenizer without special tokens gives "" no token
        shape = (len(rows), max(len(ids) for ids in rows))
        arrays = {"input_ids": np.full(shape, self.pad_id, np.int64), "attention_mask": np.zeros(shape, np.int64)}
        if "token_type_ids" in self.names:
            arrays["token_type_ids"] = np.zeros(shape, np.int64)
        for i, ids in enumerate(rows):
            where = slice(shape[1] - len(ids), None) if self.pad_left else slice(len(ids))
            arrays["input_ids"][i, where] = ids
            arrays["attention_mask"][i, where] = 1
            if "token_type_ids" in arrays and found[i].type_ids:
                arrays["token_type_ids"][i, where] = found[i].type_ids
        return arrays


def encode_texts(cutter: Any, texts: Sequence[str]) -> tuple[list[Any], int]:
    """Texts to encodings in the same order, special tokens in place, and how many texts were cut.

    A lone surrogate, which UTF-8 cannot hold, is read as ``?``.
    """
    found = _encode(cutter, texts, special=True)
    return found, sum(bool(row.overflowing) for row in found)


def _encode(tokenizer: Any, texts: Sequence[str], *, special: bool) -> list[Any]:
    try:
        found: list[Any] = tokenizer.encode_batch(list(texts), add_special_tokens=special)
    except (TypeError, UnicodeError):  # the tokenizer is Rust, whose strings are UTF-8
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        found = tokenizer.encode_batch(clean, add_special_tokens=special)
    return found
