"""Finding the best rows for a query: exact search, graphs, the choice between them, and the Collection."""

from nestvec.search.collection import Collection
from nestvec.search.flat import Flat
from nestvec.search.indexing import IndexReport, Survey
from nestvec.search.result import Result

__all__ = ["Collection", "Flat", "IndexReport", "Result", "Survey"]
