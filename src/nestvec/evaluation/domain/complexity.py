"""How hard a question is to answer, whatever the model: lengths, entropy, readability, rare words, words in common."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from nestvec.core.types import Float64
from nestvec.evaluation.kinds.retrieval import Retrieval
from nestvec.evaluation.lexical import sentences, words

MEASURES: Mapping[str, str] = {
    "question words": "words of the question, as a logarithm",
    "document words": "words of what answers it, as a logarithm",
    "entropy": "bits a word in the first 100 words of what answers it",
    "fog": "Gunning's fog index of what answers it: years of school to read it",
    "rarity": "mean inverse document frequency of the words of the question",
    "overlap": "share of the question's words, by their rarity, that its best answer has",
    "answers": "how many documents answer it, as a logarithm",
    "by words": "nDCG@10 of BM25",
}
"""What is measured of each question, and in which unit."""

_READ = 100  # words of a text whose entropy is taken: the entropy of a longer one would measure its length
_SYLLABLES = re.compile(r"[aeiouyäöüàâéèêëîïôûù]+")
_LONG = 3  # syllables of a word that counts as hard


def complexity(task: Retrieval, by_words: Mapping[str, float]) -> Float64[np.ndarray, "q m"]:
    """``[q, m]`` the measures of :data:`MEASURES` for each judged question, in the order of ``by_words``.

    Two of the four measures of the paper are here as they are, entropy and readability. Its error rate of a language
    model is replaced by that of BM25, and its distance between dependent words, for which a parser would be needed, by
    the length of sentences in the fog index. The others are what makes search hard: what a question shares with its
    answer, how rare its words are, and how much there is to find.

    Args:
        task: documents, questions, judgements; frequencies of words are those of its documents.
        by_words: for each question that is looked at, what BM25 reaches on it.

    Source: Tang and Yang 2024 (arXiv:2409.18511); entropy: Shannon 1948; fog: Gunning 1952.
    """
    texts = {record.id: record.full_text for record in task.documents}
    stand = Counter(word for text in texts.values() for word in set(words(text)))
    idf = {word: math.log((1 + len(texts)) / (1 + count)) for word, count in stand.items()}
    rarest = math.log(1 + len(texts))
    rows = []
    for name, reached in by_words.items():
        good = [texts[document] for document, gain in task.judged[name].items() if gain > 0]
        asked = set(words(task.queries[name]))
        weight = {word: idf.get(word, rarest) for word in asked}
        rows.append(
            [
                math.log1p(len(words(task.queries[name]))),
                _mean([math.log1p(len(words(text))) for text in good]),
                _mean([entropy(text) for text in good]),
                _mean([fog(text) for text in good]),
                _mean(list(weight.values())),
                max(_overlap(weight, set(words(text))) for text in good),
                math.log1p(len(good)),
                reached,
            ]
        )
    return np.array(rows, np.float64).reshape(-1, len(MEASURES))


def entropy(text: str) -> float:
    """Shannon entropy of the first 100 words, in bits a word; 0 without words.

    Source: Shannon 1948.
    """
    found = words(text)[:_READ]
    counts = np.array(list(Counter(found).values()), np.float64)
    share = counts / max(len(found), 1)
    return float(-(share * np.log2(share)).sum()) if found else 0.0


def fog(text: str) -> float:
    """``0.4 (words / sentences + 100 hard words / words)``; hard words have three syllables or more, counted as vowels.

    Made for English; for other languages with an alphabet it still orders texts, for those without it says nothing.

    Source: Gunning 1952.
    """
    found = re.findall(r"\w+", text.lower())
    if not found:
        return 0.0
    hard = sum(len(_SYLLABLES.findall(word)) >= _LONG for word in found)
    return 0.4 * (len(found) / max(len(sentences(text)), 1) + 100 * hard / len(found))


def _overlap(weight: Mapping[str, float], there: set[str]) -> float:
    whole = sum(weight.values())
    return sum(value for word, value in weight.items() if word in there) / whole if whole > 0 else 0.0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
