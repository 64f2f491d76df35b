"""Arrays to numbers: how good a ranking is, and how sure we can be of a mean. Higher is better everywhere."""

from nestvec.core.catalog import Catalog
from nestvec.metrics.bootstrap import Interval, bootstrap_mean
from nestvec.metrics.ranking import judge, ndcg, recall, reciprocal_rank

METRICS = Catalog(
    "nestvec.metrics",
    (
        # What follows @ is the version of the definition, not a depth: the depth is the width of the arrays.
        ("ndcg@1", "ranking:ndcg"),
        ("recall@1", "ranking:recall"),
        ("reciprocal_rank@1", "ranking:reciprocal_rank"),
    ),
)
"""Metrics of one ranking per query: ``metric(ranked, ideal) -> [q]``."""

__all__ = ["METRICS", "Interval", "bootstrap_mean", "judge", "ndcg", "recall", "reciprocal_rank"]
