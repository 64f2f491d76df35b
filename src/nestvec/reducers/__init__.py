"""Vectors to vectors by an affine map: shorter, turned, or evened out; each a frozen value, all composable into one."""

from __future__ import annotations

from collections.abc import Mapping

from nestvec.core.catalog import Catalog
from nestvec.core.coding import Reducer
from nestvec.core.portable import id_of
from nestvec.core.types import Array
from nestvec.reducers.affine import Affine, compose

REDUCERS = Catalog(
    "nestvec.reducers",
    (
        ("affine@1", "affine:Affine"),
        ("truncate@1", "truncate:Truncate"),
        ("pca@1", "pca:PCA"),
        ("whiten@1", "whiten:Whiten"),
        ("rotate@1", "rotate:Rotate"),
    ),
)
"""Classes with ``fit(sample, *, dim, seed, …)``, by versioned name."""


def reducer_from_arrays(arrays: Mapping[str, Array]) -> Reducer:
    """The reducer whose ``arrays()`` these are, of whichever kind.

    Raises:
        UnknownNameError: it is of a kind that this nestvec does not know.
        FormatError: these are not the arrays of a reducer, or they do not fit together.
    """
    reducer: Reducer = REDUCERS[id_of(arrays)].from_arrays(arrays)
    return reducer


__all__ = ["REDUCERS", "Affine", "compose", "reducer_from_arrays"]
