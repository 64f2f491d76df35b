"""How a model reads texts when every token keeps its vector: markers, query augmentation, and what is left out.

No torch here: ids and masks in, ids and masks out.

Source: Khattab and Zaharia 2020, sec. 3.2 (arXiv:2004.12832), for markers, augmentation with masks and punctuation.
"""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.types import Bool, Int64
from nestvec.encoders.tokens import Tokens

Role = Literal["document", "query"]
Arrays = dict[str, Int64[np.ndarray, "b t"]]


@dataclass(frozen=True)
class Augmentation:
    """Tokens put after a short query, whose vectors then say what else it may be about.

    Args:
        token: id of the token, the mask of most models.
        length: tokens that a query has at least, special tokens included.
        fixed: True where a longer query is cut at ``length``.
        attended: True where other tokens see the added ones too.
    """

    token: int
    length: int
    fixed: bool = True
    attended: bool = False


@dataclass(frozen=True)
class Late:
    """What a checkpoint says about reading documents and queries token by token.

    Args:
        prompts: put before a document, and before a query; a marker such as ``[Q] `` is one token of it.
        limits: tokens that fit, special tokens included, for a document and for a query.
        left_out: ids of tokens whose vectors are not kept, for a document and for a query. The model reads them.
        augmentation: of queries; None for none.
        unit: True where token vectors are made length 1.
    """

    prompts: tuple[str, str]
    limits: tuple[int, int]
    left_out: tuple[tuple[int, ...], tuple[int, ...]]
    augmentation: Augmentation | None = None
    unit: bool = True

    def __str__(self) -> str:
        """Everything that decides a vector besides weights and prompts, for a fingerprint."""
        return f"{self.limits} {self.left_out} {self.augmentation}"

    def prompt(self, role: Role) -> str:
        """What is put before a text."""
        return self.prompts[role == "query"]

    def limit(self, role: Role) -> int:
        """Tokens that fit."""
        return self.limits[role == "query"]

    def least(self, role: Role) -> int:
        """Tokens that a text is filled up to; 0 for those that are left as they are."""
        return self.augmentation.length if self.augmentation is not None and role == "query" else 0

    def arrays(self, tokens: Tokens, rows: Sequence[Any], *, role: Role) -> tuple[Arrays, Bool[np.ndarray, "b t"]]:
        """Encodings of one batch to what the model is given, and which of its token vectors are kept ``[b, t]``.

        A text of which nothing would be kept (an empty one, or all punctuation) keeps all its tokens, special ones
        included, so that every text has a vector.
        """
        arrays = tokens.pad(rows)
        real = arrays["attention_mask"].astype(np.bool_)
        keep = real & ~np.isin(arrays["input_ids"], self.left_out[role == "query"])
        keep |= real & ~keep.any(axis=1, keepdims=True)
        extra = self.augmentation
        if extra is None or role != "query":
            return arrays, keep
        missing = max(0, extra.length - real.shape[1])
        arrays = {name: np.pad(x, ((0, 0), (0, missing))) for name, x in arrays.items()}
        added = arrays["attention_mask"] == 0
        added[:, extra.length :] = False
        arrays["input_ids"] = np.where(added, extra.token, arrays["input_ids"])
        if extra.attended:
            arrays["attention_mask"] = arrays["attention_mask"] | added
        return arrays, np.pad(keep, ((0, 0), (0, missing))) | added


def plain_late(prompts: tuple[str, str], limits: tuple[int, int], tokenizer: Any, *, like_m3: bool = False) -> Late:
    """How a model that was not made for late interaction is read: special tokens and punctuation are left out.

    Measured on all-MiniLM-L6-v2: see docs/guide/multi-vector.md.

    Args:
        prompts: put before a document, and before a query.
        limits: tokens that fit.
        tokenizer: of the model.
        like_m3: True to leave out the first token only, as BGE-M3's head was trained.
    """
    first = {tokenizer.cls_token_id} - {None}
    ids = tuple(sorted(first if like_m3 else {*special_ids(tokenizer), *punctuation_ids(tokenizer)}))
    return Late(prompts, limits, (ids, ids))


def special_ids(tokenizer: Any) -> set[int]:
    """Ids of special tokens, the unknown one left out: it stands for a word."""
    return {int(i) for i in tokenizer.all_special_ids} - {tokenizer.unk_token_id}


def punctuation_ids(tokenizer: Any) -> set[int]:
    """Ids of single ASCII punctuation marks, as far as the vocabulary has them as tokens."""
    found = tokenizer.convert_tokens_to_ids(list(string.punctuation))
    return {int(i) for i in found if i is not None} - {tokenizer.unk_token_id}


def check_padding(tokens: Tokens, late: Late) -> Late:
    """``late`` itself.

    Raises:
        InputError: queries are augmented, and padding goes before the text, where there is no place after it.
    """
    if tokens.pad_left and late.augmentation is not None:
        raise InputError(
            "a tokenizer must pad on the right to augment queries, got one that pads on the left. Set padding_side to "
            "'right' in the model's tokenizer configuration, if it was trained so."
        )
    return late
