"""Strings as ids that carry what the string looks like, so that no vocabulary is needed.

An id has 60 bits: hashes of the string in lower case (22), of its last three characters (17), of its shape (13) and of
its first character (8). Tables of strings have :data:`STRING_IDS` ids a field, and store none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xxhash

from nestvec.core.errors import InputError
from nestvec.core.types import Array, Int64

BITS: Mapping[str, int] = {"norm": 22, "suffix": 17, "shape": 13, "prefix": 8}
"""Bits of each feature in an id, the first in the lowest."""

STRING_IDS = 1 << sum(BITS.values())
"""Ids of a field of strings."""

_RUN = 4
"""A shape shows at most so many of one kind in a row: words of any length share it."""


def string_ids(texts: Sequence[object]) -> Int64[np.ndarray, " n"]:
    """``[n]`` ids of strings for :class:`~nestvec.tables.methods.multi_hash_features.MultiHashFeatures`.

    ``Apple`` and ``apple`` share the norm, ``apple`` and ``maple`` the suffix, ``Apple`` and ``Maple`` the shape
    ``Xxxxx``. None and the empty string are padding, -1. Two strings have one id only if all four hashes agree; norms
    alone do so for one pair in four million.

    Args:
        texts: strings, or None.

    Raises:
        InputError: something is no string.

    Source: Miranda et al. 2022, sec. 2 (arXiv:2212.09255), for the four features.
    """
    found = np.empty(len(texts), np.int64)
    known: dict[str | None, int] = {None: -1, "": -1}
    for number, text in enumerate(texts):
        if not isinstance(text, str | None):
            raise InputError(f"strings must be text or None, got {text!r} at {number}. Pass str(...) of it.")
        if text not in known:
            known[text] = _id(text or "")
        found[number] = known[text]
    return found


def features(text: str) -> dict[str, str]:
    """``norm``, ``suffix``, ``shape`` and ``prefix`` of a string.

    The shape writes ``X`` for a capital, ``x`` for another letter, ``d`` for a digit and all else as it is, runs cut at
    four: ``C3PO-1234567`` is ``XdXX-dddd``.
    """
    return {"norm": text.lower(), "suffix": text[-3:], "shape": _shape(text), "prefix": text[:1]}


def unpack(ids: Array, feature: str) -> Int64[np.ndarray, " n"]:
    """The bits of one feature of ``[n]`` ids."""
    names = list(BITS)
    below = sum(BITS[name] for name in names[: names.index(feature)])
    bits: Array = (ids >> below) & ((1 << BITS[feature]) - 1)
    return bits


def _id(text: str) -> int:
    made, at = 0, 0
    for name, value in features(text).items():
        made |= (xxhash.xxh3_64_intdigest(value.encode("utf-8", "surrogatepass")) & ((1 << BITS[name]) - 1)) << at
        at += BITS[name]
    return made


def _shape(text: str) -> str:
    made: list[str] = []
    last, run = "", 0
    for letter in text:
        kind = "d" if letter.isdigit() else ("X" if letter.isupper() else "x") if letter.isalpha() else letter
        run = run + 1 if kind == last else 1
        last = kind
        if run <= _RUN:
            made.append(kind)
    return "".join(made)
