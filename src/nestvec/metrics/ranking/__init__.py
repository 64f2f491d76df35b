"""How good a ranking is, one number a query."""

from nestvec.metrics.ranking.gains import (
    average_precision,
    judge,
    ndcg,
    precision,
    r_precision,
    recall,
    reciprocal_rank,
    success,
)
from nestvec.metrics.ranking.measures import Measure, measure, parse
from nestvec.metrics.ranking.runs import Graded, Qrels, Run, grade

__all__ = [
    "Graded",
    "Measure",
    "Qrels",
    "Run",
    "average_precision",
    "grade",
    "judge",
    "measure",
    "ndcg",
    "parse",
    "precision",
    "r_precision",
    "recall",
    "reciprocal_rank",
    "success",
]
