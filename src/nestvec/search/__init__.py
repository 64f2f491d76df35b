"""Finding the best rows for a query: exact search, codes, graphs, the choice between them, and the Collection."""

from nestvec.search.codes import CodesReport
from nestvec.search.collection import Collection
from nestvec.search.explaining import Explanation, Match
from nestvec.search.flat import Flat
from nestvec.search.funnel import Funnel, tune_funnel
from nestvec.search.indexing import IndexReport, Survey
from nestvec.search.narrowing import FunnelReport
from nestvec.search.resizing import Resized
from nestvec.search.result import Result
from nestvec.search.twostage import TwoStage, tune
from nestvec.search.warning import IndexWarning

__all__ = [
    "CodesReport",
    "Collection",
    "Explanation",
    "Flat",
    "Funnel",
    "FunnelReport",
    "IndexReport",
    "IndexWarning",
    "Match",
    "Resized",
    "Result",
    "Survey",
    "TwoStage",
    "tune",
    "tune_funnel",
]
