"""Vectors to vectors: shorter, turned or evened out by an affine map, or one for the many of an item.

Affine reducers are frozen values, all composable into one. What takes the tokens of an item, ragged, is a family of its
own: :data:`TOKEN_REDUCERS`, and :func:`nestvec.reducers.cluster.pool`.
"""

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

TOKEN_REDUCERS = Catalog("nestvec.reducers", (("fde@1", "fde:FDE"),))
"""Classes that make one vector of all tokens of an item: ``fit(sample, …)``, ``queries`` and ``documents``."""


def reducer_from_arrays(arrays: Mapping[str, Array]) -> Reducer:
    """The reducer whose ``arrays()`` these are, of whichever kind.

    Raises:
        UnknownNameError: it is of a kind that this nestvec does not know.
        FormatError: these are not the arrays of a reducer, or they do not fit together.
    """
    reducer: Reducer = REDUCERS[id_of(arrays)].from_arrays(arrays)
    return reducer


__all__ = ["REDUCERS", "TOKEN_REDUCERS", "Affine", "compose", "reducer_from_arrays"]
