"""Say how alike two sentences are, as people did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nestvec.evaluation.judged_pairs import JudgedPairs, correlation, read_pairs
from nestvec.evaluation.lexical import jaccard
from nestvec.evaluation.outcome import Outcome


@dataclass(frozen=True, eq=False)
class Sts(JudgedPairs):
    """Pairs of sentences with a score by people. The figure is Spearman's correlation of cosine and score.

    Args:
        first: one text of each pair.
        second: the other.
        scores: ``[n]`` finite, higher is more alike.

    Raises:
        InputError: not as many of each, or fewer than three pairs, or all scores equal.
    """

    id: ClassVar[str] = "sts@1"
    trivial_name: ClassVar[str] = "word overlap"

    @classmethod
    def read(cls, path: Path) -> Sts:
        """Read ``s1``, ``s2`` and ``score`` (or ``sentence1``, ``sentence2``) of each row of a JSONL, TSV or CSV file.

        Raises:
            InputError: a column is missing, a text empty, a score no finite number, or as for the class.
        """
        return cls(*read_pairs(path, ("s1", "sentence1"), ("s2", "sentence2")))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """The share of words that two sentences have in common."""
        del seed
        return correlation(jaccard(self.first, self.second), self.scores)
