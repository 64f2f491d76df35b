"""What vectors, an index or a model look like from inside, without anybody's judgements.

:func:`diagnose` looks at stored vectors, :func:`compare` at two models over the same items, :func:`needle` at what
a model sees of long texts, :func:`capacity` at whether vectors of a given width can hold what people judged, and
:func:`trajectory` at the way of a text from its first sentence to its last.
"""

from nestvec.evaluation.diagnostics.capacity import Capacity, Fit, capacity
from nestvec.evaluation.diagnostics.checkup import Materials, diagnose
from nestvec.evaluation.diagnostics.finding import Figure, Finding, Report
from nestvec.evaluation.diagnostics.needle import NeedleRow, needle
from nestvec.evaluation.diagnostics.similar import Likeness, compare
from nestvec.evaluation.diagnostics.subject import Subject
from nestvec.evaluation.diagnostics.trajectory import Agreement, Boundary, Trajectory, agreement, trajectory

__all__ = [
    "Agreement",
    "Boundary",
    "Capacity",
    "Figure",
    "Finding",
    "Fit",
    "Likeness",
    "Materials",
    "NeedleRow",
    "Report",
    "Subject",
    "Trajectory",
    "agreement",
    "capacity",
    "compare",
    "diagnose",
    "needle",
    "trajectory",
]
