"""What vectors, an index or a model look like from inside, without anybody's judgements.

:func:`diagnose` looks at stored vectors, :func:`compare` at two models over the same items, :func:`needle` at what
a model sees of long texts, and :func:`capacity` at whether vectors of a given width can hold what people judged.
"""

from nestvec.evaluation.diagnostics.capacity import Capacity, Fit, capacity
from nestvec.evaluation.diagnostics.checkup import Materials, diagnose
from nestvec.evaluation.diagnostics.finding import Figure, Finding, Report
from nestvec.evaluation.diagnostics.needle import NeedleRow, needle
from nestvec.evaluation.diagnostics.similar import Likeness, compare
from nestvec.evaluation.diagnostics.subject import Subject

__all__ = [
    "Capacity",
    "Figure",
    "Finding",
    "Fit",
    "Likeness",
    "Materials",
    "NeedleRow",
    "Report",
    "Subject",
    "capacity",
    "compare",
    "diagnose",
    "needle",
]
