"""What small edits of a text do to its vector: by kind of edit, and by how many words were touched."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nestvec.core.errors import InputError
from nestvec.core.protocols import Encoder
from nestvec.core.types import Array
from nestvec.evaluation.diagnostics.finding import Figure, Finding
from nestvec.evaluation.diagnostics.robustness import K, beginnings, figure, overlap, replace_words
from nestvec.evaluation.diagnostics.subject import Subject, basis
from nestvec.kernels.neighbours import nearest, unit
from nestvec.metrics.bootstrap import bootstrap_mean

_SHARE = 0.1  # of the words of a text that get a typing error
_COUNTS = (1, 2, 4, 8)  # words replaced
_FRAGILE = 0.5  # neighbours kept
_LETTERS = 4  # of a word that is long enough to be mistyped


def mistyped(text: str, rng: np.random.Generator) -> str:
    """Two letters that stand side by side change places in a tenth of the words, at least in one."""
    words = text.split(" ")
    places = [i for i, word in enumerate(words) if len(word) >= _LETTERS]
    for i in rng.permutation(places)[: max(1, round(_SHARE * len(places)))].tolist():
        at = int(rng.integers(1, len(words[i]) - 2))
        words[i] = words[i][:at] + words[i][at + 1] + words[i][at] + words[i][at + 2 :]
    return " ".join(words)


def shuffled(text: str, rng: np.random.Generator) -> str:
    """The words in another order."""
    return " ".join(rng.permutation(text.split()).tolist())


def half(text: str, rng: np.random.Generator) -> str:
    """The first half of the words."""
    del rng
    words = text.split()
    return " ".join(words[: max(1, len(words) // 2)])


def capitals(text: str, rng: np.random.Generator) -> str:
    """All letters in capitals."""
    del rng
    return text.upper()


EDITS: Mapping[str, Callable[[str, np.random.Generator], str]] = {
    "typing errors in a tenth of the words": mistyped,
    "capitals": capitals,
    "words in another order": shuffled,
    "first half only": half,
}
"""Edits by name."""


@dataclass(frozen=True)
class Growth:
    """``distance = scale * count ** exponent``, by least squares of the logarithms.

    Args:
        scale: how far one edited word moves a vector.
        exponent: 1 where every further word moves it as far as the first, less where the first ones do most.
    """

    scale: float
    exponent: float

    @classmethod
    def of(cls, counts: Sequence[int], distances: Sequence[float]) -> Growth:
        """The curve through distances ``[m]`` at counts ``[m]`` of edited words.

        Raises:
            InputError: fewer than two different counts, or a number that is not above 0.

        Source: Catellier, Vaiter and Garreau 2023 (arXiv:2303.07203), who show that such bounds hold, with a scale
        that falls with the length of the text.
        """
        x, y = np.asarray(counts, np.float64), np.asarray(distances, np.float64)
        if x.shape != y.shape or len(np.unique(x)) < 2 or not (np.append(x, y) > 0).all():
            raise InputError(f"a curve needs two different counts or more, and numbers above 0, got {x} and {y}.")
        exponent, scale = np.polyfit(np.log(x), np.log(y), 1)
        return cls(float(np.exp(scale)), float(exponent))


def edits(subject: Subject, encoder: Encoder, *, seed: int = 0) -> Finding:
    """Which neighbours stay after small edits of a text, and how its vector moves as more words are replaced."""
    rows, x, asked, texts = beginnings(subject, encoder, seed)
    before = unit(encoder.encode(texts).values)
    truth = nearest(before, x, K, own=asked)[0]
    figures, least = [], 1.0
    for name, edit in EDITS.items():
        rng = np.random.default_rng(seed)
        after = unit(encoder.encode([edit(text, rng) for text in texts]).values)
        kept = bootstrap_mean(overlap(truth, nearest(after, x, K, own=asked)[0]), seed=seed)
        figures.append(figure(f"kept after {name}", kept, "of the ten nearest"))
        least = min(least, kept.mean)
    figures += _growth(encoder, texts, before, seed)
    fragile = least < _FRAGILE
    return Finding(
        "edits",
        "What small edits of a text change",
        tuple(figures),
        f"beginnings of {len(asked)} texts, in {basis(len(rows), len(subject), seed)}",
        "Encoders that fold case lose nothing to capitals. Bags of words lose nothing to another order.",
        "Some edit that a reader would hardly notice changes most of what is found."
        if fragile
        else "What is found survives the edits that people make by mistake.",
        "Correct spelling and fold case before encoding if your texts come from people in a hurry." if fragile else "",
    )


def _growth(encoder: Encoder, texts: Sequence[str], before: Array, seed: int) -> list[Figure]:
    """How far vectors move by the number of words replaced; shorter texts are left out, so that all counts fit."""
    words = np.array([len(text.split()) for text in texts])
    long = np.flatnonzero(words >= 2 * _COUNTS[-1])
    if len(long) < 2:
        return []
    some = [texts[i] for i in long.tolist()]
    moved = []
    for count in _COUNTS:
        after = unit(encoder.encode(replace_words(some, count=count, seed=seed)).values)
        moved.append(float(np.linalg.norm(after - before[long], axis=1).mean()))
    if not min(moved):
        return []
    found = Growth.of(_COUNTS, moved)
    note = f"texts of {int(np.median(words[long]))} words; {', '.join(map(str, _COUNTS))} words replaced"
    return [
        Figure("moved by one word", found.scale, None, note),
        Figure("exponent", found.exponent, None, "1: each further word moves it as far"),
    ]
