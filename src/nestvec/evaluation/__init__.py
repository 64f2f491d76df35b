"""Measures with confidence: tasks, comparisons, and diagnostics that need no labels."""

from nestvec.evaluation.baselines import BASELINES, Bm25, RandomProjection, TfIdf
from nestvec.evaluation.catalogue import GROUPS, TASKS, choose
from nestvec.evaluation.comparison import Comparison, compare, warnings
from nestvec.evaluation.cost import Cost
from nestvec.evaluation.differences import Difference, difference
from nestvec.evaluation.downsampling import Downsampling, downsample
from nestvec.evaluation.kind import Kind
from nestvec.evaluation.kinds import KINDS
from nestvec.evaluation.layers import LayerReport, layer_report
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.preservation import Preserved, preserved
from nestvec.evaluation.results import Result, Shelf
from nestvec.evaluation.suite import Suite
from nestvec.evaluation.system import Compares, Held, Model, Ranks, Represents, System
from nestvec.evaluation.task import Task

__all__ = [
    "BASELINES",
    "GROUPS",
    "KINDS",
    "TASKS",
    "Bm25",
    "Compares",
    "Comparison",
    "Cost",
    "Difference",
    "Downsampling",
    "Held",
    "Kind",
    "LayerReport",
    "Model",
    "Outcome",
    "Preserved",
    "RandomProjection",
    "Ranks",
    "Represents",
    "Result",
    "Shelf",
    "Suite",
    "System",
    "Task",
    "TfIdf",
    "choose",
    "compare",
    "difference",
    "downsample",
    "layer_report",
    "preserved",
    "warnings",
]
