"""The kinds of tasks, one file each. A kind holds the data of one task, reads it, and measures a system on it.

What every kind has (see ``Kind`` in :mod:`nestvec.evaluation.kind`): ``read``, ``fingerprint``, ``measure``,
``trivial``, and what it needs of a system.
"""

from nestvec.core.catalog import Catalog

KINDS = Catalog(
    "nestvec.evaluation.kinds",
    (
        ("retrieval@1", "retrieval:Retrieval"),
        ("reranking@1", "reranking:Reranking"),
        ("sts@1", "sts:Sts"),
        ("pair_classification@1", "pair_classification:PairClassification"),
        ("classification@1", "classification:Classification"),
        ("clustering@1", "clustering:Clustering"),
        ("bitext@1", "bitext:Bitext"),
        ("zero_shot@1", "zero_shot:ZeroShot"),
        ("word_similarity@1", "word_similarity:WordSimilarity"),
        ("analogy@1", "analogy:Analogy"),
    ),
)
"""Kinds by versioned name. What follows ``@`` is the version of the protocol: a change that moves figures raises it."""

__all__ = ["KINDS"]
