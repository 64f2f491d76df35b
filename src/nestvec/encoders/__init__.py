"""Text to vectors: any sentence-transformers model, batched by tokens, in the fastest precision that is safe.

Importing this room loads no torch; :func:`load` does, and so does the first touch of ``TextEncoder``.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nestvec.core import Catalog
from nestvec.encoders.tokens import TruncationWarning

if TYPE_CHECKING:
    from nestvec.encoders.parity import Parity, check_parity
    from nestvec.encoders.text import TextEncoder

ENCODERS = Catalog("nestvec.encoders", (("sentence-transformer@1", "text:TextEncoder"),))

_LATE = {"TextEncoder": "text", "Parity": "parity", "check_parity": "parity"}


def load(
    source: str | Path = "default",
    *,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    device: str = "auto",
) -> TextEncoder:
    """Open a text encoder.

    Args:
        source: ``default``, a model folder, or a hub id; see :meth:`TextEncoder.load`.
        precision: of the arithmetic inside the model. Vectors are always float32.
        device: ``auto``, ``cpu``, ``cuda`` …

    Raises:
        MissingExtraError: torch, sentence-transformers or the default model is not installed.
        InputError: ``source`` is no model that can be used, or ``precision`` is unknown.
    """
    encoder: TextEncoder = ENCODERS["sentence-transformer@1"].load(source, precision=precision, device=device)
    return encoder


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_LATE[name]}"), name)


__all__ = ["ENCODERS", "Parity", "TextEncoder", "TruncationWarning", "check_parity", "load"]
