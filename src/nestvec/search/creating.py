"""What a new collection is to be: its encoder at its size, and settings that go with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.search.coding import choose
from nestvec.search.columns import with_several
from nestvec.search.encoding import at_size, load_at
from nestvec.search.settings import RECALL, Settings
from nestvec.search.several import split

OVERLAP = 32
"""Tokens: a sentence or two, so that what a cut went through is whole on one of its sides."""


@dataclass(frozen=True)
class Wish:
    """What was asked for; see :meth:`nestvec.search.collection.Collection.create`."""

    encoder: Encoder | str | Path | None
    space: Space | None
    budget: int | None = None
    overlap: int = OVERLAP
    size: Size | str | None = None
    codec: str | None = None
    recall: float = RECALL
    funnel: bool = False


def settle(wish: Wish) -> tuple[Settings, Encoder | None]:
    """Settings that leave nothing open, and the encoder, loaded and at its size.

    Raises:
        InputError: what was asked for does not go together, or the encoder cannot do it.
        MissingExtraError: the encoder needs a library that is not installed.
    """
    if (wish.encoder is None) == (wish.space is None):
        raise InputError("a collection must have either an encoder or a space, got both or neither.")
    size = wish.size if wish.size is not None else getattr(wish.encoder, "size", None)
    wanted, rest, named = split(size, wish.codec)
    asked, coding = choose(rest, named)
    encoder = _encoder(wish, asked)
    if wanted is None and size_of(encoder).many and Size.parse(size or "full").vectors is None:
        # made for late interaction: all of its vectors, where nothing is said
        wanted, rest, named = split(replace(Size.parse(size or "full"), vectors="all"), wish.codec)
        asked, coding = choose(rest, named)
    space = wish.space if encoder is None else encoder.space
    window = 0 if encoder is None else encoder.window
    budget = window if wish.budget is None else wish.budget
    if not 0 <= budget <= max(window, 0):
        raise InputError(f"budget must be 0 to {window}, which is what the encoder can see, got {budget}.")
    settings = Settings(
        space=cast(Space, space),
        encoder=None if encoder is None else str(getattr(encoder, "kind", "custom")),
        source="" if encoder is None else str(getattr(encoder, "source", "")),
        budget=budget,
        overlap=min(wish.overlap, max(0, budget // 2 - 1)),
        size=str(replace(size_of(encoder), vectors=None, bits=asked.bits)),
        codec=coding.codec if coding else None,
        recall=wish.recall,
        funnel=wish.funnel,
    )
    return with_several(settings, wanted, wish.codec, encoder), encoder


def size_of(encoder: Encoder | None) -> Size:
    """What an encoder says its size is; full where it says nothing, or there is none."""
    return Size.parse(getattr(encoder, "size", None) or "full")


def _encoder(wish: Wish, asked: Size) -> Encoder | None:
    if wish.encoder is None:
        if replace(asked, bits=None) not in (Size(), Size(dim=cast(Space, wish.space).dim)):
            raise InputError(f"size must be bits alone, as in b1, for vectors that are brought along, got {asked}.")
        return None
    if not isinstance(wish.encoder, Encoder):
        return load_at(wish.encoder, asked)
    return wish.encoder if wish.size is None else at_size(wish.encoder, asked)
