"""nestvec: one embedding system for any data, at any size.

The names here are found when they are first used, so ``import nestvec`` is quick and loads no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nestvec.core import Hits, MultiVectors, Place, Record, Size, Space, SparseVectors, Text, Vectors
    from nestvec.core.errors import NestvecError
    from nestvec.search import Collection, Result

__version__ = "0.1.0.dev0"

_HOMES = {
    "Collection": "nestvec.search",
    "Result": "nestvec.search",
    "Hits": "nestvec.core",
    "MultiVectors": "nestvec.core",
    "Place": "nestvec.core",
    "Record": "nestvec.core",
    "Size": "nestvec.core",
    "Space": "nestvec.core",
    "SparseVectors": "nestvec.core",
    "Text": "nestvec.core",
    "Vectors": "nestvec.core",
    "NestvecError": "nestvec.core.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])


__all__ = [
    "Collection",
    "Hits",
    "MultiVectors",
    "NestvecError",
    "Place",
    "Record",
    "Result",
    "Size",
    "Space",
    "SparseVectors",
    "Text",
    "Vectors",
]
