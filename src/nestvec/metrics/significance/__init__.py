"""Whether systems differ, by how much, and what a comparison can show at all."""

from nestvec.metrics.significance.paired import holm, paired_randomisation, wilcoxon
from nestvec.metrics.significance.power import TYPICAL_SPREAD, detectable_difference, items_needed
from nestvec.metrics.significance.several import Friedman, Nemenyi, TieGroups, friedman, nemenyi, tie_groups

__all__ = [
    "TYPICAL_SPREAD",
    "Friedman",
    "Nemenyi",
    "TieGroups",
    "detectable_difference",
    "friedman",
    "holm",
    "items_needed",
    "nemenyi",
    "paired_randomisation",
    "tie_groups",
    "wilcoxon",
]
