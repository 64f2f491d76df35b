"""Say how alike, or how related, two words are, as people did."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nestvec.evaluation.judged_pairs import JudgedPairs, correlation, read_pairs
from nestvec.evaluation.lexical import jaccard, letters
from nestvec.evaluation.outcome import Outcome


@dataclass(frozen=True, eq=False)
class WordSimilarity(JudgedPairs):
    """Pairs of words with a score by people. The figure is Spearman's correlation of cosine and score.

    Every pair counts: an encoder without a vector for a word gives what it gives, and no pair is left out in silence.

    Args:
        first: one word of each pair.
        second: the other.
        scores: ``[n]`` finite, higher is more alike.

    Raises:
        InputError: not as many of each, or fewer than three pairs, or all scores equal.
    """

    id: ClassVar[str] = "word_similarity@1"
    trivial_name: ClassVar[str] = "letter overlap"

    @classmethod
    def read(cls, path: Path, *, columns: tuple[str, str] = ("word1", "word2")) -> WordSimilarity:
        """Read two columns of words and ``score`` of each row of a TSV, CSV or JSONL file.

        Raises:
            InputError: a column is missing, a word empty, a score no finite number, or as for the class.
        """
        return cls(*read_pairs(path, columns[:1], columns[1:]))

    def trivial(self, *, seed: int = 0) -> Outcome:
        """The share of three-letter runs that two words have in common."""
        del seed
        return correlation(jaccard(self.first, self.second, split=letters), self.scores)
