"""Losses: vectors in, one number out. None of them knows a model, so any trainer can use any of them.

Importing this room loads no torch; asking the catalogue for a member does.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nestvec.core import Catalog

if TYPE_CHECKING:
    from nestvec.objectives.contrastive import InfoNCE
    from nestvec.objectives.crisp import Crisp
    from nestvec.objectives.embedding import EmbeddingMatch
    from nestvec.objectives.nested import Nested
    from nestvec.objectives.rank import RepresentationRank
    from nestvec.objectives.scores import ScoreKL

OBJECTIVES = Catalog(
    "nestvec.objectives",
    (
        ("embedding-match@1", "embedding:EmbeddingMatch"),
        ("score-kl@1", "scores:ScoreKL"),
        ("info-nce@1", "contrastive:InfoNCE"),
        ("nested@1", "nested:Nested"),
        ("crisp@1", "crisp:Crisp"),
        ("representation-rank@1", "rank:RepresentationRank"),
    ),
)

_HOMES = {
    "Crisp": "crisp",
    "EmbeddingMatch": "embedding",
    "InfoNCE": "contrastive",
    "Nested": "nested",
    "RepresentationRank": "rank",
    "ScoreKL": "scores",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = ["OBJECTIVES", "Crisp", "EmbeddingMatch", "InfoNCE", "Nested", "RepresentationRank", "ScoreKL"]
