"""Say how alike, or how related, two words are, as people did."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, cast

from nestvec.core.types import Array
from nestvec.evaluation.judged_pairs import check, correlation, read_pairs
from nestvec.evaluation.lexical import jaccard, letters
from nestvec.evaluation.outcome import Outcome
from nestvec.evaluation.rows import digest
from nestvec.evaluation.system import Compares, System


@dataclass(frozen=True, eq=False)
class WordSimilarity:
    """Pairs of words with a score by people. The figure is Spearman's correlation of cosine and score.

    Every pair counts: an encoder without a vector for a word gives what it gives, and no pair is left out in silence.

    Args:
        first: one word of each pair.
        second: the other.
        scores: ``[n]`` finite, higher is more alike.

    Raises:
        InputError: not as many of each, or fewer than three pairs, or all scores equal.
    """

    first: tuple[str, ...]
    second: tuple[str, ...]
    scores: Array

    id: ClassVar[str] = "word_similarity@1"
    needs: ClassVar[type[object]] = Compares
    metric: ClassVar[str] = "Spearman"
    mteb_type: ClassVar[str] = "STS"
    trivial_name: ClassVar[str] = "letter overlap"
    spread: ClassVar[float | None] = None  # a correlation is no mean over pairs; the interval of a difference says it

    def __post_init__(self) -> None:
        check(self.first, self.second, self.scores)

    @classmethod
    def read(cls, path: Path, *, columns: tuple[str, str] = ("word1", "word2")) -> WordSimilarity:
        """Read two columns of words and ``score`` of each row of a TSV, CSV or JSONL file.

        Raises:
            InputError: a column is missing, a word empty, a score no finite number, or as for the class.
        """
        return cls(*read_pairs(path, columns[:1], columns[1:]))

    def __len__(self) -> int:
        return len(self.first)

    @cached_property
    def fingerprint(self) -> str:
        """Of all words and scores."""
        return digest(self.id, self.first, self.second, self.scores.tolist())

    def measure(self, system: System, *, seed: int = 0) -> Outcome:
        """Compare each pair. ``seed`` decides nothing here."""
        del seed
        return correlation(cast(Compares, system).compare(self.first, self.second), self.scores)

    def trivial(self, *, seed: int = 0) -> Outcome:
        """The share of three-letter runs that two words have in common."""
        del seed
        return correlation(jaccard(self.first, self.second, split=letters), self.scores)
