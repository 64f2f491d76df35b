"""Learnable tables of ids at any size: an index map, a codec and a composer behind one name.

>>> from nestvec.tables import make_spec
>>> make_spec("quotient_remainder", rows=1_000_000, dim=16).rows
(1000000,)

``make_spec`` or ``fit_spec`` say what a table is, :class:`Table` trains it (torch), and :class:`FrozenTable` serves it
(numpy alone). Importing this room loads no torch; asking it for what is trained does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nestvec.tables.budget import fit_spec, least_bytes
from nestvec.tables.frozen import FrozenTable, stored_bytes
from nestvec.tables.spec import CODECS, METHODS, SEARCHES, TableSpec, make_spec

if TYPE_CHECKING:
    from nestvec.tables.adagrad import RowWiseAdagrad
    from nestvec.tables.module import Table
    from nestvec.tables.search import Search

_WITH_TORCH = {"Table": "module", "RowWiseAdagrad": "adagrad", "Search": "search"}


def __getattr__(name: str) -> Any:
    if name not in _WITH_TORCH:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_WITH_TORCH[name]}"), name)


__all__ = [
    "CODECS", "METHODS", "SEARCHES", "FrozenTable", "RowWiseAdagrad", "Search", "Table", "TableSpec", "fit_spec",
    "least_bytes", "make_spec", "stored_bytes",
]  # fmt: skip
