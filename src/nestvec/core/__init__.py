"""Nouns and errors. Everything else in nestvec knows this room; it knows nothing but numpy and xxhash."""

from nestvec.core.arrays import as_matrix
from nestvec.core.catalog import Catalog
from nestvec.core.hits import Hits
from nestvec.core.record import Part, Place, Record, Text
from nestvec.core.size import Size
from nestvec.core.space import Space
from nestvec.core.token import Token
from nestvec.core.vectors import MultiVectors, SparseVectors, Vectors

__all__ = [
    "Catalog",
    "Hits",
    "MultiVectors",
    "Part",
    "Place",
    "Record",
    "Size",
    "Space",
    "SparseVectors",
    "Text",
    "Token",
    "Vectors",
    "as_matrix",
]
