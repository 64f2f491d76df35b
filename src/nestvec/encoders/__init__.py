"""Text to vectors: any sentence-transformers model at any size, in the fastest precision that is safe.

Importing this room loads no torch; :func:`load` does, and so does the first touch of ``TextEncoder``. Depth 0, the
token table alone, never does.
"""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from nestvec.core import Catalog, Size
from nestvec.core.errors import InputError
from nestvec.encoders.checkpoint import find
from nestvec.encoders.tokens import TruncationWarning

if TYPE_CHECKING:
    from nestvec.encoders.forms import Forms
    from nestvec.encoders.heads import Heads
    from nestvec.encoders.ladder import Ladder, Rung
    from nestvec.encoders.listing import SizeRow, sizes
    from nestvec.encoders.multivector import MultiVectorEncoder
    from nestvec.encoders.parity import Parity, check_parity
    from nestvec.encoders.static import StaticEncoder
    from nestvec.encoders.text import TextEncoder

ENCODERS = Catalog(
    "nestvec.encoders",
    (
        ("sentence-transformer@1", "text:TextEncoder"),
        ("static@1", "static:StaticEncoder"),
        ("multi-vector@1", "multivector:MultiVectorEncoder"),
    ),
)

_LATE = {
    "Forms": "forms",
    "Heads": "heads",
    "MultiVectorEncoder": "multivector",
    "TextEncoder": "text",
    "StaticEncoder": "static",
    "Ladder": "ladder",
    "Rung": "ladder",
    "Parity": "parity",
    "check_parity": "parity",
    "SizeRow": "listing",
    "sizes": "listing",
}


def load(
    source: str | Path = "default",
    *,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    size: Size | str = "full",
    ladder: Ladder | str | Path | None = "default",
    heads: Heads | str | Path | None = "default",
) -> TextEncoder | StaticEncoder:
    """Open a text encoder, of one vector a text.

    Args:
        source: ``default``, a model folder, or a hub id; see :meth:`TextEncoder.load`.
        precision: of the arithmetic inside the model. Vectors are always float32.
        device: ``auto``, ``cpu``, ``cuda`` …
        size: such as ``L3-d128``; see :meth:`TextEncoder.at`. Depth 0 loads no torch. For several vectors an item
            see :func:`load_multi`.
        ladder: what smaller sizes are made with: a ladder or its folder; ``default`` for the one that comes with
            nestvec for that model, if there is one; None for the model's own layers and dimensions.
        heads: what token states are mapped with for several vectors or a sparse one: heads or their folder;
            ``default`` for those that lie in the folder of the model; None for none.

    Raises:
        MissingExtraError: torch, sentence-transformers or the default model is not installed.
        InputError: ``source`` is no model that can be used or was made for late interaction, it has no such size, or
            ``precision`` is unknown.
    """
    asked = Size.parse(size)
    if asked.many or find(source).late:
        why = f"the size {asked}" if asked.many else f"{str(source)!r}, which was made for late interaction"
        raise InputError(f"an encoder must give one vector an item here, got {why}. See nestvec.encoders.load_multi.")
    if asked.depth == 0:
        table: StaticEncoder = ENCODERS["static@1"].load(source, size=asked, ladder=ladder)
        return table
    part = ENCODERS["sentence-transformer@1"]
    encoder: TextEncoder = part.load(source, precision=precision, device=device, ladder=ladder, heads=heads)
    return encoder if asked == Size() else cast("TextEncoder", encoder.at(asked))


def gives_several_only(source: str | Path) -> bool:
    """Whether the model at ``source`` was made for late interaction, so that it has no single vector of its own.

    Raises:
        InputError: there is no model.
    """
    return find(source).late


def load_multi(
    source: str | Path = "default",
    *,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
    size: Size | str = "vall",
    ladder: Ladder | str | Path | None = "default",
    heads: Heads | str | Path | None = "default",
) -> MultiVectorEncoder:
    """Open an encoder of a vector for every token: a checkpoint made for late interaction, or any other model.

    Args:
        source: as for :func:`load`.
        precision: as for :func:`load`.
        device: as for :func:`load`.
        size: such as ``L3-vall-d128`` or ``v8``; a part that is left out is all there is.
        ladder: as for :func:`load`; a checkpoint made for late interaction has none.
        heads: as for :func:`load`; likewise.

    Raises:
        MissingExtraError: torch, sentence-transformers or the default model is not installed.
        InputError: ``source`` is no model that can be used, it has no such size, or ``precision`` is unknown.
    """
    asked = Size.parse(size)
    asked = asked if asked.vectors is not None else replace(asked, vectors="all")
    if find(source).late:
        late: MultiVectorEncoder = ENCODERS["multi-vector@1"].load(source, precision=precision, device=device)
        return cast("MultiVectorEncoder", late.at(asked))
    if not asked.many or asked.depth == 0:
        raise InputError(
            f"several vectors an item must be of one layer or more, got {asked}. See nestvec.encoders.load."
        )
    part = ENCODERS["sentence-transformer@1"]
    encoder: TextEncoder = part.load(source, precision=precision, device=device, ladder=ladder, heads=heads)
    return cast("MultiVectorEncoder", encoder.at(asked))


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)


__all__ = [
    "ENCODERS",
    "Forms",
    "Heads",
    "Ladder",
    "MultiVectorEncoder",
    "Parity",
    "Rung",
    "SizeRow",
    "StaticEncoder",
    "TextEncoder",
    "TruncationWarning",
    "check_parity",
    "gives_several_only",
    "load",
    "load_multi",
    "sizes",
]
