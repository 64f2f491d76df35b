"""Text to vectors: any sentence-transformers model at any size, in the fastest precision that is safe.

Importing this room loads no torch; :func:`load` does, and so does the first touch of ``TextEncoder``. Depth 0, the
token table alone, never does.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nestvec.core import Catalog, Size
from nestvec.encoders.tokens import TruncationWarning

if TYPE_CHECKING:
    from nestvec.encoders.ladder import Ladder, Rung
    from nestvec.encoders.listing import SizeRow, sizes
    from nestvec.encoders.parity import Parity, check_parity
    from nestvec.encoders.static import StaticEncoder
    from nestvec.encoders.text import TextEncoder

ENCODERS = Catalog(
    "nestvec.encoders", (("sentence-transformer@1", "text:TextEncoder"), ("static@1", "static:StaticEncoder"))
)

_LATE = {
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
) -> TextEncoder | StaticEncoder:
    """Open a text encoder.

    Args:
        source: ``default``, a model folder, or a hub id; see :meth:`TextEncoder.load`.
        precision: of the arithmetic inside the model. Vectors are always float32.
        device: ``auto``, ``cpu``, ``cuda`` …
        size: such as ``L3-d128``; see :meth:`TextEncoder.at`. Depth 0 loads no torch.
        ladder: what smaller sizes are made with: a ladder or its folder; ``default`` for the one that comes with
            nestvec for that model, if there is one; None for the model's own layers and dimensions.

    Raises:
        MissingExtraError: torch, sentence-transformers or the default model is not installed.
        InputError: ``source`` is no model that can be used, it has no such size, or ``precision`` is unknown.
    """
    asked = Size.parse(size)
    if asked.depth == 0:
        table: StaticEncoder = ENCODERS["static@1"].load(source, size=asked, ladder=ladder)
        return table
    part = ENCODERS["sentence-transformer@1"]
    encoder: TextEncoder = part.load(source, precision=precision, device=device, ladder=ladder)
    return encoder if asked == Size() else encoder.at(asked)


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)


__all__ = [
    "ENCODERS",
    "Ladder",
    "Parity",
    "Rung",
    "SizeRow",
    "StaticEncoder",
    "TextEncoder",
    "TruncationWarning",
    "check_parity",
    "load",
    "sizes",
]
