"""Tables that grow: any keys to rows that learn, under a cap of memory, saved in small steps.

>>> from nestvec.tables.growing import GrowingSpec, GrowingTable
>>> with GrowingTable.create("users", GrowingSpec(dim=8)) as table:
...     rows = table.admit(["ann", "ben", None, "ann"])
>>> rows
array([2, 3, 0, 2])

Importing this room loads no torch; asking it for ``GrowingRows``, the module that trains a table, does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nestvec.tables.growing.commits import DamageWarning
from nestvec.tables.growing.exchange import export, merge, spec_for, take_in, to_arrays
from nestvec.tables.growing.key_encoder import KeyEncoder
from nestvec.tables.growing.spec import NULL, UNKNOWN, GrowingSpec, Occupancy
from nestvec.tables.growing.table import GrowingTable

if TYPE_CHECKING:
    from nestvec.tables.growing.module import GrowingRows

_WITH_TORCH = {"GrowingRows": "module"}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)


__all__ = [
    "NULL", "UNKNOWN", "DamageWarning", "GrowingRows", "GrowingSpec", "GrowingTable", "KeyEncoder", "Occupancy",
    "export", "merge", "spec_for", "take_in", "to_arrays",
]  # fmt: skip
